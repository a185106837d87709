"""Single facts of TensorFlow Serving's tables: versions and labels, encodings, states, codes of kernels."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from salver_testing.clients import Answer, Grpc, Rest, predict_request
from salver_testing.http2 import Http2, frame, grpc_headers
from salver_testing.saved_models import Graph, half_plus_two, place, slow
from salver_testing.server import ModelServer, Server
from salver_testing.slow import size_that_takes
from salver_testing.tensors import make_tensor

HALF = "/v1/models/half_plus_two"
INSTANCES = b'{"instances": [1.0]}'
REST_TIMEOUT_MILLIS = 300


def ask(rest: Rest, path: str, body: object, **headers: str) -> Answer:
    """Posts JSON."""
    return rest.request("POST", path, json.dumps(body).encode(), headers)


def error(answer: Answer) -> tuple[int, str]:
    """Returns status and message of a refusal."""
    assert answer.json.keys() == {"error"}
    return answer.status, answer.json["error"]


# ---------------------------------------------------------------------------------------------------------------------
# Routes
# ---------------------------------------------------------------------------------------------------------------------


def test_a_label_is_decoded(rows: Server) -> None:
    with Rest(rows.rest) as rest:
        answer = ask(rest, "/v1/models/labelled/labels/st%61ble:predict", {"instances": [1.0]})
    assert (answer.status, answer.json) == (200, {"predictions": [2.5]})


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_rows_are_asked_of_versions_and_labels(rows: Server, verb: str) -> None:
    body = {"signature_name": f"{verb}_x_to_y", "examples": [{"x": 2.0}]}
    expected = {"results": [[["", 3.0]]] if verb == "classify" else [3.0]}
    with Rest(rows.rest) as rest:
        for place_ in ("versions/1", "labels/stable"):
            answer = ask(rest, f"/v1/models/labelled/{place_}:{verb}", body)
            assert (answer.status, answer.json) == (200, expected), place_
        gone = "Servable not found for request: Specific(labelled, 9)"
        assert error(ask(rest, f"/v1/models/labelled/versions/9:{verb}", body)) == (404, gone)
        unknown = "Unrecognized servable version label: nobody"
        assert error(ask(rest, f"/v1/models/labelled/labels/nobody:{verb}", body)) == (400, unknown)


@pytest.mark.parametrize("path", ["versions/1/metadata", "labels/stable/metadata"])
def test_metadata_of_a_version_and_a_label(rows: Server, path: str) -> None:
    with Rest(rows.rest) as rest:
        answer = rest.get(f"/v1/models/labelled/{path}")
    assert answer.status == 200
    assert answer.json["model_spec"] == {"name": "labelled", "signature_name": "", "version": "1"}


def test_paths_are_read_whatever_their_case(saved_models_rest: Rest) -> None:
    answer = saved_models_rest.get("/V1/MODELS/half_plus_two/VERSIONS/123")
    assert answer.status == 200
    assert [version["version"] for version in answer.json["model_version_status"]] == ["123"]


@pytest.mark.parametrize("path", ["versions/1", "labels/stable"])
def test_a_version_without_a_name(saved_models_rest: Rest, path: str) -> None:
    answer = saved_models_rest.get(f"/v1/models/{path}")
    assert error(answer) == (400, "Missing model name in request.")


def test_a_version_that_is_one_more_than_there_can_be(saved_models_rest: Rest) -> None:
    number = 2**63
    expected = (400, f"Failed to convert version: {number} to numeric.")
    assert error(saved_models_rest.get(f"{HALF}/versions/{number}")) == expected
    assert error(saved_models_rest.request("POST", f"{HALF}/versions/{number}:predict", INSTANCES)) == expected


# ---------------------------------------------------------------------------------------------------------------------
# Encodings
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["x-gzip", "deflate, gzip"])
def test_whatever_says_gzip_is_inflated(saved_models_rest: Rest, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    answer = saved_models_rest.request("POST", f"{HALF}:predict", gzip.compress(INSTANCES), headers)
    assert answer.json == {"predictions": [2.5]}


def test_answers_are_never_compressed(saved_models_rest: Rest) -> None:
    answer = ask(saved_models_rest, f"{HALF}:predict", {"instances": [1.0] * 10_000}, **{"Accept-Encoding": "gzip"})
    assert answer.status == 200 and "content-encoding" not in answer.headers
    assert answer.json["predictions"] == [2.5] * 10_000


# ---------------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------------


def test_a_bare_value_as_inputs(saved_models_rest: Rest) -> None:
    answer = ask(saved_models_rest, "/v1/models/echo_string:predict", {"inputs": {"b64": "YQ=="}})
    assert (answer.status, answer.json) == (200, {"outputs": "a"})
    for value in ({"b64": "YQ=="}, 1.0):
        status, message = error(ask(saved_models_rest, "/v1/models/sum_and_difference:predict", {"inputs": value}))
        assert status == 400 and message.startswith("inputs is a plain value/list"), message


def test_a_truth_value_in_a_row_is_a_whole_number(saved_models_rest: Rest) -> None:
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": True}]}
    status, message = error(ask(saved_models_rest, "/v1/models/examples:regress", body))
    assert status == 400 and "Data types don't match" in message and "int64" in message, message


def test_a_context_for_classes(saved_models_rest: Rest) -> None:
    body = {"signature_name": "classify_x_to_y", "context": {"x": 2.0}, "examples": [{}, {}]}
    answer = ask(saved_models_rest, "/v1/models/examples:classify", body)
    assert (answer.status, answer.json) == (200, {"results": [[["", 3.0]], [["", 3.0]]]})


def test_sixteen_bits_without_a_sign_have_no_form(saved_models_rest: Rest) -> None:
    answer = ask(saved_models_rest, "/v1/models/echo_uint16:predict", {"inputs": [1]})
    status, message = error(answer)
    assert status == 501 and message.endswith("to type: uint16"), message


@pytest.mark.parametrize("word", ["int8", "int16", "uint32", "uint64"])
def test_a_number_with_a_point_is_not_whole(saved_models_rest: Rest, word: str) -> None:
    status, message = error(ask(saved_models_rest, f"/v1/models/echo_{word}:predict", {"inputs": [1.0]}))
    assert status == 400 and message.endswith(f"JSON Value: 1.0 Type: Number is not of expected type: {word}"), message


# ---------------------------------------------------------------------------------------------------------------------
# Codes
# ---------------------------------------------------------------------------------------------------------------------


def read_file(name: str) -> Graph:
    """Returns a model that reads a file which is not there."""
    graph = Graph()
    x = graph.placeholder("x", 7, [-1])
    first = graph.constant("file", name, "string")
    y = graph.node("ReadFile", "y", first)
    graph.signature("serving_default", {"x": (x, 7, [-1])}, {"y": (y, 7, [])})
    return graph


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, has_tensorflow: None) -> Iterator[Server]:
    """A server that gives up early, with a broken version, a kernel that finds nothing, and labels."""
    folder = tmp_path_factory.mktemp("rows")
    place(folder, "slow", "1", slow())
    place(folder, "reader", "1", read_file("/nowhere/at/all"))
    place(folder, "labelled", "1", half_plus_two())
    broken = folder / "broken/1"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"\xff" * 100)
    entries = [
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" {more} }}'
        for name, more in (
            ("slow", ""),
            ("reader", ""),
            ("labelled", 'version_labels { key: "stable" value: 1 }'),
            ("broken", ""),
        )
    ]
    file = folder / "models.config"
    file.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    timeout = f"--rest_api_timeout_in_ms={REST_TIMEOUT_MILLIS}"
    with ModelServer(f"--model_config_file={file}", timeout) as server:
        yield server


def test_what_a_kernel_does_not_find_is_404(rows: Server) -> None:
    with Rest(rows.rest) as rest:
        status, message = error(ask(rest, "/v1/models/reader:predict", {"inputs": ["a"]}))
    assert status == 404 and "/nowhere/at/all; No such file or directory" in message, message


def test_the_state_of_a_version_that_is_not_well(rows: Server) -> None:
    with Rest(rows.rest) as rest:
        (version,) = rest.get("/v1/models/broken").json["model_version_status"]
    assert version["version"] == "1" and version["state"] in ("START", "LOADING", "END")
    assert version["status"]["error_code"] not in ("OK", "") and version["status"]["error_message"]


def test_labels_before_the_first_list(tmp_path: Path, has_tensorflow: None) -> None:
    file = tmp_path / "models.config"
    file.write_text("")
    with ModelServer(f"--model_config_file={file}") as server:
        request = predict_request("m", x=make_tensor([1.0]))
        request.model_spec.version_label = "X"
        with Http2(server.grpc) as connection:
            answer = connection.call(grpc_headers(server.grpc), frame(request.SerializeToString()))
        assert answer["grpc-status"] == str(grpc.StatusCode.UNAVAILABLE.value[0])
        assert answer["grpc-message"] == "Model labels does not init yet.X"
        with Rest(server.rest) as rest:
            answer = rest.request("POST", "/v1/models/m/labels/X:predict", INSTANCES)
        assert error(answer) == (503, "Model labels does not init yet.X")


# The last ones: TensorFlow goes on with a product of matrices that nobody waits for.


@pytest.fixture(scope="module")
def long(rows: Server) -> list[int]:
    """The size of a run of the slow model that outlasts the time-outs by far."""
    with Grpc(rows.grpc) as client:
        return size_that_takes(client, seconds=1)


def test_a_run_that_takes_too_long_is_504(rows: Server, long: list[int]) -> None:
    with Rest(rows.rest) as rest:
        status, _ = error(ask(rest, "/v1/models/slow:predict", {"inputs": {"x": [1.0], "size": long}}))
    assert status == 504


def test_the_server_itself_ends_a_run_at_its_deadline(rows: Server, long: list[int]) -> None:
    request = predict_request("slow", x=make_tensor([1.0]), size=make_tensor(long, "int32")).SerializeToString()
    with Http2(rows.grpc) as connection:
        answer = connection.call(grpc_headers(rows.grpc, grpc_timeout="300m"), frame(request))
    assert answer["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
