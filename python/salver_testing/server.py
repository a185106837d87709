"""Runs the real server binary on ports that the system chooses."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_BINARY = REPOSITORY / "target/debug/salver"

# Variables that say where engines are; every other setting of the caller's own servers is kept away from tests.
KEPT_VARIABLES = {"SALVER_CACHE_DIR", "SALVER_ONNXRUNTIME_LIB", "SALVER_TENSORFLOW_LIB"}

# TensorFlow Serving's program, and the script that starts it in its image.
MODEL_SERVER, ENTRY_POINT = "tensorflow_model_server", "tf_serving_entrypoint.sh"

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


def binary() -> Path:
    """Returns the server under test: `SALVER_BIN`, else the debug build."""
    file = Path(os.environ.get("SALVER_BIN", DEFAULT_BINARY))
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing; run `cargo build` or set SALVER_BIN")
    return file


def has_engine(name: str) -> bool:
    """Tells whether the server under test can use an engine on this machine."""
    listed = subprocess.run([binary(), "engine", "list"], env=environment(), capture_output=True, text=True, check=True)
    lines = [line for line in listed.stdout.splitlines() if line.startswith(name)]
    return any("not installed" not in line for line in lines)


def engine_arguments(engine: str | None = None) -> list[str]:
    """Returns the flags for an engine, or that of `SALVER_TEST_ENGINE`; none if the server is to choose."""
    engine = engine or os.environ.get("SALVER_TEST_ENGINE")
    return [f"--engine={engine}"] if engine else []


def is_tensorflow() -> bool:
    """Whether the engine under test is TensorFlow, which takes SavedModels."""
    return os.environ.get("SALVER_TEST_ENGINE") == "tensorflow"


def environment() -> dict[str, str]:
    """Returns the server's environment."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("SALVER_") or name in KEPT_VARIABLES
    }


class Server:
    """One `salver serve`, from its start to its exit code.

    As a context manager it waits until the server serves, and at the end asserts that SIGTERM makes it exit with 0.
    """

    def __init__(
        self,
        models: Path | None,
        *arguments: str,
        prefix: Sequence[str] = (),
        rest_is_on: bool = True,
        engine: str | None = None,
    ) -> None:
        rest = ["--rest_api_port=auto"] if rest_is_on else []
        folder = [] if models is None else [str(models)]
        addresses = ["--host=127.0.0.1", "--port=auto", *rest]
        self._start([*prefix, str(binary()), "serve", *folder, *addresses, *engine_arguments(engine), *arguments])

    def _start(
        self, command: list[str], executable: Path | None = None, variables: dict[str, str] | None = None
    ) -> None:
        self.command = command
        self.log: list[dict[str, Any]] = []
        self.serving: dict[str, Any] = {}
        self.ready_seconds = 0.0
        self._serving_line: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._started = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            executable=executable,
            env=environment() if variables is None else variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"message": line.decode(errors="replace").rstrip()}
            if entry.get("message") == "serving":
                self.ready_seconds = time.perf_counter() - self._started
                self._serving_line.put(entry)
            self.log.append(entry)
        self._serving_line.put(None)

    def wait_ready(self, seconds: float = READY_SECONDS) -> Self:
        """Waits for the log line that names the addresses."""
        try:
            entry = self._serving_line.get(timeout=seconds)
        except queue.Empty:
            entry = None
        if entry is None:
            self.process.kill()
            self._reader.join(STOP_SECONDS)
            raise AssertionError(f"{' '.join(self.command)}: is not serving; its log:\n{self.log_text()}")
        self.serving = entry
        return self

    @property
    def grpc(self) -> str:
        """The address of gRPC."""
        return self.serving["grpc"]

    @property
    def rest(self) -> str:
        """The address of REST."""
        return self.serving["rest"]

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def memory_bytes(self, field: str = "VmRSS") -> int:
        """Returns the resident memory, or another field of /proc/PID/status that is in kB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def log_text(self, last: int = 60) -> str:
        """Returns the end of the log."""
        return "\n".join(json.dumps(entry) for entry in self.log[-last:])

    def lines(self, **fields: object) -> list[dict[str, Any]]:
        """Returns the lines of the log that say this."""
        return [entry for entry in list(self.log) if fields.items() <= entry.items()]

    def wait_for_lines(self, count: int, **fields: object) -> None:
        """Waits until the log has said this so many times: what a server did may reach its log's reader later."""
        deadline = time.monotonic() + READY_SECONDS
        while len(self.lines(**fields)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{fields} is not {count} times in the log:\n{self.log_text()}")
            time.sleep(0.02)

    def stop(self) -> int:
        """Asks the server to end and returns its exit code."""
        if self.is_alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end the server; its log:\n{self.log_text()}") from None
        self._reader.join(STOP_SECONDS)
        return code

    def kill(self) -> None:
        """Ends the server at once."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(f"the server's log:\n{self.log_text()}", file=sys.stderr)
            self.kill()
            return
        code = self.stop()
        assert code == 0, f"exit code {code} after SIGTERM; its log:\n{self.log_text()}"


class ModelServer(Server):
    """The same binary under a name that TensorFlow Serving's users know, started with that program's flags.

    Only the address is its own: 127.0.0.1, and ports that the system chooses.
    """

    def __init__(self, *arguments: str, name: str = MODEL_SERVER, variables: dict[str, str] | None = None) -> None:
        addresses = ["--host=127.0.0.1", "--port=auto", "--rest_api_port=auto"]
        command = [name, *addresses, *engine_arguments(), *arguments]
        self._start(command, binary(), {**environment(), **(variables or {})})
