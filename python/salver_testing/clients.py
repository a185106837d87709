"""REST over one kept connection, and gRPC by TensorFlow Serving's own stubs."""

import http.client
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

TIMEOUT_SECONDS = 30.0
MAX_MESSAGE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What an HTTP request is answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 (JSON may be anything)
        """The body as JSON."""
        return json.loads(self.body)


class Rest:
    """An HTTP/1.1 client that keeps its connection."""

    def __init__(self, address: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=timeout)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Sends one request and returns the whole answer."""
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        body = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def get(self, path: str) -> Answer:
        """Sends a GET."""
        return self.request("GET", path)

    def predict(self, model: str, body: object) -> Answer:
        """Posts `body` as JSON; `model` may end in a version or a label."""
        return self.request("POST", f"/v1/models/{model}:predict", json.dumps(body).encode())

    def states(self, model: str) -> dict[int, dict[str, Any]]:
        """Returns what the status API says of each version; empty if it knows none."""
        answer = self.get(f"/v1/models/{model}")
        entries = answer.json.get("model_version_status", [])
        return {int(entry["version"]): entry for entry in entries}

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Grpc:
    """TensorFlow Serving's two services over one channel."""

    def __init__(self, address: str, compression: grpc.Compression | None = None) -> None:
        options = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Channels of one process would otherwise share one connection.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self.use(grpc.insecure_channel(address, options, compression))

    def use(self, channel: grpc.Channel) -> None:
        """Calls over this channel."""
        self.channel = channel
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(
        self, model: str, timeout: float = TIMEOUT_SECONDS, **inputs: TensorProto
    ) -> predict_pb2.PredictResponse:
        """Calls Predict on the latest version's default signature."""
        return self.prediction.Predict(predict_request(model, **inputs), timeout=timeout)

    def states(self, model: str) -> dict[int, Any]:
        """Returns what GetModelStatus says of each version."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        answer = self.models.GetModelStatus(request, timeout=TIMEOUT_SECONDS)
        return {status.version: status for status in answer.model_version_status}

    def call(self, method: str, message: bytes) -> bytes:
        """Calls a method with bytes that need not be a message."""
        call = self.channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        return call(message, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        """Closes the channel."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def predict_request(model: str, **inputs: TensorProto) -> predict_pb2.PredictRequest:
    """Returns a request for the latest version's default signature."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for alias, tensor in inputs.items():
        request.inputs[alias].CopyFrom(tensor)
    return request
