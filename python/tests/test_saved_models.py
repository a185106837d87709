"""What SavedModels have beyond other models: signatures, strings, tables, defaults, state, kernels with words."""

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from tensorflow.core.example.example_pb2 import Example
from tensorflow_serving.apis import get_model_metadata_pb2

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.saved_models import tensor_proto
from salver_testing.tensors import make_tensor

EMPTY_EXAMPLE = b""
LONG = "long " * 100


def example(name: str, value: float) -> bytes:
    """Returns a serialized tf.Example with one float."""
    message = Example()
    message.features.feature[name].float_list.value.append(value)
    return message.SerializeToString()


def predict(client: Grpc, model: str, signature: str = "", **inputs: Message) -> dict[str, object]:
    """Returns the outputs of a signature as numbers or strings."""
    request = predict_request(model, **inputs)
    request.model_spec.signature_name = signature
    answer = client.prediction.Predict(request, timeout=20.0)
    fields = {alias: [field for _, field in value.ListFields()] for alias, value in answer.outputs.items()}
    return {alias: list(values[-1]) for alias, values in fields.items()}


def test_every_signature_is_asked_by_its_name(grpc_client: Grpc, rest: Rest) -> None:
    two = tensor_proto([example("x", 2.0)], "string")
    assert predict(grpc_client, "examples", "classify_x_to_y", inputs=two) == {"scores": [3.0]}
    assert predict(grpc_client, "examples", "regress_x_to_y2", inputs=two) == {"outputs": [4.0]}
    assert predict(grpc_client, "examples", "regress_x2_to_y3", inputs=make_tensor([[4.0]])) == {"outputs": [5.0]}
    assert predict(grpc_client, "examples", x=make_tensor([[2.0]])) == {"y": [3.0]}
    body = {"signature_name": "regress_x2_to_y3", "instances": [[4.0], [6.0]]}
    assert rest.predict("examples", body).json == {"predictions": [[5.0], [6.0]]}


def test_strings_come_back_in_every_form(grpc_client: Grpc, rest: Rest) -> None:
    texts = ["", "snö", LONG]
    raw = [text.encode() for text in texts]
    outputs = predict(grpc_client, "text", text=tensor_proto(raw, "string"))
    upper = [text.upper().encode() for text in texts]
    assert outputs == {"raw_bytes": raw, "length": [0, 4, len(LONG)], "upper": upper}
    answer = rest.predict("text", {"inputs": [LONG]}).json["outputs"]
    assert answer["upper"] == [LONG.upper()]
    assert set(answer["raw_bytes"][0]) == {"b64"}


def test_tables_come_out_of_files(rest: Rest) -> None:
    body = {"instances": ["snö", "nowhere", "zero"]}
    assert rest.predict("vocabulary", body).json == {"predictions": [2, -1, 0]}


def test_inputs_that_are_left_out_have_their_default(grpc_client: Grpc) -> None:
    x = make_tensor([1.0, 2.0])
    assert predict(grpc_client, "scaled", x=x) == {"y": [2.0, 4.0]}
    assert predict(grpc_client, "scaled", x=x, scale=make_tensor(3.0)) == {"y": [3.0, 6.0]}


def test_nothing_but_a_client_changes_a_models_state(grpc_client: Grpc) -> None:
    assert predict(grpc_client, "counter", "get") == {"value": [0.0]}
    assert predict(grpc_client, "counter", "add", delta=make_tensor(2.0)) == {"value": [2.0]}
    assert predict(grpc_client, "counter", "add", delta=make_tensor(3.0)) == {"value": [5.0]}
    assert predict(grpc_client, "counter", "get") == {"value": [5.0]}


def test_kernels_say_what_is_wrong_in_their_own_words(grpc_client: Grpc, rest: Rest) -> None:
    expected = "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]"
    with pytest.raises(grpc.RpcError) as raised:
        grpc_client.predict("linear", x=make_tensor([[1.0, 2.0]]))
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details().startswith(expected)
    answer = rest.predict("linear", {"instances": [[1.0, 2.0]]})
    assert answer.status == 400
    assert answer.json["error"].startswith(expected)
    with pytest.raises(grpc.RpcError) as raised:
        predict(grpc_client, "examples", "classify_x_to_y", inputs=tensor_proto([EMPTY_EXAMPLE], "string"))
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Feature: x (data type: float) is required but could not be found." in raised.value.details()


def test_metadata_says_what_the_file_declares(grpc_client: Grpc) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "examples"
    answer = grpc_client.prediction.GetModelMetadata(request, timeout=20.0)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    methods = {name: signature.method_name for name, signature in signatures.signature_def.items()}
    assert methods["classify_x_to_y"] == "tensorflow/serving/classify"
    assert methods["regress_x_to_y"] == "tensorflow/serving/regress"
    inputs = signatures.signature_def["classify_x_to_y"].inputs["inputs"]
    assert inputs.name == "tf_example:0"
    assert inputs.tensor_shape.unknown_rank


def test_many_requests_at_once_get_their_own_answers(rest: Rest) -> None:
    for number in np.arange(50, dtype=float):
        assert rest.predict("half_plus_two", {"instances": [number]}).json == {"predictions": [number / 2 + 2]}
