"""Lists of models as TensorFlow Serving takes them: by gRPC and from a file, with its refusals and its waiting."""

import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from salver_testing.clients import Grpc, Rest
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

PATIENCE_SECONDS = 20.0


def config(name: str, base_path: Path | str, **more: object) -> dict[str, object]:
    """Returns what a list says of one model."""
    return {"name": name, "base_path": str(base_path), "model_platform": "tensorflow", **more}


def reload(
    server: Server, *models: dict[str, object], metric_names: tuple[str, ...] = ()
) -> model_management_pb2.ReloadConfigResponse:
    """Sends a list of models."""
    request = model_management_pb2.ReloadConfigRequest(metric_names=metric_names)
    # An empty list is a list.
    request.config.model_config_list.SetInParent()
    for model in models:
        labels = model.pop("labels", {})
        entry = request.config.model_config_list.config.add(**model)
        entry.version_labels.update(labels)
    with grpc.insecure_channel(server.grpc) as channel:
        return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=30)


def refusal(server: Server, *models: dict[str, object]) -> tuple[grpc.StatusCode, str]:
    """Sends a list that is refused, and returns why."""
    with pytest.raises(grpc.RpcError) as error:
        reload(server, *models)
    return error.value.code(), error.value.details()


def ask(server: Server, model: str) -> float:
    """Predicts for 1.0."""
    with Grpc(server.grpc) as client:
        return client.predict(model, x=make_tensor([1.0])).outputs["y"].float_val[0]


def eventually(holds: Callable[[], bool]) -> bool:
    """Looks again and again until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models of one version each, and one that is broken."""
    place(tmp_path, "two", "1", half_plus(2))
    place(tmp_path, "three", "1", half_plus(3))
    place(tmp_path, "broken", "1", b"no model")
    return tmp_path


def write_list(folder: Path, *models: dict[str, object]) -> Path:
    """Writes a list of models into a file, in one step."""
    entries = []
    for model in models:
        labels = model.get("labels", {})
        assert isinstance(labels, dict)
        fields = "".join(f"{key}: '{value}' " for key, value in model.items() if key != "labels")
        fields += "".join(f"version_labels {{ key: '{label}' value: {version} }} " for label, version in labels.items())
        entries.append(f"  config {{ {fields}}}\n")
    staged = folder / "models.config.next"
    staged.write_text(f"model_config_list {{\n{''.join(entries)}}}\n")
    return staged.rename(folder / "models.config")


def test_lists_are_refused_in_tensorflow_serving_s_words(folder: Path) -> None:
    two = config("two", folder / "two")
    invalid, failed, unknown = (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNKNOWN,
    )
    with Server(folder / "two") as server:
        reload(server, dict(two))
        rows = [
            ([two, two], invalid, "Illegal to list model two multiple times in config list"),
            (
                [config("m", "p")],
                invalid,
                "Expected model m to have an absolute path or URI; got base_path()=p",
            ),
            (
                [two | {"model_platform": "p"}],
                invalid,
                "Illegal to change a model's platform. For model two platform was tensorflow "
                "and new platform requested is p",
            ),
            (
                [two, config("m", folder / "three") | {"model_platform": "p"}],
                invalid,
                "Model m requests unsupported platform p",
            ),
            (
                [two | {"labels": {"stable": 2}}],
                failed,
                "Request to assign label to version 2 of model two, which is not currently available for inference",
            ),
        ]
        for models, code, message in rows:
            assert refusal(server, *(dict(model) for model in models)) == (code, message)
            assert ask(server, "two") == 2.5
        code, message = refusal(server, dict(two), config("broken", folder / "broken"))
        assert code == unknown
        assert message.startswith("1 model(s) did not become available: {{{name: broken version: 1} due to error: ")
        assert ask(server, "two") == 2.5


def test_a_request_without_a_list_is_refused(folder: Path) -> None:
    with Server(folder / "two") as server, grpc.insecure_channel(server.grpc) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=30)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert error.value.details() == (
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )


def test_an_empty_list_unloads_everything(folder: Path) -> None:
    with Server(folder / "two") as server, Rest(server.rest) as rest:
        reload(server)
        assert eventually(lambda: rest.predict("two", {"instances": [1.0]}).status == 404)
        reload(server, config("two", folder / "two"))
        assert ask(server, "two") == 2.5


def test_counters_are_told_by_how_much_they_grew(folder: Path) -> None:
    with Server(folder / "two") as server:
        names = ("salver_model_loads_total", "nonsense")
        models = [config("two", folder / "two"), config("three", folder / "three")]
        answer = reload(server, *models, metric_names=names)
        grown = {metric.name: metric.int64_value_increase for metric in answer.metric}
        # Each result has a counter of its own; the first on the page is what counts.
        assert set(grown) == set(names)
        assert grown["nonsense"] == 0
        assert ask(server, "three") == 3.5


def test_labels_move_between_versions_that_answer(folder: Path) -> None:
    place(folder, "two", "2", half_plus(4))
    both = config("two", folder / "two")
    with Server(folder / "two") as server, Rest(server.rest) as rest:

        def send(**labels: int) -> None:
            request = model_management_pb2.ReloadConfigRequest()
            entry = request.config.model_config_list.config.add(**both)
            entry.model_version_policy.all.SetInParent()
            entry.version_labels.update(labels)
            with grpc.insecure_channel(server.grpc) as channel:
                model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=30)

        send()
        assert eventually(lambda: len(rest.states("two")) == 2)
        assert eventually(lambda: all(state["state"] == "AVAILABLE" for state in rest.states("two").values()))
        for stable, canary in [(1, 2), (2, 2), (2, 1)]:
            send(stable=stable, canary=canary)
            answers = {1: 2.5, 2: 4.5}
            for label, version in {"stable": stable, "canary": canary}.items():
                answer = rest.predict(f"two/labels/{label}", {"instances": [1.0]})
                assert answer.json == {"predictions": [answers[version]]}
        send(canary=2)
        refused = rest.predict("two/labels/stable", {"instances": [1.0]})
        assert (refused.status, refused.json["error"]) == (400, "Unrecognized servable version label: stable")


def test_unused_labels_may_wait_for_their_version_where_that_is_allowed(folder: Path) -> None:
    flag = "--allow_version_labels_for_unavailable_models"
    two = config("two", folder / "two")
    with Server(folder / "two", flag) as server:
        reload(server, two | {"labels": {"stable": 1, "next": 7}})
        code, _ = refusal(server, two | {"labels": {"stable": 7}})
        assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_a_file_is_read_again_and_wins_over_what_came_by_grpc(folder: Path) -> None:
    file = write_list(folder, config("two", folder / "two"))
    flags = [f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=0.2"]
    with Server(None, *flags) as server, Rest(server.rest) as rest:

        def serves(model: str) -> bool:
            return rest.predict(model, {"instances": [1.0]}).status == 200

        assert serves("two")
        write_list(folder, config("two", folder / "two"), config("three", folder / "three", labels={"stable": 1}))
        assert eventually(lambda: serves("three"))
        assert eventually(lambda: serves("three/labels/stable"))
        reload(server, config("two", folder / "two"))
        # It goes on answering while it is unloaded: that it is back is told by the log.
        server.wait_for_lines(2, message="loaded", model="three")
        assert eventually(lambda: serves("three"))
        file.write_text("model_config_list {")
        file.unlink()
        assert serves("two")
        assert serves("three")
