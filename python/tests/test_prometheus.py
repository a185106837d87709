"""Metrics under TensorFlow Serving's names, on the page that a monitoring configuration asks for."""

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from salver_testing.clients import Grpc, Rest
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

PATH = "/monitoring/prometheus/metrics"
SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\{(?P<labels>.*)\} (?P<value>\S+)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one model, with the page at its usual path."""
    root = tmp_path_factory.mktemp("monitored")
    place(root / "models", "two", "1", half_plus(2))
    config = root / "monitoring.config"
    config.write_text("prometheus_config { enable: true }")
    with Server(root / "models", f"--monitoring_config_file={config}") as server:
        yield server


@pytest.fixture
def rest(server: Server) -> Iterator[Rest]:
    """A REST client."""
    with Rest(server.rest) as client:
        yield client


def samples(rest: Rest) -> dict[str, float]:
    """Returns the samples of the page, whose every line has to be one or a type."""
    answer = rest.get(PATH)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain"
    found = {}
    for line in answer.body.decode().splitlines():
        if re.fullmatch(r"# TYPE :tensorflow:[a-z:_]+ (counter|histogram)", line):
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        found[f"{sample['name']}{{{sample['labels']}}}"] = float(sample["value"])
    return found


def increase(rest: Rest, before: dict[str, float], name: str, labels: str) -> float:
    """Returns how much a sample grew."""
    key = f":tensorflow:{name}{{{labels}}}"
    return samples(rest).get(key, 0) - before.get(key, 0)


def test_requests_are_counted_by_model_and_code(server: Server, rest: Rest) -> None:
    before = samples(rest)
    with Grpc(server.grpc) as client:
        client.predict("two", x=make_tensor([1.0]))
        for model in "two", "nowhere":
            with pytest.raises(grpc.RpcError):
                client.predict(model, z=make_tensor([1.0]))
        client.states("two")
    assert rest.predict("two", {"instances": [1.0]}).status == 200
    assert rest.predict("two", {"instances": ["x"]}).status == 400
    assert rest.predict("nowhere", {"instances": [1.0]}).status == 404
    assert rest.get("/v1/models/two").status == 200
    assert rest.get("/v1/nothing").status == 400
    rows = [
        ('model_name="two",status="OK"', 3),
        ('model_name="two",status="INVALID_ARGUMENT"', 2),
        ('model_name="nowhere",status="NOT_FOUND"', 2),
        ('model_name="",status="INVALID_ARGUMENT"', 1),
    ]
    for labels, expected in rows:
        assert increase(rest, before, "serving:request_count", labels) == expected, labels


def test_latencies_are_told_apart_by_how_requests_came(server: Server, rest: Rest) -> None:
    before = samples(rest)
    with Grpc(server.grpc) as client:
        client.predict("two", x=make_tensor([1.0]))
    assert rest.predict("two", {"instances": [1.0]}).status == 200
    rest.get("/v1/models/two")
    for api, entrypoint in ("Predict", "GRPC"), ("predict", "REST"), ("", "REST"):
        labels = f'model_name="two",API="{api}",entrypoint="{entrypoint}"'
        assert increase(rest, before, "serving:request_latency_count", labels) == 1
        assert increase(rest, before, "serving:request_latency_bucket", f'{labels},le="+Inf"') == 1
        assert f':tensorflow:serving:request_latency_bucket{{{labels},le="1.47476e+09"}}' in samples(rest)
    labels = 'model_name="two",API="Predict",runtime="TF1"'
    assert increase(rest, before, "serving:runtime_latency_count", labels) == 2
    assert increase(rest, before, "core:graph_runs", "") == 2


def test_loads_are_counted_by_path(rest: Rest) -> None:
    loads = [key for key in samples(rest) if key.startswith(":tensorflow:cc:saved_model:load_attempt_count")]
    (key,) = loads
    assert 'models/two/1",status="success"' in key


def test_a_query_is_not_the_page(rest: Rest) -> None:
    answer = rest.get(f"{PATH}?x=1")
    assert (answer.status, answer.body.decode()) == (400, f"Unexpected path: {PATH}?x=1. Should be {PATH}")


def test_our_own_metrics_are_beside_it(rest: Rest) -> None:
    assert b"salver_build_info" in rest.get("/metrics").body


def test_the_page_is_where_it_is_asked_for_and_nowhere_else(tmp_path: Path) -> None:
    place(tmp_path / "models", "two", "1", half_plus(2))
    config = tmp_path / "monitoring.config"
    config.write_text('prometheus_config { enable: true path: "/stats" }')
    with Server(tmp_path / "models", f"--monitoring_config_file={config}") as server, Rest(server.rest) as rest:
        assert rest.get("/stats").body.startswith(b"# TYPE :tensorflow:")
        assert rest.get(PATH).status == 404
    with Server(tmp_path / "models") as server, Rest(server.rest) as rest:
        assert rest.get(PATH).status == 404


def test_batches_are_counted(tmp_path: Path) -> None:
    place(tmp_path / "models", "two", "1", half_plus(2))
    monitoring, batching = tmp_path / "monitoring.config", tmp_path / "batching.config"
    monitoring.write_text("prometheus_config { enable: true }")
    batching.write_text(
        'max_batch_size { value: 4 } allowed_batch_sizes: [1, 2, 4] thread_pool_name { value: "named in vain" }'
    )
    arguments = [
        "--enable_batching",
        f"--batching_parameters_file={batching}",
        f"--monitoring_config_file={monitoring}",
    ]
    with Server(tmp_path / "models", *arguments) as server, Rest(server.rest) as rest:
        before = samples(rest)
        assert rest.predict("two", {"inputs": [1.0, 2.0, 3.0]}).status == 200
        for sample, labels, expected in [
            ("input_batch_size_sum", "", 3),
            ("processed_batch_size_sum", "", 4),
            ("padding_size_sum", 'execution_batch_size="4"', 1),
            ("queuing_latency_count", 'thread_pool_name=""', 1),
            ("wrapped_run_count", "", 1),
        ]:
            assert increase(rest, before, f"serving:batching_session:{sample}", labels) == expected, sample
