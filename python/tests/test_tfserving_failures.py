"""How TensorFlow Serving's gRPC calls fail: the code and the message of each row, to the byte.

The rows run on SavedModels with TensorFlow. Left out are the rows about batching queues.
"""

from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from salver_testing.clients import Grpc, predict_request
from salver_testing.examples import CLASSIFY, REGRESS, ask_all, classify, example, model_spec, regress, rows, task
from salver_testing.saved_models import tensor_proto
from salver_testing.server import Server
from salver_testing.slow import size_that_takes
from salver_testing.tensors import make_tensor

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND

PREDICTION, MODELS = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
METHODS = {
    predict_pb2.PredictRequest: f"{PREDICTION}/Predict",
    classification_pb2.ClassificationRequest: f"{PREDICTION}/Classify",
    regression_pb2.RegressionRequest: f"{PREDICTION}/Regress",
    inference_pb2.MultiInferenceRequest: f"{PREDICTION}/MultiInference",
    get_model_metadata_pb2.GetModelMetadataRequest: f"{PREDICTION}/GetModelMetadata",
    get_model_status_pb2.GetModelStatusRequest: f"{MODELS}/GetModelStatus",
}

# `half_plus_two` has x and y; `examples` the signatures that take rows; `versioned` versions 1 and 2.
X = make_tensor([1.0])
ROW = example(x=2.0)


@dataclass(frozen=True)
class Row:
    """One way to fail; the message may be a beginning, which ends in an ellipsis."""

    name: str
    request: Message
    code: grpc.StatusCode
    message: str


def predict(model: str = "half_plus_two", **inputs: Any) -> predict_pb2.PredictRequest:  # noqa: ANN401 (tensors)
    """Returns a prediction."""
    return predict_request(model, **inputs)


def spec(request: Message, **fields: object) -> Message:
    """Sets fields of a request's `model_spec`."""
    for name, value in fields.items():
        if name == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, name, value)
    return request


def filtered(*aliases: str) -> predict_pb2.PredictRequest:
    """Returns a prediction that asks for some outputs."""
    request = predict(x=X)
    request.output_filter.extend(aliases)
    return request


def metadata(model: str, *fields: str) -> get_model_metadata_pb2.GetModelMetadataRequest:
    """Asks for metadata."""
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec=model_spec(model), metadata_field=fields)


def status(model: str, version: int | None = None) -> get_model_status_pb2.GetModelStatusRequest:
    """Asks for the states of versions."""
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(model))
    return request if version is None else spec(request, version=version)


LOOKUPS = [
    Row("no model_spec", predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec"),
    Row("no model_spec, classify", classification_pb2.ClassificationRequest(), INVALID, "Missing ModelSpec"),
    Row("no model_spec, regress", regression_pb2.RegressionRequest(), INVALID, "Missing ModelSpec"),
    Row("no model_spec, metadata", get_model_metadata_pb2.GetModelMetadataRequest(), INVALID, "Missing ModelSpec"),
    Row("no model_spec, status", get_model_status_pb2.GetModelStatusRequest(), INVALID, "Missing ModelSpec"),
    Row("no tasks", inference_pb2.MultiInferenceRequest(), INVALID, "ModelSpec has no name specified."),
    Row("empty name", predict(""), INVALID, "ModelSpec has no name specified."),
    Row("empty name, classify", classify("", "", ROW), INVALID, "ModelSpec has no name specified."),
    Row("empty name, regress", regress("", "", ROW), INVALID, "ModelSpec has no name specified."),
    Row("empty name, metadata", metadata("", "signature_def"), INVALID, "ModelSpec has no name specified."),
    Row("unknown model", predict("foo"), NOT_FOUND, "Servable not found for request: Latest(foo)"),
    Row("unknown model, classify", classify("foo", "", ROW), NOT_FOUND, "Servable not found for request: Latest(foo)"),
    Row("unknown model, regress", regress("foo", "", ROW), NOT_FOUND, "Servable not found for request: Latest(foo)"),
    Row(
        "unknown model, several questions",
        ask_all(task("foo", "", CLASSIFY), input_=rows(ROW)),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    Row(
        "unknown model, metadata",
        metadata("foo", "signature_def"),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    Row(
        "unknown version",
        spec(predict(), version=99),
        NOT_FOUND,
        "Servable not found for request: Specific(half_plus_two, 99)",
    ),
    Row(
        "unknown version, classify",
        spec(classify("examples", "", ROW), version=99),
        NOT_FOUND,
        "Servable not found for request: Specific(examples, 99)",
    ),
    Row(
        "unknown label",
        spec(predict("versioned"), version_label="X"),
        INVALID,
        "Unrecognized servable version label: X",
    ),
    Row(
        "label of an unknown model",
        spec(predict("foo"), version_label="X"),
        INVALID,
        "Unrecognized servable version label: X",
    ),
    Row(
        "unknown signature, Predict",
        spec(predict(x=X), signature_name="X"),
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "X" not found.',
    ),
    Row(
        "no default signature, Predict",
        predict("counter"),
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "serving_default" not found.',
    ),
    Row(
        "unknown signature, Classify",
        classify("examples", "X", ROW),
        INVALID,
        "No signature was found with the name: X",
    ),
    Row(
        "unknown signature, Regress", regress("examples", "X", ROW), INVALID, "No signature was found with the name: X"
    ),
    Row(
        "no default signature, Regress",
        regress("counter", "", ROW),
        INVALID,
        "No signature was found with the name: serving_default",
    ),
    Row(
        "unknown signature, MultiInference",
        ask_all(task("examples", "X", CLASSIFY), input_=rows(ROW)),
        INVALID,
        "Requested signature not found in model graph: X",
    ),
]

INPUTS = [
    Row(
        "missing input",
        predict(),
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
    ),
    Row(
        "extra input",
        predict(x=X, zz=X),
        INVALID,
        "input size does not match signature: 2!=1 len({x,zz}) != len({x}). Sent extra: {zz}. Missing but "
        "required: {}.",
    ),
    Row(
        "one of two inputs",
        predict("sum_and_difference", b=X),
        INVALID,
        "input size does not match signature: 1!=2 len({b}) != len({a,b}). Sent extra: {}. Missing but required: {a}.",
    ),
    Row(
        "more inputs than a signature with defaults has",
        predict("scaled", x=X, scale=tensor_proto(2.0), z=X),
        INVALID,
        "input size does not match signature: 3!=2 len({scale,x,z}) != len({scale,x}). Sent extra: {z}. "
        "Missing but required: {}.",
    ),
    Row(
        "right count, wrong alias",
        predict(zz=X),
        INVALID,
        "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {zz}, or default input alias set: ",
    ),
    Row(
        "an input without a default is left out",
        predict("scaled", scale=tensor_proto(2.0)),
        INVALID,
        "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {scale}, or default input alias set: scale",
    ),
    Row(
        "an unknown input in the place of a default",
        predict("scaled", x=X, z=X),
        INVALID,
        "Inputs contains invalid name. Used request inputs: x, request input: x,z",
    ),
    Row(
        "undecodable TensorProto",
        predict(x=type(X)(dtype=X.dtype, tensor_shape=X.tensor_shape, tensor_content=b"abc")),
        INVALID,
        "tensor parsing error: x",
    ),
    Row(
        "wrong dtype",
        predict(x=tensor_proto(["a"], "string")),
        INVALID,
        "Expects arg[0] to be float but string is provided",
    ),
    Row(
        "wrong dtype of the second",
        predict("sum_and_difference", a=X, b=make_tensor([1], "int64")),
        INVALID,
        "Expects arg[1] to be float but int64 is provided",
    ),
    Row(
        "wrong shape: what the kernels say",
        predict("linear", x=make_tensor([[1.0, 2.0]])),
        INVALID,
        "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]\n\t [[{{node y}}]]",
    ),
    Row(
        "unknown output_filter",
        filtered("X"),
        INVALID,
        "output tensor alias not found in signature: X Outputs expected to be in the set {y}.",
    ),
    Row("duplicate output_filter", filtered("y", "y"), INVALID, "duplicate output tensor alias: y"),
    Row(
        "output_filter before dtypes",
        predict_pb2.PredictRequest(
            model_spec=model_spec("half_plus_two"),
            inputs={"x": tensor_proto(["a"], "string")},
            output_filter=["X"],
        ),
        INVALID,
        "output tensor alias not found in signature: X Outputs expected to be in the set {y}.",
    ),
]

OTHER_CALLS = [
    Row(
        "metadata_field empty",
        metadata("half_plus_two"),
        INVALID,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    Row("metadata_field other", metadata("half_plus_two", "foo"), INVALID, "Metadata field foo is not supported"),
    Row("metadata_field before the model", metadata("foo", "bar"), INVALID, "Metadata field bar is not supported"),
    Row("status unknown model", status("foo"), NOT_FOUND, "Could not find any versions of model foo"),
    Row("status of no name", status(""), NOT_FOUND, "Could not find any versions of model "),
    Row(
        "status unknown version",
        status("half_plus_two", 99),
        NOT_FOUND,
        "Could not find version 99 of model half_plus_two",
    ),
    Row("status unknown model and version", status("foo", 1), NOT_FOUND, "Could not find version 1 of model foo"),
]

ROWS_OF_EXAMPLES = [
    Row("no examples, classify", classify("examples", "classify_x_to_y"), INVALID, "Input is empty."),
    Row("no examples, regress", regress("examples", "regress_x_to_y"), INVALID, "Input is empty."),
    Row(
        "no examples but a context",
        classify("examples", "classify_x_to_y", context=ROW),
        INVALID,
        "Input is empty.",
    ),
    Row(
        "no examples, several questions",
        ask_all(task("examples", "classify_x_to_y", CLASSIFY), input_=rows()),
        INVALID,
        "Input is empty.",
    ),
    Row(
        "the form before the examples",
        classify("sum_and_difference", ""),
        INVALID,
        "Expected one input Tensor.",
    ),
    Row("two inputs, regress", regress("sum_and_difference", "", ROW), INVALID, "Expected one input Tensor."),
    Row("three outputs, classify", classify("text", "", ROW), INVALID, "Expected one or two output Tensors, found 3"),
    Row("two outputs, regress", regress("words", "", ROW), INVALID, "Expected one output Tensor."),
    Row(
        "input of another name, classify",
        classify("half_plus_two", "", ROW),
        INVALID,
        'No classification inputs found in SignatureDef: inputs {\n  key: "x"\n  value {\n    name: "x:0"\n...',
    ),
    Row(
        "input of another name, regress",
        regress("half_plus_two", "", ROW),
        INVALID,
        'No regression inputs found in SignatureDef: inputs {\n  key: "x"\n  value {\n    name: "x:0"\n...',
    ),
    Row(
        "no classes and no scores",
        classify("examples", "regress_x_to_y", ROW),
        INVALID,
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: '
        'inputs {\n  key: "inputs"\n...',
    ),
    Row(
        "no outputs, regress",
        regress("examples", "classify_x_to_y", ROW),
        INVALID,
        'No regression outputs found in SignatureDef: inputs {\n  key: "inputs"\n...',
    ),
    Row(
        "rows for an input of floats",
        classify("examples", "classify_x2_to_y3", ROW),
        INVALID,
        "Expects arg[0] to be float but string is provided",
    ),
    Row(
        "rows without a feature that is asked for",
        classify("examples", "classify_x_to_y", example(z=1.0)),
        INVALID,
        "Name: <unknown>, Feature: x (data type: float) is required but could not be found.\n\t [[{{node parse}}]]",
    ),
    Row(
        "a duplicate question",
        ask_all(
            task("examples", "classify_x_to_y", CLASSIFY),
            task("examples", "classify_x_to_y", REGRESS),
            input_=rows(ROW),
        ),
        INVALID,
        "Duplicate evaluation of signature: classify_x_to_y",
    ),
    Row(
        "questions to two models",
        ask_all(task("examples", "classify_x_to_y", CLASSIFY), task("words", "", CLASSIFY), input_=rows(ROW)),
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    Row(
        "a question to nobody",
        ask_all(task("examples", "classify_x_to_y", CLASSIFY), task("", "", CLASSIFY), input_=rows(ROW)),
        INVALID,
        "Found ModelSpec with an empty model name.",
    ),
    Row(
        "a question of another kind",
        ask_all(task("examples", "serving_default", "tensorflow/serving/predict"), input_=rows(ROW)),
        grpc.StatusCode.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    Row(
        "a question to a signature of the wrong form",
        ask_all(task("examples", "classify_x_to_y", REGRESS), input_=rows(ROW)),
        INVALID,
        'No regression outputs found in SignatureDef: inputs {\n  key: "inputs"\n...',
    ),
]

TABLE = [*LOOKUPS, *INPUTS, *OTHER_CALLS, *ROWS_OF_EXAMPLES]


def check(client: Grpc, row: Row) -> None:
    """Sends the request and compares what comes back."""
    with pytest.raises(grpc.RpcError) as error:
        client.call(f"/{METHODS[type(row.request)]}", row.request.SerializeToString())
    failure: Any = error.value
    code, message = failure.code(), failure.details()
    assert code == row.code, message
    if row.message.endswith("..."):
        assert message.startswith(row.message.removesuffix("...")), message
    else:
        assert message == row.message


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_failure(saved_models_grpc: Grpc, row: Row) -> None:
    check(saved_models_grpc, row)


def test_a_deadline_that_passes_while_the_model_runs(saved_models_grpc: Grpc) -> None:
    size = make_tensor(size_that_takes(saved_models_grpc, seconds=1), "int32")
    with pytest.raises(grpc.RpcError) as error:
        saved_models_grpc.predict("slow", timeout=0.2, x=X, size=size)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_long_messages_are_cut(saved_models_grpc: Grpc) -> None:
    name = "n" * 2000
    with pytest.raises(grpc.RpcError) as error:
        saved_models_grpc.predict(name)
    details = error.value.details()
    assert details == f"Servable not found for request: Latest({name}"[:1024] + "...TRUNCATED"


def test_the_server_is_well_afterwards(saved_models_server: Server, saved_models_grpc: Grpc) -> None:
    assert saved_models_server.is_alive
    assert saved_models_grpc.predict("half_plus_two", x=X).outputs["y"].float_val == [2.5]
