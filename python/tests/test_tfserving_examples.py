"""Rows of `tensorflow.Example` over gRPC and REST: answers, their model_spec, and what does not fit into memory."""

import json
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.examples import CLASSIFY, REGRESS, ask_all, classify, example, regress, rows, task
from salver_testing.saved_models import place, slow, tensor_proto
from salver_testing.server import Server
from salver_testing.slow import size_that_takes
from salver_testing.tensors import make_tensor

ROW = example(x=2.0)
TIMEOUT = 30.0


def scores(result: classification_pb2.ClassificationResult) -> list[list[tuple[str, float]]]:
    """Returns label and score of each class of each row."""
    return [[(class_.label, class_.score) for class_ in row.classes] for row in result.classifications]


def values(result: regression_pb2.RegressionResult) -> list[float]:
    """Returns the value of each row."""
    return [row.value for row in result.regressions]


def test_classify(saved_models_grpc: Grpc) -> None:
    request = classify("examples", "classify_x_to_y", ROW, example(x=4.0))
    answer = saved_models_grpc.prediction.Classify(request, timeout=TIMEOUT)
    assert scores(answer.result) == [[("", 3.0)], [("", 4.0)]]
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("examples", 1, "classify_x_to_y")


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("", [("ab", 2.0), ("AB", 2.0)]),
        ("classes", [("ab", 0.0), ("AB", 0.0)]),
        ("scores", [("", 2.0), ("", 2.0)]),
    ],
)
def test_labels_scores_or_both(saved_models_grpc: Grpc, signature: str, expected: list[tuple[str, float]]) -> None:
    request = classify("words", signature, example(word=b"ab"))
    answer = saved_models_grpc.prediction.Classify(request, timeout=TIMEOUT)
    assert scores(answer.result) == [expected]
    assert answer.model_spec.signature_name == (signature or "serving_default")


def test_regress(saved_models_grpc: Grpc) -> None:
    request = regress("examples", "regress_x_to_y2", ROW, ROW)
    answer = saved_models_grpc.prediction.Regress(request, timeout=TIMEOUT)
    assert values(answer.result) == [4.0, 4.0]
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("examples", 1, "regress_x_to_y2")


def test_rows_with_a_context(saved_models_grpc: Grpc) -> None:
    request = regress("examples", "regress_x_to_y", example(z=1.0), ROW, context=example(x=6.0))
    answer = saved_models_grpc.prediction.Regress(request, timeout=TIMEOUT)
    assert values(answer.result) == [5.0, 3.0], "what a row has itself counts"


def test_several_questions_by_one_run(saved_models_grpc: Grpc) -> None:
    questions = [("regress_x_to_y2", REGRESS), ("classify_x_to_y", CLASSIFY), ("regress_x_to_y", REGRESS)]
    tasks = [task("examples", signature, method) for signature, method in questions]
    answer = saved_models_grpc.prediction.MultiInference(ask_all(*tasks, input_=rows(ROW)), timeout=TIMEOUT)
    assert [result.WhichOneof("result") for result in answer.results] == [
        "regression_result",
        "classification_result",
        "regression_result",
    ]
    first, second, third = answer.results
    assert values(first.regression_result) == [4.0]
    assert scores(second.classification_result) == [[("", 3.0)]]
    assert values(third.regression_result) == [3.0]
    specs = [(spec.name, spec.version.value, spec.signature_name) for spec in (r.model_spec for r in answer.results)]
    assert specs == [("examples", 1, signature) for signature, _ in questions]


def test_one_question_among_several(saved_models_grpc: Grpc) -> None:
    request = inference_pb2.MultiInferenceRequest(tasks=[task("words", "", CLASSIFY)], input=rows(example(word=b"a")))
    answer = saved_models_grpc.prediction.MultiInference(request, timeout=TIMEOUT)
    assert scores(answer.results[0].classification_result) == [[("a", 1.0), ("A", 1.0)]]
    assert answer.results[0].model_spec.signature_name == "serving_default"


def test_signatures_for_rows_take_predictions_too(saved_models_grpc: Grpc) -> None:
    request = predict_request("examples", inputs=tensor_proto([ROW.SerializeToString()], "string"))
    request.model_spec.signature_name = "regress_x_to_y"
    answer = saved_models_grpc.prediction.Predict(request, timeout=TIMEOUT)
    assert list(answer.outputs["outputs"].float_val) == [3.0]


def test_output_filters(saved_models_grpc: Grpc) -> None:
    request = predict_request("sum_and_difference", a=make_tensor([3.0]), b=make_tensor([1.0]))
    request.output_filter.append("difference")
    answer = saved_models_grpc.prediction.Predict(request, timeout=TIMEOUT)
    assert {alias: list(tensor.float_val) for alias, tensor in answer.outputs.items()} == {"difference": [2.0]}


def test_inputs_that_have_a_default_may_be_left_out(saved_models_grpc: Grpc) -> None:
    def scaled(**inputs: object) -> list[float]:
        return list(saved_models_grpc.predict("scaled", **inputs).outputs["y"].float_val)

    assert scaled(x=make_tensor([3.0])) == [6.0]
    assert scaled(x=make_tensor([3.0]), scale=tensor_proto(5.0)) == [15.0]


@pytest.mark.parametrize("shape", [[], [3], [2, 2], [0], [1, 1, 1]])
def test_shapes_of_a_signature_are_not_enforced(saved_models_grpc: Grpc, shape: list[int]) -> None:
    tensor = make_tensor([1.0] * 4)
    tensor.ClearField("tensor_shape")
    tensor.ClearField("tensor_content")
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.append(1.0)
    answer: predict_pb2.PredictResponse = saved_models_grpc.predict("half_plus_two", x=tensor)
    assert [dim.size for dim in answer.outputs["y"].tensor_shape.dim] == shape


def test_many_rows(saved_models_grpc: Grpc, saved_models_rest: Rest) -> None:
    numbers = [float(number) for number in range(20_000)]
    request = regress("examples", "regress_x_to_y", *(example(x=number) for number in numbers))
    answer = saved_models_grpc.prediction.Regress(request, timeout=TIMEOUT)
    expected = [number / 2 + 2 for number in numbers]
    assert values(answer.result) == expected
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": number} for number in numbers]}
    rest = saved_models_rest.request("POST", "/v1/models/examples:regress", json.dumps(body).encode())
    assert rest.json == {"results": expected}


def test_what_rows_have_in_common_must_fit_as_often_as_there_are_rows(
    saved_models_grpc: Grpc, saved_models_rest: Rest
) -> None:
    context, num_rows = example(c=b"c" * 1_000_000), 10_000
    request = regress("examples", "regress_x_to_y", *[example()] * num_rows, context=context)
    with pytest.raises(grpc.RpcError) as error:
        saved_models_grpc.prediction.Regress(request, timeout=TIMEOUT)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    body = {"signature_name": "regress_x_to_y", "context": {"c": "c" * 1_000_000}, "examples": [{}] * num_rows}
    answer = saved_models_rest.request("POST", "/v1/models/examples:regress", json.dumps(body).encode())
    assert answer.status == 413, answer
    assert values(saved_models_grpc.prediction.Regress(regress("examples", "regress_x_to_y", ROW)).result) == [3.0]


def test_no_bytes_stay_reserved(saved_models_rest: Rest) -> None:
    text = saved_models_rest.get("/metrics").body.decode()
    inflight = [line for line in text.splitlines() if "inflight_bytes " in line and not line.startswith("#")]
    assert [float(line.split()[-1]) for line in inflight] == [0.0]


def test_the_server_ends_well_although_tensorflow_is_busy(tmp_path: Path, has_tensorflow: None) -> None:
    place(tmp_path, "slow", "1", slow())
    with Server(tmp_path, "--drain-timeout=100ms", engine="tensorflow") as server:
        with Grpc(server.grpc) as client:
            # By far longer than the server waits for what is in use.
            size = make_tensor(size_that_takes(client, seconds=7), "int32")
            with pytest.raises(grpc.RpcError):
                client.predict("slow", timeout=0.5, x=make_tensor([1.0]), size=size)
        assert server.stop() == 0
    assert "still in use at the end" in server.log_text()
