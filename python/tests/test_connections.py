"""What concerns connections rather than requests: the UNIX socket, ages, health, the headers that browsers want."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from salver_testing.clients import Grpc, Rest
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, because a socket's path may have 107 bytes."""
    with TemporaryDirectory(prefix="salver-") as folder:
        yield Path(folder)


def serve(folder: Path, name: str, addend: float, *arguments: str, **options: bool) -> Server:
    """Starts a server of one model: half of x and `addend`."""
    place(folder / name, "half", "1", half_plus(addend))
    return Server(folder / name, *arguments, **options)


def ask(address: str) -> float:
    """Predicts for 1.0."""
    with Grpc(address) as client:
        return client.predict("half", x=make_tensor([1.0])).outputs["y"].float_val[0]


def test_the_newest_server_has_the_socket_and_the_older_one_its_port(folder: Path) -> None:
    path = folder / "grpc.sock"
    flag = f"--grpc_socket_path={path}"
    with serve(folder, "first", 2, flag) as first:
        assert (ask(f"unix:{path}"), ask(first.grpc)) == (2.5, 2.5)
        with serve(folder, "second", 3, flag) as second:
            assert (ask(f"unix:{path}"), ask(second.grpc)) == (3.5, 3.5)
            assert first.stop() == 0
            assert ask(f"unix:{path}") == 3.5, "the older server leaves alone what is not its any more"
        assert not path.exists()


def test_a_socket_alone_is_enough_and_answers_curl(folder: Path) -> None:
    path = folder / "grpc.sock"
    arguments = ["--port=0", "--rest_api_port=0", f"--grpc_socket_path={path}", "--access-log"]
    with serve(folder, "m", 2, *arguments, rest_is_on=False) as server:
        assert "grpc" not in server.serving
        assert ask(f"unix:{path}") == 2.5
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.makefile("rb").read().endswith(b"ready\n")
    peers = [entry["peer"] for entry in server.log if entry.get("message") == "request"]
    assert peers == [f"unix:uid={os.getuid()},pid={os.getpid()}"] * 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nonexistent/s", "there is no folder /nonexistent"),
        ("/" + "x" * 107, "the path has 108 bytes, and sockets have room for 107"),
        ("{folder}/m/half/1/model.onnx", "what is there is not a socket"),
    ],
)
def test_a_socket_that_cannot_be_is_explained(folder: Path, path: str, message: str) -> None:
    server = serve(folder, "m", 2, f"--grpc_socket_path={path.format(folder=folder)}")
    assert server.process.wait(30) == 78
    server.stop()
    assert message in server.log_text()


def test_an_old_connection_is_closed_and_its_client_loses_nothing(folder: Path) -> None:
    arguments = "--grpc_channel_arguments=grpc.max_connection_age_ms=300,grpc.lb_policy_name=grpclb,grpc.so_reuseaddr=1"
    states: list[grpc.ChannelConnectivity] = []
    with serve(folder, "m", 2, arguments) as server, Grpc(server.grpc) as client:
        client.channel.subscribe(states.append)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.5:
            client.predict("half", x=make_tensor([1.0]))
    ready = states.count(grpc.ChannelConnectivity.READY)
    assert ready >= 2, states
    assert "grpc.lb_policy_name is the text `grpclb`, which changes nothing here" in server.log_text()


def test_messages_may_be_limited(folder: Path) -> None:
    limit = "--grpc_channel_arguments=grpc.max_receive_message_length=1000"
    with serve(folder, "m", 2, limit) as server, Grpc(server.grpc) as client:
        assert ask(server.grpc) == 2.5
        with pytest.raises(grpc.RpcError) as error:
            client.predict("half", x=make_tensor([1.0] * 1000))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_health_is_told_to_those_who_watch_and_they_do_not_hold_up_the_end(folder: Path) -> None:
    server = serve(folder, "m", 2).wait_ready()
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "ModelService", "PredictionService", "tensorflow.serving.PredictionService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == answer.SERVING, name
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=30)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        begin = time.monotonic()
        assert server.stop() == 0
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert list(watch) == []
        assert time.monotonic() - begin < 10
    assert "cut at the end" not in server.log_text()


def test_browsers_of_other_sites_may_ask_if_the_flag_says_so(folder: Path) -> None:
    with serve(folder, "m", 2, "--rest_api_enable_cors_support") as server, Rest(server.rest) as rest:
        for method, path, headers, status in (
            ("OPTIONS", "/v1/models/half:predict", {"Origin": "http://example.org"}, 200),
            ("OPTIONS", "/v1/models/half:predict", {"Origin": "null"}, 400),
            ("OPTIONS", "/v1/models/half:predict", {}, 400),
            ("GET", "/v1/models/half", {}, 200),
            ("GET", "/v1/models/other", {}, 404),
            ("POST", "/v1/models/half:predict", {}, 400),
        ):
            answer = rest.request(method, path, b"" if method == "POST" else None, headers)
            assert answer.status == status, (method, path)
            assert CORS.items() <= answer.headers.items(), (method, path)
        assert rest.request("OPTIONS", "/v1/x", headers={"Origin": "https://example.org"}).body == b""


def test_without_the_flag_there_are_no_such_headers(rest: Rest) -> None:
    answer = rest.request("OPTIONS", "/v1/models/half_plus_two", headers={"Origin": "http://example.org"})
    assert answer.status == 200
    assert not CORS.keys() & answer.headers.keys()


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PUT", "PATCH"])
def test_other_methods_are_malformed_and_keep_the_connection(rest: Rest, method: str) -> None:
    answer = rest.request(method, "/v1/models/half_plus_two")
    assert answer.status == 400
    if method != "HEAD":
        assert answer.json == {"error": f"Malformed request: {method} /v1/models/half_plus_two"}
    assert answer.headers.get("connection") != "close"
    assert rest.get("/v1/models/half_plus_two").status == 200
