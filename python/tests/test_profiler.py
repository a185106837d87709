"""`ProfilerService`: a trace of what requests did, in the form that TensorFlow's profiler reads.

Clients of the profiler come with all of TensorFlow, so its messages are taken from the server's own reflection.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from salver_testing.clients import Grpc, Rest
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

SERVICE = "tensorflow.ProfilerService"


class Profiler:
    """The service, by the descriptors that the server gives."""

    def __init__(self, server: Server) -> None:
        self.channel = grpc.insecure_channel(server.grpc)
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.space = self.message("tensorflow.profiler.XSpace")

    def message(self, name: str) -> Any:  # noqa: ANN401 (a class made at run time)
        """Returns the class of a message."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def call(self, method: str, **fields: object) -> Any:  # noqa: ANN401
        """Calls a method and returns its answer."""
        descriptor = self.pool.FindServiceByName(SERVICE).methods_by_name[method]
        request = message_factory.GetMessageClass(descriptor.input_type)(**fields)
        answer = message_factory.GetMessageClass(descriptor.output_type)
        stub = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return stub(request, timeout=30)

    def trace_requests(self, server: Server, **fields: object) -> Any:  # noqa: ANN401
        """Asks both APIs until a trace holds something."""
        is_over = threading.Event()

        def ask() -> None:
            with Grpc(server.grpc) as client, Rest(server.rest) as rest:
                while not is_over.is_set():
                    client.predict("two", x=make_tensor([2.0]))
                    assert rest.predict("two", {"instances": [1.0]}).status == 200

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            return self.call("Profile", opts={"duration_ms": 300}, max_events=1_000_000, **fields)
        finally:
            is_over.set()
            asking.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one model."""
    root = tmp_path_factory.mktemp("models")
    place(root, "two", "1", half_plus(2))
    with Server(root) as server:
        yield server


@pytest.fixture
def profiler(server: Server) -> Iterator[Profiler]:
    """The service."""
    profiler = Profiler(server)
    yield profiler
    profiler.channel.close()


def test_a_trace_shows_requests_and_their_phases(server: Server, profiler: Profiler, tmp_path: Path) -> None:
    answer = profiler.trace_requests(server, session_id="s", host_name="h", repository_root=str(tmp_path))
    assert not answer.empty_trace
    (tool,) = answer.tool_data
    assert tool.name == "xplane.pb"
    space = profiler.space.FromString(tool.data)
    assert list(space.hostnames) == ["h"]
    (plane,) = space.planes
    assert plane.name == "/host:CPU"
    names = {key: metadata.name for key, metadata in plane.event_metadata.items()}
    stats = {key: metadata.name for key, metadata in plane.stat_metadata.items()}
    for line in plane.lines:
        events = [(names[event.metadata_id], event) for event in line.events]
        whole = None
        for name, event in events:
            if name == "Predict two":
                assert whole is None or event.offset_ps >= whole.offset_ps + whole.duration_ps, "one at a time"
                whole = event
            elif whole is not None and name in {"decode", "queue", "run", "encode"}:
                assert whole.offset_ps <= event.offset_ps
                assert event.offset_ps + event.duration_ps <= whole.offset_ps + whole.duration_ps
    every = {names[event.metadata_id] for line in plane.lines for event in line.events}
    assert every >= {"Predict two", "decode", "queue", "run", "encode"}
    known = [
        {stats[stat.metadata_id]: stat.str_value or stat.int64_value for stat in event.stats}
        for line in plane.lines
        for event in line.events
        if names[event.metadata_id] == "Predict two"
    ]
    assert {entry["api"] for entry in known} == {"grpc", "rest"}
    assert all((entry["model"], entry["version"], entry["status"]) == ("two", 1, "OK") for entry in known)
    assert list(tmp_path.iterdir()) == [], "the server writes nowhere"


def test_a_trace_can_be_had_as_a_message(server: Server, profiler: Profiler) -> None:
    answer = profiler.trace_requests(server, emit_xspace=True)
    assert answer.xspace.planes and not answer.tool_data


def test_an_idle_server_has_nothing_to_show(profiler: Profiler) -> None:
    answer = profiler.call("Profile", opts={"duration_ms": 1})
    assert answer.empty_trace and not answer.tool_data


def test_one_trace_at_a_time_that_can_be_ended(server: Server, profiler: Profiler) -> None:
    answers = []
    busy = "another trace is being recorded; try again when it has ended"

    def record_long() -> None:
        while not answers:
            try:
                answers.append(profiler.call("Profile", opts={"duration_ms": 3_600_000}, session_id="long"))
            except grpc.RpcError as error:  # A short one may have begun before it.
                assert error.details() == busy

    long = threading.Thread(target=record_long)
    long.start()
    other = Profiler(server)
    code = None
    while code is None and long.is_alive():
        try:
            other.call("Profile", opts={"duration_ms": 1})
        except grpc.RpcError as error:
            assert error.details() == busy
            code = error.code()
    assert code == grpc.StatusCode.UNAVAILABLE
    other.call("Terminate", session_id="long")
    long.join()
    assert len(answers) == 1
    other.channel.close()
