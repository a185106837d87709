"""`HandleReloadConfigRequest`: a new list of models takes the place of what is served."""

from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from salver_testing.clients import Grpc
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor


def reload(server: Server, **base_paths: Path) -> None:
    """Sends a list of models by name and folder."""
    request = model_management_pb2.ReloadConfigRequest()
    for name, base_path in base_paths.items():
        request.config.model_config_list.config.add(name=name, base_path=str(base_path), model_platform="tensorflow")
    with grpc.insecure_channel(server.grpc) as channel:
        answer = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=30)
    assert answer.status.error_code == 0


def ask(server: Server, model: str) -> float:
    """Predicts for 1.0."""
    with Grpc(server.grpc) as client:
        return client.predict(model, x=make_tensor([1.0])).outputs["y"].float_val[0]


def test_a_list_replaces_what_is_served(tmp_path: Path) -> None:
    served, elsewhere = tmp_path / "served", tmp_path / "elsewhere"
    place(served, "two", "1", half_plus(2))
    place(elsewhere, "three", "1", half_plus(3))
    with Server(served) as server:
        assert ask(server, "two") == 2.5
        reload(server, three=elsewhere / "three")
        assert ask(server, "three") == 3.5
        with pytest.raises(grpc.RpcError) as error:
            ask(server, "two")
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
        reload(server, two=served / "two", three=elsewhere / "three")
        assert (ask(server, "two"), ask(server, "three")) == (2.5, 3.5)


def test_a_model_that_does_not_load_is_named_and_the_others_serve(tmp_path: Path) -> None:
    place(tmp_path, "two", "1", half_plus(2))
    place(tmp_path, "broken", "1", b"no model")
    with Server(tmp_path / "two") as server:
        with pytest.raises(grpc.RpcError) as error:
            reload(server, two=tmp_path / "two", broken=tmp_path / "broken")
        assert error.value.code() == grpc.StatusCode.UNKNOWN
        assert "1 model(s) did not become available" in error.value.details()
        assert ask(server, "two") == 2.5
