"""One server with every test model, shared by the tests; each test has connections of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from salver_testing import saved_models
from salver_testing.clients import Grpc, Rest
from salver_testing.models import make_test_models
from salver_testing.server import Server, has_engine, is_tensorflow

# What depends on the engine where it is TensorFlow, whose libraries every server has to open; only that is run on it.
ON_TENSORFLOW = {"test_bad_inputs", "test_grpc", "test_rest", "test_saved_models"}
ONLY_ON_TENSORFLOW = {"test_saved_models"}
# What has caches of its own, where no engine is installed.
ONLY_ON_BUILT_IN = {"test_remote_stores"}
BUILT_IN = "rten"

# Small, so that the tests of oversized requests need little memory and time.
MAX_INFLIGHT_BYTES = 64 * 1024 * 1024
TENSORFLOW = "tensorflow"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leaves out the files that the engine under test is no matter of."""
    name = collection_path.stem
    if not name.startswith("test_"):
        return None
    is_built_in = os.environ.get("SALVER_TEST_ENGINE", BUILT_IN) == BUILT_IN
    if is_tensorflow():
        is_left_out = name not in ON_TENSORFLOW and not name.startswith("test_tfserving_")
    else:
        is_left_out = name in ONLY_ON_TENSORFLOW or (name in ONLY_ON_BUILT_IN and not is_built_in)
    return True if is_left_out else None


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


@pytest.fixture(scope="session")
def has_tensorflow() -> None:
    """Passes over a test unless TensorFlow's library is there and no other engine is under test."""
    engine = os.environ.get("SALVER_TEST_ENGINE", TENSORFLOW)
    if engine != TENSORFLOW:
        pytest.skip(f"SavedModels need TensorFlow; {engine} is under test")
    if not has_engine(TENSORFLOW):
        pytest.skip("TensorFlow's library is not there; `salver engine install tensorflow` fetches it")


@pytest.fixture(scope="session")
def saved_models_server(tmp_path_factory: pytest.TempPathFactory, has_tensorflow: None) -> Iterator[Server]:
    """A server of SavedModels."""
    models = saved_models.make_test_models(tmp_path_factory.mktemp("saved_models"))
    (models / "versioned/model.toml").write_text('versions = "all"\n')
    with Server(models, f"--max_inflight_bytes={MAX_INFLIGHT_BYTES}", engine=TENSORFLOW) as server:
        yield server


@pytest.fixture
def saved_models_rest(saved_models_server: Server) -> Iterator[Rest]:
    """A REST client of the server of SavedModels."""
    with Rest(saved_models_server.rest) as client:
        yield client


@pytest.fixture
def saved_models_grpc(saved_models_server: Server) -> Iterator[Grpc]:
    """A gRPC client of the server of SavedModels."""
    with Grpc(saved_models_server.grpc) as client:
        yield client
