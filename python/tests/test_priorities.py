"""Requests that say how urgent they are."""

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.models import half_plus, place, slow
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

PRIORITY = "x-salver-priority"
ONE = make_tensor([1.0])
# Six runs of the slow model, on a machine that is busy.
PATIENCE_SECONDS = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of a slow model that runs one request at a time, and of a quick one."""
    place(tmp_path, "slow", "1", slow())
    (tmp_path / "slow" / "model.toml").write_text("instances = 1\nthreads = 1\n")
    place(tmp_path, "quick", "1", half_plus(1))
    with Server(tmp_path) as server:
        yield server


def test_an_urgent_call_is_answered_before_those_that_wait(server: Server) -> None:
    answered: list[str] = []

    def ask(client: Grpc, priority: str) -> grpc.Future:
        request = predict_request("slow", x=ONE)
        call = client.prediction.Predict.future(request, PATIENCE_SECONDS, metadata=[(PRIORITY, priority)])
        call.add_done_callback(lambda _: answered.append(priority))
        return call

    with Grpc(server.grpc) as client:
        calls = [ask(client, priority) for priority in ["low"] * 4 + ["normal", "high"]]
        for call in calls:
            call.result()
    # The first that came may have been running.
    assert answered.index("high") <= 1, answered
    assert answered.index("normal") <= 2, answered


def test_other_words_are_refused(server: Server) -> None:
    message = f"{PRIORITY}: expected high, normal or low, got `urgent`"
    with Grpc(server.grpc) as client, pytest.raises(grpc.RpcError) as raised:
        client.prediction.Predict(predict_request("quick", x=ONE), 30.0, metadata=[(PRIORITY, "urgent")])
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)
    body = json.dumps({"instances": [1.0]}).encode()
    with Rest(server.rest) as rest:
        answer = rest.request("POST", "/v1/models/quick:predict", body, {PRIORITY: "urgent"})
        assert (answer.status, answer.json) == (400, {"error": message})
        assert rest.request("POST", "/v1/models/quick:predict", body, {PRIORITY: "low"}).status == 200
