"""TensorFlow Serving's REST API."""

import gzip
import http.client
import json
import math
import socket
import time
import urllib.request

import pytest
import requests

from salver_testing.clients import Rest
from salver_testing.server import Server

PREDICT = "/v1/models/half_plus_two:predict"


def test_the_curl_line_that_every_tutorial_shows(rest: Rest) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = rest.request("POST", PREDICT, b'{"instances": [1.0, 2.0, 5.0]}', headers)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"predictions": [2.5, 3.0, 4.5]}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "nonsense", None])
def test_the_content_type_of_requests_is_ignored(rest: Rest, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert rest.request("POST", PREDICT, b'{"instances": [1.0]}', headers).status == 200


def test_urllib_and_requests(server: Server) -> None:
    url = f"http://{server.rest}{PREDICT}"
    with urllib.request.urlopen(url, data=b'{"instances": [2.0]}') as answer:
        assert json.load(answer) == {"predictions": [3.0]}
    assert requests.post(url, json={"instances": [2.0]}).json() == {"predictions": [3.0]}


def test_bodies_in_chunks_and_after_100_continue(server: Server) -> None:
    chunks = (chunk for chunk in (b'{"inst', b'ances": [2', b".0]}"))
    answer = requests.post(f"http://{server.rest}{PREDICT}", data=chunks)
    assert answer.json() == {"predictions": [3.0]}
    body = b'{"instances": [2.0]}'
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    host, port = server.rest.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")


def test_columnar_form(rest: Rest) -> None:
    assert rest.predict("half_plus_two", {"inputs": [1.0, 2.0]}).json == {"outputs": [2.5, 3.0]}
    assert rest.predict("half_plus_two", {"inputs": {"x": [1.0]}}).json == {"outputs": [2.5]}
    answer = rest.predict("sum_and_difference", {"inputs": {"a": [5.0, 1.0], "b": [3.0, 1.0], "unknown": 1}})
    assert answer.json == {"outputs": {"sum": [8.0, 2.0], "difference": [2.0, 0.0]}}


def test_row_form(rest: Rest) -> None:
    assert rest.predict("any_shape", {"instances": [[1.0], [2.0]]}).json == {"predictions": [[2.5], [3.0]]}
    assert rest.predict("half_plus_two", {"instances": [{"x": 1.0}]}).json == {"predictions": [2.5]}
    answer = rest.predict("sum_and_difference", {"instances": [{"a": 5, "b": 3}, {"a": 1, "b": 1}]})
    assert answer.json == {"predictions": [{"sum": 8.0, "difference": 2.0}, {"sum": 2.0, "difference": 0.0}]}


def test_a_signature_may_be_named(rest: Rest) -> None:
    body = {"signature_name": "serving_default", "instances": [1.0]}
    assert rest.predict("half_plus_two", body).json == {"predictions": [2.5]}


def test_scalars_and_outputs_without_a_batch_axis(rest: Rest) -> None:
    assert rest.predict("total", {"inputs": [1.0, 2.0]}).json == {"outputs": 3.0}
    assert rest.predict("any_shape", {"inputs": 4.0}).json == {"outputs": 4.0}


def test_whole_numbers_keep_their_point(rest: Rest) -> None:
    body = rest.predict("half_plus_two", {"instances": [2, 1e30]}).body.decode()
    assert "3.0" in body
    assert "5e+29" in body or "5.0e29" in body or "5e29" in body


def test_nan_and_infinity_both_ways(rest: Rest) -> None:
    bare = b'{"instances": [NaN, Infinity, -Infinity, Inf]}'
    values = rest.request("POST", PREDICT, bare).json["predictions"]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, math.inf]


def test_what_follows_the_object_and_unknown_keys_are_ignored(rest: Rest) -> None:
    deep = b"[" * 1000 + b"]" * 1000
    body = b'{"unknown": ' + deep + b', "instances": [2.0], "instances": [9.0]} trailing'
    assert rest.request("POST", PREDICT, body).json == {"predictions": [3.0]}


def test_integers(rest: Rest) -> None:
    assert rest.predict("echo_int32", {"instances": [1, -2]}).json == {"predictions": [1, -2]}
    assert rest.predict("echo_int64", {"instances": [2147483647]}).json == {"predictions": [2147483647]}
    assert rest.predict("echo_uint8", {"instances": [255]}).json == {"predictions": [255]}


def test_gzip_requests(rest: Rest) -> None:
    body = gzip.compress(json.dumps({"instances": [1.0] * 10_000}).encode())
    answer = rest.request("POST", PREDICT, body, {"Content-Encoding": "gzip"})
    assert answer.json == {"predictions": [2.5] * 10_000}
    assert "content-encoding" not in answer.headers


def test_versions_and_labels(rest: Rest) -> None:
    for path, wanted in [
        ("versioned", 2.0),
        ("versioned/versions/1", 1.0),
        ("versioned/versions/0002", 2.0),
        ("versioned/labels/stable", 1.0),
        ("versioned/labels/canary", 2.0),
    ]:
        assert rest.predict(path, {"instances": [0.0]}).json == {"predictions": [wanted]}, path


def test_status(rest: Rest) -> None:
    entry = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("half_plus_two", "half_plus_two/versions/123", "half_plus_two/labels/any"):
        answer = rest.get(f"/v1/models/{path}")
        assert answer.json == {"model_version_status": [entry]}, path
        assert answer.headers["content-type"] == "application/json"
    assert [entry["version"] for entry in rest.get("/v1/models/versioned").json["model_version_status"]] == ["2", "1"]


def test_metadata(rest: Rest) -> None:
    answer = rest.get("/v1/models/half_plus_two/metadata").json
    assert answer["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "123"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"] == {}
    tensor = signature["inputs"]["x"]
    assert tensor["dtype"] == "DT_FLOAT"
    assert tensor["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["outputs"]["y"]["dtype"] == "DT_FLOAT"
    any_shape = rest.get("/v1/models/any_shape/metadata").json["metadata"]["signature_def"]["signature_def"]
    assert any_shape["serving_default"]["inputs"]["x"]["tensor_shape"] == {"dim": [], "unknown_rank": True}
    digits = rest.get("/v1/models/digits/metadata").json["metadata"]["signature_def"]["signature_def"]
    dims = digits["serving_default"]["inputs"]["image"]["tensor_shape"]["dim"]
    assert [dim["size"] for dim in dims] == ["-1", "8", "8", "1"]


def test_a_connection_is_kept(rest: Rest) -> None:
    assert rest.predict("half_plus_two", {"instances": [0.0]}).status == 200
    port = rest.connection.sock.getsockname()[1]
    for number in range(50):
        assert rest.predict("half_plus_two", {"instances": [number]}).json == {"predictions": [number / 2 + 2]}
        assert rest.request("POST", PREDICT, b"nonsense").status == 400
    assert rest.connection.sock.getsockname()[1] == port


def test_requests_in_one_segment_are_answered_in_order(server: Server) -> None:
    host, port = server.rest.rsplit(":", 1)
    request = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}"
    bodies = [f'{{"instances": [{number}.0]}}' for number in range(3)]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("".join(request.format(PREDICT, len(body), body) for body in bodies).encode())
        answer = b""
        while answer.count(b"predictions") < 3:
            received = connection.recv(65536)
            assert received, answer
            answer += received
    positions = [answer.index(value) for value in (b"2.0", b"2.5", b"3.0")]
    assert positions == sorted(positions)


def test_health_readiness_and_metrics(rest: Rest) -> None:
    assert rest.get("/healthz").status == 200
    assert rest.get("/readyz").status == 200
    rest.predict("half_plus_two", {"instances": [1.0]})
    metrics = rest.get("/metrics")
    assert metrics.status == 200
    text = metrics.body.decode()
    assert "half_plus_two" in text
    for line in text.splitlines():
        assert line.startswith(("#", "salver_")), line


def test_request_id_and_trace_come_back(rest: Rest) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "my-request", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = rest.request("POST", PREDICT, b'{"instances": [1.0]}', headers)
    assert answer.headers["x-request-id"] == "my-request"
    assert trace in answer.headers["traceparent"]
    assert rest.predict("half_plus_two", {"instances": [1.0]}).headers["x-request-id"]


@pytest.mark.parametrize("line", ["POST /v1/models/half_plus_two:explain", "GET /v1/models/half_plus_two"])
def test_a_body_that_is_not_needed_does_not_cost_the_connection(server: Server, line: str) -> None:
    host, port = server.rest.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            connection.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n".encode())
            # The body comes in a segment of its own, as most clients send it.
            time.sleep(0.02)
            connection.sendall(b'{"instances": [1.0]}')
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            if answer.getheader("connection") == "close":
                return
        assert answer.status in (200, 400)
