"""Requests that a version brings along in `assets.extra` are run before it serves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tensorflow_serving.apis import prediction_log_pb2

from salver_testing import tfrecord
from salver_testing.clients import Grpc, predict_request
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def predict_log(signature: str = "", **inputs: list[float]) -> bytes:
    """Returns the record of a Predict request."""
    request = predict_request("a_name_it_once_had", **{alias: make_tensor(x) for alias, x in inputs.items()})
    request.model_spec.signature_name = signature
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(request)
    return log.SerializeToString()


@contextmanager
def serving(root: Path, warmup: bytes, *arguments: str) -> Iterator[Server]:
    """Serves a model with a warm-up file beside one that has none."""
    place(root, "other", "1", half_plus(3))
    version = root / "warm/1"
    (version / "assets.extra").mkdir(parents=True)
    (version / WARMUP_FILE).write_bytes(warmup)
    (version / "model.onnx").write_bytes(half_plus(2))
    with Server(root, *arguments) as server:
        yield server


def check_refused(root: Path, warmup: bytes, code: int, message: str) -> None:
    """The version is not served, says why, and the other model is."""
    with serving(root, warmup, "--max_num_load_retries=0") as server, Grpc(server.grpc) as client:
        status = client.states("warm")[1]
        assert status.state == status.END
        assert status.status.error_code == code
        assert message in status.status.error_message
        assert str(root) not in status.status.error_message, "clients are not told of paths"
        assert client.predict("other", x=make_tensor([2.0])).outputs["y"].float_val == [4.0]


def test_requests_are_run_before_the_version_serves(tmp_path: Path) -> None:
    records = [predict_log(x=[1.0, 2.0]), predict_log("serving_default", x=[3.0]), b""]
    with serving(tmp_path, tfrecord.encode(records)) as server, Grpc(server.grpc) as client:
        assert client.predict("warm", x=make_tensor([2.0])).outputs["y"].float_val == [3.0]
        (line,) = [entry for entry in server.log if entry.get("message", "").startswith("warmed up with the requests")]
        assert line["requests"] == 3


def test_a_thousand_records_are_taken_and_one_more_is_not(tmp_path: Path) -> None:
    record = predict_log(x=[1.0])
    with serving(tmp_path / "full", tfrecord.encode([record] * 1000)) as server, Grpc(server.grpc) as client:
        assert client.predict("warm", x=make_tensor([2.0])).outputs["y"].float_val == [3.0]
    message = "Number of warmup records exceeds the maximum (1000)"
    check_refused(tmp_path / "over", tfrecord.encode([record] * 1001), 3, message)


def test_a_file_that_is_not_tfrecord_fails_the_load(tmp_path: Path) -> None:
    advice = "Please verify your warmup data is in TFRecord format."
    check_refused(tmp_path / "text", b"[this is no file of records]", 15, advice)
    record = tfrecord.encode([predict_log(x=[1.0])])
    message = f"truncated record at 0' failed with Read less bytes than requested. {advice}"
    check_refused(tmp_path / "cut", record[:-1], 15, message)


@pytest.mark.parametrize("kind", ["session_run_log", "predict_streamed_log"])
def test_logs_of_other_services_are_not_supported(tmp_path: Path, kind: str) -> None:
    log = prediction_log_pb2.PredictionLog()
    getattr(log, kind).SetInParent()
    field = prediction_log_pb2.PredictionLog.DESCRIPTOR.fields_by_name[kind].number
    message = f"Unsupported log_type for warmup: {field}"
    check_refused(tmp_path, tfrecord.encode([log.SerializeToString()]), 12, message)


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        (predict_log("nowhere", x=[1.0]), 3, 'Serving signature key "nowhere" not found.'),
        (predict_log(z=[1.0]), 3, "Signature input alias: x"),
        (b"\x32\x05", 3, "Failed to parse warmup record 1 from assets.extra/tf_serving_warmup_requests"),
    ],
    ids=["signature", "input", "protobuf"],
)
def test_a_request_that_fails_fails_the_load(tmp_path: Path, record: bytes, code: int, message: str) -> None:
    check_refused(tmp_path, tfrecord.encode([record]), code, message)
