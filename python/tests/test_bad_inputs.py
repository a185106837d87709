"""Every row of the table of bad inputs gets its answer, and the next request a good one."""

import contextlib
import http.client
import socket
from typing import Any

import grpc
import pytest
from bad_inputs import BadInput, GrpcBytes, GrpcCall, HttpBytes, RestCall, table

from salver_testing.clients import Grpc, Rest
from salver_testing.http2 import Http2, grpc_headers
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

ROWS = table()
MIN_ROWS = 60
STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def send_rest(client: Rest, call: RestCall) -> tuple[int, str]:
    """Returns the status and the error's text; every error has to be a JSON object of one key."""
    try:
        answer = client.request(call.method, call.path, call.body, call.headers)
    except (BrokenPipeError, ConnectionResetError):  # The server may refuse before it has read all.
        client.close()
        answer = client.request(call.method, call.path, call.body, call.headers)
    if call.method == "HEAD":
        return answer.status, answer.body.decode()
    if call.path.startswith("/v1"):
        assert answer.headers["content-type"] == "application/json", answer
        assert list(answer.json) == ["error"], answer
        return answer.status, answer.json["error"]
    return answer.status, answer.body.decode()


def send_http_bytes(address: str, call: HttpBytes) -> tuple[int, str]:
    """Returns the status of what comes back for bytes."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(call.request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, ""


def send_grpc(client: Grpc, call: GrpcCall) -> tuple[grpc.StatusCode, str]:
    """Returns the code and the details."""
    with pytest.raises(grpc.RpcError) as error:
        client.call(call.method, call.message)
    status: Any = error.value
    return status.code(), status.details()


def send_grpc_bytes(address: str, call: GrpcBytes) -> tuple[grpc.StatusCode, str]:
    """Returns the code and the message of an answer to a frame."""
    with Http2(address) as connection:
        answer = connection.call(grpc_headers(address, call.path, **call.headers), call.body)
    assert "grpc-status" in answer, answer
    return STATUS_CODES[int(answer["grpc-status"])], answer.get("grpc-message", "")


def send(server: Server, rest: Rest, client: Grpc, bad: BadInput) -> tuple[int | grpc.StatusCode, str]:
    """Sends a row's request and returns what came back."""
    match bad.request:
        case RestCall():
            return send_rest(rest, bad.request)
        case HttpBytes():
            return send_http_bytes(server.rest, bad.request)
        case GrpcCall():
            return send_grpc(client, bad.request)
        case GrpcBytes():
            return send_grpc_bytes(server.grpc, bad.request)


@pytest.mark.parametrize("bad", ROWS, ids=[row.name for row in ROWS])
def test_bad_input(server: Server, rest: Rest, grpc_client: Grpc, bad: BadInput) -> None:
    code, message = send(server, rest, grpc_client, bad)
    assert server.is_alive
    assert rest.predict("half_plus_two", {"instances": [2.0]}).json == {"predictions": [3.0]}
    assert list(grpc_client.predict("half_plus_two", x=make_tensor([2.0])).outputs["y"].float_val) == [3.0]
    assert code in bad.codes, f"got {code}: {message[:300]}"
    assert bad.message.search(message), f"wanted {bad.message.pattern}, got {message[:300]!r}"


def test_the_table_is_large_enough() -> None:
    assert len(ROWS) >= MIN_ROWS
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_no_bytes_stay_reserved(rest: Rest, server: Server) -> None:
    assert server.is_alive
    text = rest.get("/metrics").body.decode()
    inflight = [line for line in text.splitlines() if "inflight_bytes " in line and not line.startswith("#")]
    assert inflight, "the metrics name the bytes in flight"
    assert float(inflight[0].split()[-1]) == 0, inflight
