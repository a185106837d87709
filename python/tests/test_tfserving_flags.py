"""TensorFlow Serving's flags that change how its calls answer."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.examples import CLASSIFY, ask_all, classify, example, regress, rows, task
from salver_testing.saved_models import Graph, half_plus, half_plus_two, place
from salver_testing.server import ModelServer
from salver_testing.tensors import make_tensor

TIMEOUT = 30.0
ROW = example(x=2.0)


def odd() -> Graph:
    """Returns half plus two for a method that nobody knows."""
    graph = half_plus(2)
    graph.meta.signature_def["serving_default"].method_name = "mine"
    return graph


@pytest.fixture(scope="module")
def checking(tmp_path_factory: pytest.TempPathFactory, has_tensorflow: None) -> Iterator[ModelServer]:
    """A server that checks method names, and sends tensors as their content."""
    root = tmp_path_factory.mktemp("checking")
    place(root, "examples", "1", half_plus_two())
    place(root, "odd", "1", odd())
    lines = [f"config {{ name: '{name}' base_path: '{root / name}' }}" for name in ("examples", "odd")]
    (root / "models.config").write_text(f"model_config_list {{ {' '.join(lines)} }}")
    with ModelServer(
        f"--model_config_file={root / 'models.config'}",
        "--enable_signature_method_name_check",
        "--enable_serialization_as_tensor_content=true",
    ) as server:
        yield server


@pytest.fixture
def client(checking: ModelServer) -> Iterator[Grpc]:
    """A gRPC client."""
    with Grpc(checking.grpc) as client:
        yield client


PREDICTION = (
    "Expected prediction signature method_name to be one of {tensorflow/serving/predict, tensorflow/serving/classify, "
    "tensorflow/serving/regress}. Was: mine"
)
CLASSIFICATION = (
    "Expected classification signature method_name to be tensorflow/serving/classify. Was: tensorflow/serving/regress"
)
REGRESSION = (
    "Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/classify"
)


@pytest.mark.parametrize(
    ("call", "request_", "code", "message"),
    [
        ("Predict", predict_request("odd", x=make_tensor([1.0])), grpc.StatusCode.INTERNAL, PREDICTION),
        ("Predict", predict_request("odd"), grpc.StatusCode.INTERNAL, PREDICTION),
        (
            "Classify",
            classify("examples", "regress_x_to_y", ROW),
            grpc.StatusCode.INVALID_ARGUMENT,
            CLASSIFICATION,
        ),
        ("Regress", regress("examples", "classify_x_to_y", ROW), grpc.StatusCode.INVALID_ARGUMENT, REGRESSION),
        (
            "MultiInference",
            ask_all(task("examples", "regress_x_to_y", CLASSIFY), input_=rows(ROW)),
            grpc.StatusCode.INVALID_ARGUMENT,
            CLASSIFICATION,
        ),
    ],
)
def test_method_names_are_checked(
    client: Grpc,
    call: str,
    request_: Any,  # noqa: ANN401 (a message)
    code: grpc.StatusCode,
    message: str,
) -> None:
    with pytest.raises(grpc.RpcError) as error:
        getattr(client.prediction, call)(request_, timeout=TIMEOUT)
    assert (error.value.code(), error.value.details()) == (code, message)


def test_method_names_are_checked_over_rest(checking: ModelServer) -> None:
    with Rest(checking.rest) as rest:
        answer = rest.predict("odd", {"instances": [1.0]})
        assert (answer.status, answer.json) == (500, {"error": PREDICTION})
        body = b'{"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}'
        answer = rest.request("POST", "/v1/models/examples:regress", body)
        assert (answer.status, answer.json) == (400, {"error": REGRESSION})
        answer = rest.request("POST", "/v1/models/examples:classify", body)
        assert (answer.status, answer.json) == (200, {"results": [[["", 3.0]]]})


def test_tensors_are_sent_as_their_content(client: Grpc) -> None:
    answer = client.predict("examples", x=make_tensor([[1.0], [2.0]]))
    tensor = answer.outputs["y"]
    assert not tensor.float_val
    assert np.frombuffer(tensor.tensor_content, np.float32).tolist() == [2.5, 3.0]


def test_json_does_not_mind(checking: ModelServer) -> None:
    with Rest(checking.rest) as rest:
        assert rest.predict("examples", {"instances": [[1.0], [2.0]]}).json == {"predictions": [[2.5], [3.0]]}
