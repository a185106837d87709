"""How TensorFlow Serving's HandleReloadConfigRequest fails: code and message of each row; and what it does."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from salver_testing.clients import Grpc, predict_request
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
INVALID = grpc.StatusCode.INVALID_ARGUMENT
TIMEOUT = 30.0
X = make_tensor([1.0])

ModelConfig = model_server_config_pb2.ModelConfig


def model(name: str, base_path: Path | str, platform: str = "tensorflow", **labels: int) -> ModelConfig:
    """Returns a member of a list."""
    return ModelConfig(name=name, base_path=str(base_path), model_platform=platform, version_labels=labels)


def reload(server: Server, *configs: ModelConfig) -> None:
    """Sends a list of models."""
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.extend(configs)
    send(server, request)


def send(server: Server, request: model_management_pb2.ReloadConfigRequest) -> None:
    """Sends a request whatever it is."""
    with grpc.insecure_channel(server.grpc) as channel:
        answer = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=TIMEOUT)
    assert (answer.status.error_code, answer.status.error_message) == (0, "")


def wait_until(is_so: Callable[[], bool]) -> None:
    """Asks until something is so."""
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def reloaded(models: Path) -> Iterator[Server]:
    """A server that takes lists."""
    with Server(models / "half_plus_two") as server:
        yield server


@dataclass(frozen=True)
class Row:
    """A list that is refused, beside a good one; base paths that start with `{models}` are those of the tests."""

    name: str
    configs: list[tuple[Any, ...]]
    code: grpc.StatusCode
    message: str
    labels: dict[str, int] = field(default_factory=dict)


HALF = "{models}/half_plus_two"
TABLE = [
    Row("dup", [("m", HALF), ("m", HALF)], INVALID, "Illegal to list model m multiple times in config list"),
    Row(
        "relative path",
        [("m", "p")],
        INVALID,
        "Expected model m to have an absolute path or URI; got base_path()=p",
    ),
    Row("no path", [("m", "")], INVALID, "Expected model m to have an absolute path or URI; got base_path()="),
    Row(
        "platform changed",
        [("m", HALF, "p")],
        INVALID,
        "Illegal to change a model's platform. For model m platform was tensorflow and new platform requested is p",
    ),
    Row("unknown platform", [("n", HALF, "p")], INVALID, "Model n requests unsupported platform p"),
    Row(
        "label to unavailable",
        [("m", HALF)],
        grpc.StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 2 of model m, which is not currently available for inference",
        {"stable": 2},
    ),
    Row(
        "new model without a version",
        [("m", HALF), ("n", "{models}/nowhere")],
        grpc.StatusCode.UNKNOWN,
        "1 model(s) did not become available: {{{name: n} due to error: NOT_FOUND: ...",
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_failure(reloaded: Server, models: Path, row: Row) -> None:
    reload(reloaded, model("m", models / "half_plus_two"))
    configs = [model(name, path.format(models=models), *rest) for name, path, *rest in row.configs]
    configs[0].version_labels.update(row.labels)
    with pytest.raises(grpc.RpcError) as error:
        reload(reloaded, *configs)
    failure: Any = error.value
    assert failure.code() == row.code, failure.details()
    if row.message.endswith("..."):
        assert failure.details().startswith(row.message.removesuffix("..."))
    else:
        assert failure.details() == row.message
    with Grpc(reloaded.grpc) as client:
        assert client.predict("m", x=X).outputs["y"].float_val == [2.5], "what was served is served"


@pytest.mark.parametrize("has_config", [False, True])
def test_no_list(reloaded: Server, has_config: bool) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    if has_config:
        request.config.SetInParent()
    with pytest.raises(grpc.RpcError) as error:
        send(reloaded, request)
    assert error.value.code() == INVALID
    assert error.value.details() == (
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )


def test_a_list_replaces_the_list_and_an_empty_one_unloads_all(reloaded: Server, models: Path) -> None:
    def value(client: Grpc, name: str) -> list[float] | str:
        try:
            return list(client.predict(name, x=X).outputs["y"].float_val)
        except grpc.RpcError as error:
            failure: Any = error
            return failure.details()

    def values(client: Grpc) -> tuple[list[float] | str, list[float] | str]:
        return value(client, "m"), value(client, "other")

    gone = "Servable not found for request: Latest({})"
    with Grpc(reloaded.grpc) as client:
        reload(reloaded, model("m", models / "half_plus_two"), model("other", models / "versioned"))
        assert values(client) == ([2.5], [2.5])
        # The call waits for models that are new, not for those that have to go.
        reload(reloaded, model("other", models / "versioned"))
        wait_until(lambda: values(client) == (gone.format("m"), [2.5]))
        reload(reloaded)
        wait_until(lambda: values(client) == (gone.format("m"), gone.format("other")))


def test_labels_of_versions_that_are_available(reloaded: Server, models: Path) -> None:
    config = model("labelled", models / "versioned")
    config.model_version_policy.all.SetInParent()
    reload(reloaded, config)
    with Grpc(reloaded.grpc) as client:
        # A list is waited for until one version answers; labels need both.
        wait_until(lambda: [status.state for status in client.states("labelled").values()] == [AVAILABLE] * 2)
        config.version_labels.update({"stable": 1, "canary": 2})
        reload(reloaded, config)
        for label, expected in {"stable": 1.5, "canary": 2.5}.items():
            request = predict_request("labelled", x=X)
            request.model_spec.version_label = label
            assert client.prediction.Predict(request, timeout=TIMEOUT).outputs["y"].float_val == [expected]
