"""Requests and answers are logged as lines of JSON, and as records that warm up the next version."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
import pytest
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import model_management_pb2, prediction_log_pb2

from salver_testing import saved_models, tfrecord
from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.examples import CLASSIFY, REGRESS, ask_all, classify, example, regress, rows, task
from salver_testing.models import half_plus, place, sum_and_difference
from salver_testing.server import Server, has_engine
from salver_testing.tensors import make_tensor

NUM_REQUESTS = 20


def log_settings(root: Path, name: str, form: str, sampling_rate: float = 1.0) -> Path:
    """Turns on a model's log and returns the folder of its files."""
    folder = root.parent / "logs" / name
    settings = f'[request_log]\ntype = "{form}"\nfilename_prefix = "{folder}/{name}"\nsampling_rate = {sampling_rate}\n'
    (root / name / "model.toml").write_text(settings)
    return folder


def one_file(folder: Path, extension: str) -> Path:
    """Returns the only file."""
    (file,) = folder.iterdir()
    assert file.name.startswith(folder.name + "-") and file.suffix == extension
    return file


def counted(rest: Rest, model: str, result: str) -> int:
    """Returns how many requests of a model had this result, as the metrics tell."""
    line = f'salver_request_log_records_total{{model="{model}",result="{result}"}} '
    page = rest.get("/metrics").body.decode().splitlines()
    return next((int(entry.removeprefix(line)) for entry in page if entry.startswith(line)), 0)


def floats(tensors: Mapping[str, TensorProto]) -> dict[str, list[float]]:
    """Returns the values of tensors by alias."""
    return {alias: np.frombuffer(tensor.tensor_content, np.float32).tolist() for alias, tensor in tensors.items()}


def test_lines_of_json(tmp_path: Path) -> None:
    root = tmp_path / "models"
    place(root, "two", "7", half_plus(2))
    folder = log_settings(root, "two", "jsonl")
    with Server(root) as server, Grpc(server.grpc) as client, Rest(server.rest) as rest:
        metadata = [("x-request-id", "of-the-client")]
        client.prediction.Predict(predict_request("two", x=make_tensor([1.0, 2.0])), metadata=metadata)
        assert rest.predict("two", {"instances": [3.0]}).status == 200
        assert rest.predict("two", {"instances": ["x"]}).status == 400
        with pytest.raises(grpc.RpcError):
            client.predict("two", y=make_tensor([1.0]))
    lines = [json.loads(line) for line in one_file(folder, ".jsonl").read_text().splitlines()]
    by_grpc, by_rest, bad_rest, bad_grpc = lines
    assert by_grpc["request"] == {"inputs": {"x": [1.0, 2.0]}}
    assert by_grpc["response"] == {"outputs": {"y": [2.5, 3.0]}}
    assert (by_grpc["model"], by_grpc["version"], by_grpc["signature"]) == ("two", 7, "serving_default")
    assert (by_grpc["api"], by_grpc["entrypoint"], by_grpc["status"]) == ("Predict", "grpc", "OK")
    assert by_grpc["request_id"] == "of-the-client"
    assert by_grpc["latency_micros"] > 0 and by_grpc["time"].endswith("Z")
    assert (by_rest["entrypoint"], by_rest["request"], by_rest["response"]) == (
        "rest",
        {"inputs": {"x": [3.0]}},
        {"outputs": {"y": [3.5]}},
    )
    for line in bad_rest, bad_grpc:
        assert line["status"] == "INVALID_ARGUMENT" and line["error"] and "request" not in line
        assert line["model"] == "two"


def test_records_are_warm_up_requests(tmp_path: Path) -> None:
    root = tmp_path / "models"
    place(root, "sums", "1", sum_and_difference())
    folder = log_settings(root, "sums", "tfrecord")
    with Server(root) as server, Grpc(server.grpc) as client, Rest(server.rest) as rest:
        request = predict_request("sums", a=make_tensor([5.0]), b=make_tensor([3.0]))
        request.output_filter.append("difference")
        client.prediction.Predict(request)
        assert rest.predict("sums", {"inputs": {"a": [1.0], "b": [2.0]}}).status == 200
        assert rest.predict("sums", {"inputs": {"a": [1.0]}}).status == 400
    file = one_file(folder, ".tfrecord")
    by_grpc, by_rest = map(prediction_log_pb2.PredictionLog.FromString, tfrecord.decode(file.read_bytes()))
    for log in by_grpc, by_rest:
        spec = log.log_metadata.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("sums", 1, "serving_default")
        assert log.log_metadata.sampling_config.sampling_rate == 1.0
        assert log.log_metadata.timestamp_secs > 1_700_000_000
    logged = by_grpc.predict_log
    assert floats(logged.request.inputs) == {"a": [5], "b": [3]}
    assert list(logged.request.output_filter) == ["difference"]
    assert floats(logged.response.outputs) == {"difference": [2]}
    assert set(by_rest.predict_log.response.outputs) == {"sum", "difference"}

    extra = tmp_path / "warm/sums/2/assets.extra"
    extra.mkdir(parents=True)
    shutil.copy(file, extra / "tf_serving_warmup_requests")
    (extra.parent / "model.onnx").write_bytes(sum_and_difference())
    with Server(tmp_path / "warm") as server:
        messages = [entry["message"] for entry in server.log if entry.get("requests") == 2]
        assert messages == ["warmed up with the requests of assets.extra/tf_serving_warmup_requests"]


def test_a_share_is_logged_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "models"
    place(root, "none", "1", half_plus(2))
    place(root, "two", "1", half_plus(2))
    none, folder = log_settings(root, "none", "jsonl", 0.0), log_settings(root, "two", "jsonl", 0.5)
    with Server(root) as server, Rest(server.rest) as rest:
        for _ in range(200):
            assert rest.predict("two", {"instances": [3.0]}).status == 200
            assert rest.predict("none", {"instances": [3.0]}).status == 200
    num_lines = len(one_file(folder, ".jsonl").read_text().splitlines())
    assert 60 <= num_lines <= 140, "some of 200 with even chances"
    assert not none.exists()


def test_a_folder_that_cannot_be_written_hurts_nobody(tmp_path: Path) -> None:
    root = tmp_path / "models"
    place(root, "two", "1", half_plus(2))
    folder = log_settings(root, "two", "jsonl")
    folder.parent.write_text("a file where the folder should be")
    with Server(root) as server, Rest(server.rest) as rest:
        for _ in range(NUM_REQUESTS):
            assert rest.predict("two", {"instances": [3.0]}).status == 200
        while counted(rest, "two", "failed") < NUM_REQUESTS:
            pass
    told = [entry for entry in server.log if "request log cannot be written" in entry.get("message", "")]
    assert len(told) == 1


def test_large_tensors_are_logged_without_holding_up_requests(tmp_path: Path) -> None:
    root = tmp_path / "models"
    place(root, "two", "1", half_plus(2))
    folder = log_settings(root, "two", "tfrecord")
    values = np.arange(300_000, dtype=np.float32)
    with Server(root) as server, Grpc(server.grpc) as client, Rest(server.rest) as rest:
        for _ in range(NUM_REQUESTS):
            client.predict("two", x=make_tensor(values))
        while counted(rest, "two", "written") + counted(rest, "two", "dropped") < NUM_REQUESTS:
            pass
        num_written = counted(rest, "two", "written")
    records = [record for file in sorted(folder.iterdir()) for record in split(file.read_bytes())]
    assert len(records) == num_written > 0
    log = prediction_log_pb2.PredictionLog.FromString(records[0])
    np.testing.assert_array_equal(np.frombuffer(log.predict_log.request.inputs["x"].tensor_content, np.float32), values)


def split(file: bytes) -> list[bytes]:
    """Returns the records of a file without a look at their checksums, which take Python long."""
    records = []
    start = 0
    while start < len(file):
        length = int.from_bytes(file[start : start + 8], "little")
        records.append(file[start + 12 : start + 12 + length])
        start += 16 + length
    return records


def list_of(root: Path, form: str, prefix: Path) -> str:
    """Returns a list of models as a file: one, whose requests are logged."""
    return (
        f'model_config_list {{ config {{ name: "two" base_path: "{root}/two" model_platform: "tensorflow" '
        f'logging_config {{ log_collector_config {{ type: "{form}" filename_prefix: "{prefix}" }} '
        "sampling_config { sampling_rate: 1 } } } }"
    )


def test_a_list_of_models_asks_for_logs(tmp_path: Path) -> None:
    root = tmp_path / "models"
    place(root, "two", "1", half_plus(2))
    folder = tmp_path / "logs/two"
    file = tmp_path / "models.config"
    file.write_text(list_of(root, "jsonl", folder / "two"))
    request = model_management_pb2.ReloadConfigRequest()
    model = request.config.model_config_list.config.add(name="two", base_path=str(root / "two"))
    model.model_platform = "tensorflow"
    model.logging_config.log_collector_config.type = "kafka"
    with Server(None, f"--model_config_file={file}") as server, Rest(server.rest) as rest:
        assert rest.predict("two", {"instances": [1.0]}).status == 200
        with Grpc(server.grpc) as client, pytest.raises(grpc.RpcError) as error:
            client.models.HandleReloadConfigRequest(request, timeout=30)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == (
        "No request-logger-creator provided for type `kafka` of model two; the types are `tfrecord` and `jsonl`"
    )
    (line,) = one_file(folder, ".jsonl").read_text().splitlines()
    assert json.loads(line)["response"] == {"outputs": {"y": [2.5]}}


@pytest.fixture
def tensorflow() -> str:
    """The engine that parses rows."""
    engine = "tensorflow"
    if os.environ.get("SALVER_TEST_ENGINE", engine) != engine or not has_engine(engine):
        pytest.skip("rows are parsed by TensorFlow, whose library is not there or not under test")
    return engine


def ask_about_rows(server: Server) -> None:
    """Asks every question about rows, over both APIs."""
    row, more = example(x=2.0), example(x=4.0)
    with Grpc(server.grpc) as client, Rest(server.rest) as rest:
        client.prediction.Classify(classify("rows", "classify_x_to_y", row, more))
        client.prediction.Regress(regress("rows", "regress_x_to_y", row))
        tasks = task("rows", "classify_x_to_y", CLASSIFY), task("rows", "regress_x_to_y2", REGRESS)
        client.prediction.MultiInference(ask_all(*tasks, input_=rows(row)))
        body = json.dumps({"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}).encode()
        assert rest.request("POST", "/v1/models/rows:regress", body).status == 200


def test_questions_about_rows_are_logged(tmp_path: Path, tensorflow: str) -> None:
    root = tmp_path / "models"
    saved_models.place(root, "rows", "1", saved_models.half_plus_two())
    folder = log_settings(root, "rows", "tfrecord")
    with Server(root, engine=tensorflow) as server:
        ask_about_rows(server)
    file = one_file(folder, ".tfrecord")
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in tfrecord.decode(file.read_bytes())]
    classified, regressed, both, by_rest = logs
    request = classified.classify_log.request
    assert [list(row.features.feature["x"].float_list.value) for row in request.input.example_list.examples] == [
        [2],
        [4],
    ]
    assert request.model_spec.signature_name == "classify_x_to_y"
    scores = [row.classes[0].score for row in classified.classify_log.response.result.classifications]
    assert scores == [3.0, 4.0]
    for log in regressed, by_rest:
        assert [row.value for row in log.regress_log.response.result.regressions] == [3.0]
    asked = both.multi_inference_log
    assert [(task.model_spec.signature_name, task.method_name) for task in asked.request.tasks] == [
        ("classify_x_to_y", CLASSIFY),
        ("regress_x_to_y2", REGRESS),
    ]
    results = asked.response.results
    assert results[0].classification_result.classifications[0].classes[0].score == 3.0
    assert results[1].regression_result.regressions[0].value == 4.0

    # The same file warms up a version, whose requests are logged in the other form.
    root = tmp_path / "warm"
    version = saved_models.place(root, "rows", "1", saved_models.half_plus_two())
    (version / "assets.extra").mkdir()
    shutil.copy(file, version / "assets.extra/tf_serving_warmup_requests")
    shutil.rmtree(folder)
    folder = log_settings(root, "rows", "jsonl")
    with Server(root, engine=tensorflow) as server:
        assert [entry["requests"] for entry in server.log if "warmed up with" in entry.get("message", "")] == [4]
        ask_about_rows(server)
    lines = [json.loads(line) for line in one_file(folder, ".jsonl").read_text().splitlines()]
    assert [(line["api"], line["request"], line["response"]) for line in lines] == [
        ("Classify", {"examples": [{"x": [2.0]}, {"x": [4.0]}]}, {"results": [[["", 3.0]], [["", 4.0]]]}),
        ("Regress", {"examples": [{"x": [2.0]}]}, {"results": [3.0]}),
        (
            "MultiInference",
            {"examples": [{"x": [2.0]}]},
            {"classify_x_to_y": [[["", 3.0]]], "regress_x_to_y2": [4.0]},
        ),
        ("Regress", {"examples": [{"x": [2.0]}]}, {"results": [3.0]}),
    ]
