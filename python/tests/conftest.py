"""One server with every test model, shared by the tests; each test has connections of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from salver_testing.clients import Grpc, Rest
from salver_testing.models import make_test_models
from salver_testing.server import Server

# Small, so that the tests of oversized requests need little memory and time.
MAX_INFLIGHT_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of test models; read only."""
    return make_test_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Server]:
    """The server; at the end of the tests it has to exit with 0."""
    with Server(models, f"--max_inflight_bytes={MAX_INFLIGHT_BYTES}") as server:
        yield server


@pytest.fixture
def rest(server: Server) -> Iterator[Rest]:
    """A REST client."""
    with Rest(server.rest) as client:
        yield client


@pytest.fixture
def grpc_client(server: Server) -> Iterator[Grpc]:
    """A gRPC client."""
    with Grpc(server.grpc) as client:
        yield client
