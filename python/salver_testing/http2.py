"""A bare HTTP/2 client, for gRPC frames that no gRPC library would send."""

import socket
import struct
from collections.abc import Iterable
from typing import Self
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_SECONDS = 60.0


def frame(message: bytes, flag: int = 0, length: int | None = None) -> bytes:
    """Returns a gRPC message with its prefix: the compression flag and the length, true or not."""
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


def grpc_headers(address: str, path: str = PREDICT, **others: str) -> list[tuple[str, str]]:
    """Returns the headers of a gRPC call; underscores of `others` stand for hyphens."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": address,
        "content-type": "application/grpc",
        "te": "trailers",
    }
    headers.update({name.replace("_", "-"): value for name, value in others.items() if name != "method"})
    if "method" in others:
        headers[":method"] = others["method"]
    return list(headers.items())


class Http2:
    """One connection; one call at a time."""

    def __init__(self, address: str, timeout: float = TIMEOUT_SECONDS) -> None:
        host, port = address.rsplit(":", 1)
        self.address = address
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Sends what has been prepared."""
        self.socket.sendall(self.h2.data_to_send())

    def start(self, headers: Iterable[tuple[str, str]]) -> int:
        """Sends headers and returns the stream's number."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, list(headers))
        self.flush()
        return stream

    def call(self, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, str]:
        """Sends a whole request and returns the answer's headers and trailers."""
        stream = self.start(headers)
        answer: dict[str, str] = {}
        while body and "ended" not in answer:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room == 0:
                self.receive(answer)
                continue
            self.h2.send_data(stream, body[:room])
            body = body[room:]
            self.flush()
        if "ended" not in answer:
            self.h2.end_stream(stream)
            self.flush()
        while "ended" not in answer:
            self.receive(answer)
        return answer

    def receive(self, answer: dict[str, str]) -> None:
        """Takes in what the server sends, until something has come."""
        data = self.socket.recv(65536)
        if not data:
            answer["ended"] = "connection closed"
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, ResponseReceived | TrailersReceived):
                answer.update({str(name): unquote(str(value)) for name, value in event.headers or []})
            elif isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamReset | ConnectionTerminated):
                answer["ended"] = f"{type(event).__name__} {event.error_code}"
            elif isinstance(event, StreamEnded):
                answer["ended"] = "whole"
        self.flush()

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
