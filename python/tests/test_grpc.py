"""TensorFlow Serving's gRPC API, called with TensorFlow's own client library."""

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.http2 import Http2, frame, grpc_headers
from salver_testing.server import Server
from salver_testing.tensors import DTYPES, make_tensor, read_field

ECHOED = {
    "float": [0.5, -1.25, 3e38],
    "double": [0.5, -1e300, 3.25],
    "half": [0.5, -2.0, 65504.0],
    "int64": [0, -5, 2**31 - 1],
    "int32": [0, -(2**31), 2**31 - 1],
    "int16": [0, -(2**15), 2**15 - 1],
    "int8": [0, -128, 127],
    "uint64": [0, 1, 2**64 - 1],
    "uint32": [0, 1, 2**32 - 1],
    "uint16": [0, 1, 65535],
    "uint8": [0, 1, 255],
    "bool": [True, False, True],
}
# Every engine has to serve these.
ALWAYS_SERVED = {"float", "int64", "int32", "int8", "uint8"}


def skip_unless_served(client: Grpc, word: str) -> None:
    """Skips a dtype that the engine says it cannot compute in."""
    (status,) = client.states(f"echo_{word}").values()
    if status.state != status.AVAILABLE:
        assert word not in ALWAYS_SERVED, status
        assert status.status.error_code, "a version that is not served says why"
        pytest.skip(status.status.error_message)


def test_the_snippet_that_every_tutorial_shows(server: Server) -> None:
    channel = grpc.insecure_channel(server.grpc)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    pb_request = predict_pb2.PredictRequest()
    pb_request.model_spec.name = "half_plus_two"
    pb_request.model_spec.signature_name = "serving_default"
    pb_request.inputs["x"].CopyFrom(make_tensor(np.array([1.0, 2.0, 5.0], np.float32)))
    pb_response = stub.Predict(pb_request, timeout=20.0)
    assert list(pb_response.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert pb_response.outputs["y"].tensor_content == b""
    channel.close()


def test_answers_name_the_version_and_signature_that_were_used(grpc_client: Grpc) -> None:
    spec = grpc_client.predict("half_plus_two", x=make_tensor([2.0])).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "serving_default")


@pytest.mark.parametrize("is_content", [True, False], ids=["content", "field"])
@pytest.mark.parametrize("word", DTYPES)
def test_every_dtype_comes_back_as_it_was_sent(grpc_client: Grpc, word: str, is_content: bool) -> None:
    skip_unless_served(grpc_client, word)
    sent = make_tensor(ECHOED[word], word, is_content=is_content)
    answer = grpc_client.predict(f"echo_{word}", x=sent).outputs["y"]
    assert answer.dtype == sent.dtype
    np.testing.assert_array_equal(read_field(answer), np.array(ECHOED[word], DTYPES[word][1]))


def test_the_last_value_of_a_field_is_repeated(grpc_client: Grpc) -> None:
    tensor = make_tensor([2.0], is_content=False)
    tensor.tensor_shape.dim[0].size = 3
    answer = grpc_client.predict("half_plus_two", x=tensor)
    assert list(answer.outputs["y"].float_val) == [3.0, 3.0, 3.0]


def test_a_field_without_values_is_zeros(grpc_client: Grpc) -> None:
    tensor = make_tensor([0.0, 0.0], is_content=False)
    tensor.ClearField("float_val")
    assert list(grpc_client.predict("half_plus_two", x=tensor).outputs["y"].float_val) == [2.0, 2.0]


def test_surplus_values_of_a_field_are_ignored(grpc_client: Grpc) -> None:
    tensor = make_tensor([1.0, 2.0, 3.0], is_content=False)
    tensor.tensor_shape.dim[0].size = 2
    assert list(grpc_client.predict("half_plus_two", x=tensor).outputs["y"].float_val) == [2.5, 3.0]


def test_small_integers_wrap_around(grpc_client: Grpc) -> None:
    tensor = make_tensor([0], "uint8", is_content=False)
    tensor.int_val[:] = [300]
    assert list(grpc_client.predict("echo_uint8", x=tensor).outputs["y"].int_val) == [44]


def test_shapes_are_the_models_matter(grpc_client: Grpc) -> None:
    answer = grpc_client.predict("any_shape", x=make_tensor([[1.0], [2.0]]))
    np.testing.assert_array_equal(read_field(answer.outputs["y"]), [[2.5], [3.0]])
    empty = grpc_client.predict("half_plus_two", x=make_tensor(np.zeros(0)))
    assert [dim.size for dim in empty.outputs["y"].tensor_shape.dim] == [0]


def test_the_output_filter_selects(grpc_client: Grpc) -> None:
    request = predict_request("sum_and_difference", a=make_tensor([5.0]), b=make_tensor([3.0]))
    every = grpc_client.prediction.Predict(request).outputs
    assert {alias: list(tensor.float_val) for alias, tensor in every.items()} == {"sum": [8.0], "difference": [2.0]}
    request.output_filter.append("difference")
    assert list(grpc_client.prediction.Predict(request).outputs) == ["difference"]


def test_versions_and_labels(grpc_client: Grpc) -> None:
    def predict(version: int = 0, label: str = "") -> tuple[int, float]:
        request = predict_request("versioned", x=make_tensor([0.0]))
        if version:
            request.model_spec.version.value = version
        if label:
            request.model_spec.version_label = label
        answer = grpc_client.prediction.Predict(request)
        return answer.model_spec.version.value, answer.outputs["y"].float_val[0]

    assert predict() == (2, 2.0)
    assert predict(version=1) == (1, 1.0)
    assert predict(label="stable") == (1, 1.0)
    assert predict(label="canary") == (2, 2.0)


def test_gzip_requests(server: Server) -> None:
    with Grpc(server.grpc, grpc.Compression.Gzip) as client:
        values = np.zeros(100_000, np.float32)
        answer = client.predict("half_plus_two", x=make_tensor(values))
        np.testing.assert_array_equal(read_field(answer.outputs["y"]), values + 2)


def test_messages_beyond_the_usual_4_megabytes(grpc_client: Grpc) -> None:
    values = np.arange(3_000_000, dtype=np.float32)
    answer = grpc_client.predict("half_plus_two", x=make_tensor(values))
    np.testing.assert_array_equal(read_field(answer.outputs["y"]), values / 2 + 2)


def test_metadata(grpc_client: Grpc) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half_plus_two"
    answer = grpc_client.prediction.GetModelMetadata(request)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("half_plus_two", 123)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert list(answer.metadata) == ["signature_def"]
    assert answer.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert signature.inputs["x"].dtype == signature.outputs["y"].dtype == DataType.DT_FLOAT
    assert [dim.size for dim in signature.inputs["x"].tensor_shape.dim] == [-1]


def test_status(grpc_client: Grpc, rest: Rest) -> None:
    states = grpc_client.states("versioned")
    assert list(states) == [2, 1], "highest first"
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    for status in states.values():
        assert (status.state, status.status.error_code, status.status.error_message) == (available, 0, "")
    assert list(rest.states("versioned")) == [2, 1]


def test_health(grpc_client: Grpc) -> None:
    stub = health_pb2_grpc.HealthStub(grpc_client.channel)
    for name in ("", "ModelService", "PredictionService", "tensorflow.serving.PredictionService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection(grpc_client: Grpc) -> None:
    database = ProtoReflectionDescriptorDatabase(grpc_client.channel)
    services = set(database.get_services())
    wanted = {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "grpc.health.v1.Health"}
    assert wanted <= services
    service = DescriptorPool(database).FindServiceByName("tensorflow.serving.PredictionService")
    assert "Predict" in service.methods_by_name
    assert service.methods_by_name["Predict"].input_type.fields_by_name["inputs"]


def test_one_value_fills_a_large_tensor(grpc_client: Grpc) -> None:
    # Far larger than its message: room is reserved for it before it is made.
    tensor = make_tensor([7.0], is_content=False)
    tensor.tensor_shape.dim[0].size = 10**6
    values = read_field(grpc_client.predict("echo_float", x=tensor).outputs["y"])
    assert values.shape == (10**6,)
    assert (values == 7.0).all()


def test_a_tensor_that_is_larger_than_the_server_is_refused(grpc_client: Grpc) -> None:
    tensor = make_tensor([7.0], is_content=False)
    tensor.tensor_shape.dim[0].size = 10**9
    with pytest.raises(grpc.RpcError) as error:
        grpc_client.predict("echo_float", x=tensor)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "input `x` takes more than" in error.value.details()
    assert len(grpc_client.predict("half_plus_two", x=make_tensor([1.0])).outputs["y"].float_val) == 1


def test_a_deadline_that_has_passed(server: Server) -> None:
    # A gRPC library rounds a time-out up to a millisecond, which is enough for an answer.
    request = predict_request("half_plus_two", x=make_tensor([1.0])).SerializeToString()
    with Http2(server.grpc) as connection:
        answer = connection.call(grpc_headers(server.grpc, grpc_timeout="1n"), frame(request))
    assert answer["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])


@pytest.mark.parametrize("method", ["SessionService/SessionRun", "PredictionService/Guess", "Nobody/Predict"])
def test_calls_that_are_not_offered_say_so(grpc_client: Grpc, method: str) -> None:
    with pytest.raises(grpc.RpcError) as error:
        grpc_client.call(f"/tensorflow.serving.{method}", b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details()
