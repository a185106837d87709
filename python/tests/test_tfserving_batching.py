"""Requests joined by TensorFlow Serving's flags and files: refusals in its words, answers that stay apart."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.http2 import Http2, frame, grpc_headers
from salver_testing.saved_models import half_plus_two, place, slow
from salver_testing.server import ModelServer, Server
from salver_testing.tensors import make_tensor, read_field

MAX_ROWS = 4
PARAMETERS = f"""
max_batch_size {{ value: {MAX_ROWS} }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 1 }}
num_batch_threads {{ value: 1 }}
allowed_batch_sizes: [1, 2, {MAX_ROWS}]
"""
REST_TIMEOUT_SECONDS = 0.5
NUM_CLIENTS, NUM_REQUESTS = 4, 50
MAX_TRIES = 1000
ONE = make_tensor([1.0])


def serve(folder: Path, *arguments: str) -> ModelServer:
    """Starts a server of both models with batching."""
    base_paths = [f'config {{ name: "{name}" base_path: "{folder / name}" }}' for name in ("half", "slow")]
    file = folder / "models.config"
    file.write_text(f"model_config_list {{ {' '.join(base_paths)} }}")
    timeout = f"--rest_api_timeout_in_ms={REST_TIMEOUT_SECONDS * 1000:.0f}"
    return ModelServer(f"--model_config_file={file}", "--enable_batching", timeout, *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, has_tensorflow: None) -> Path:
    """The models."""
    folder = tmp_path_factory.mktemp("batching")
    place(folder, "half", "1", half_plus_two())
    place(folder, "slow", "1", slow())
    return folder


@pytest.fixture(scope="module")
def batching(folder: Path) -> Iterator[Server]:
    """A server that joins requests as a file says."""
    parameters = folder / "batching.config"
    parameters.write_text(PARAMETERS)
    with serve(folder, f"--batching_parameters_file={parameters}") as server:
        yield server


@pytest.fixture
def client(batching: Server) -> Iterator[Grpc]:
    """A gRPC client of it."""
    with Grpc(batching.grpc) as client:
        yield client


def test_a_request_that_is_larger_than_a_batch(client: Grpc) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.predict("half", x=make_tensor([1.0] * (MAX_ROWS + 1)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Task size 5 is larger than maximum input batch size 4"


def test_answers_of_joined_requests_stay_apart(batching: Server) -> None:
    def ask(number: int) -> None:
        with Grpc(batching.grpc) as client:
            for request in range(NUM_REQUESTS):
                rows = [float(number * 1000 + request + row) for row in range(1 + request % MAX_ROWS)]
                try:
                    (output,) = client.predict("half", x=make_tensor(rows)).outputs.values()
                except grpc.RpcError as error:
                    # The queue has one place.
                    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
                    continue
                assert read_field(output).tolist() == [value / 2 + 2 for value in rows]

    with ThreadPoolExecutor(NUM_CLIENTS) as threads:
        list(threads.map(ask, range(NUM_CLIENTS)))


@pytest.fixture
def calls(client: Grpc) -> Iterator[list[grpc.Future]]:
    """Calls that keep the slow model's only thread busy for seconds; given up at the end."""
    calls: list[grpc.Future] = []
    yield calls
    for call in calls:
        call.cancel()


def keep_busy(client: Grpc, calls: list[grpc.Future]) -> None:
    """Sends a request that takes seconds."""
    size = make_tensor([4000, 4000], "int32")
    calls.append(client.prediction.Predict.future(predict_request("slow", x=ONE, size=size), timeout=60))


def test_a_wait_in_vain(batching: Server, client: Grpc, calls: list[grpc.Future]) -> None:
    with Rest(batching.rest) as rest:
        for _ in range(MAX_TRIES):
            if not calls or calls[-1].done():
                keep_busy(client, calls)
            answer = rest.predict("slow", {"inputs": {"x": [1.0], "size": [1, 1]}})
            # Either came before the model was busy, or the other was refused because this one waited.
            if answer.status == 429:
                break
    assert answer.status == 429
    assert answer.json == {"error": "Run() timeout exceeded while waiting in batching queue"}


def test_a_wait_in_vain_over_grpc(batching: Server, client: Grpc, calls: list[grpc.Future]) -> None:
    message = predict_request("slow", x=ONE, size=make_tensor([1, 1], "int32")).SerializeToString()
    # A gRPC library would not wait for the server's word.
    with Http2(batching.grpc) as connection:
        for _ in range(MAX_TRIES):
            if not calls or calls[-1].done():
                keep_busy(client, calls)
            answer = connection.call(grpc_headers(batching.grpc, grpc_timeout="200m"), frame(message))
            # Either came before the model was busy, or while another waited.
            if answer["grpc-status"] not in ("0", "14"):
                break
    assert answer["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    assert answer["grpc-message"] == "Run() timeout exceeded while waiting in batching queue"


def test_a_full_queue_over_rest(batching: Server, client: Grpc, calls: list[grpc.Future]) -> None:
    with Rest(batching.rest) as rest:
        for _ in range(MAX_TRIES):
            # One that runs and one that waits.
            while sum(not call.done() for call in calls) < 2:
                keep_busy(client, calls)
            answer = rest.predict("slow", {"inputs": {"x": [1.0], "size": [1, 1]}})
            if answer.status == 503:
                break
    assert answer.status == 503
    assert answer.json["error"].startswith("The batch scheduling queue to which this task was submitted is full; ")


def test_a_full_queue(client: Grpc, calls: list[grpc.Future]) -> None:
    errors = []
    for _ in range(3):
        keep_busy(client, calls)
    for call in calls:
        try:
            call.result(timeout=60)
        except grpc.RpcError as error:
            errors.append(error)
    # One runs, one waits; none waits before the first has been taken up.
    assert errors
    for error in errors:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert error.details() == (
            "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
            "max_enqueued_batches is 1"
        )


def test_versions_have_parameters_of_their_own(folder: Path) -> None:
    file = folder / "half/1/batching_params.pbtxt"
    file.write_text("max_batch_size { value: 2 }")
    try:
        with serve(folder, "--enable_per_model_batching_parameters") as server, Grpc(server.grpc) as client:
            with pytest.raises(grpc.RpcError) as caught:
                client.predict("half", x=make_tensor([1.0] * 3))
            assert caught.value.details() == "Task size 3 is larger than maximum input batch size 2"
            outputs = client.predict("slow", x=ONE, size=make_tensor([1, 1], "int32")).outputs
            assert read_field(outputs["y"]).tolist() == [1.0]
    finally:
        file.unlink()
