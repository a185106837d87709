"""Closed-loop load that checks every answer, and a watcher that notes what the status API tells meanwhile."""

import math
import statistics
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from .clients import Grpc, Rest
from .server import Server
from .tensors import make_tensor

X = 4.0
MAX_FAILURES_KEPT = 20
WATCH_SECONDS = 0.05


@dataclass
class Report:
    """What a load saw."""

    num_requests: int = 0
    num_failures: int = 0
    failures: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    latencies: array = field(default_factory=lambda: array("d"))

    def latency_millis(self, share: float) -> float:
        """Returns a percentile of the latency."""
        if not self.latencies:
            return math.nan
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        """Returns one line for people."""
        median, tail, worst = (self.latency_millis(share) for share in (0.5, 0.99, 1.0))
        return (
            f"{self.num_requests} requests in {self.seconds:.1f} s ({self.num_requests / self.seconds:.0f}/s), "
            f"{self.num_failures} failed; latency ms: median {median:.2f}, 99 % {tail:.2f}, worst {worst:.1f}; "
            f"answers by version: {dict(sorted(self.answers.items()))}"
        )


class Load:
    """Kept connections that ask a `half_plus` model, one request after the other, from the start to the end.

    A version n of the model answers x / 2 + n, so that every answer tells which version gave it. An answer is a failure
    if it is an error, or of a version that `is_expected` does not know.
    """

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        num_rest: int = 8,
        num_grpc: int = 8,
        is_expected: Callable[[int], bool] = lambda _: True,
        requests_per_connection: int | None = None,
    ) -> None:
        self.server = server
        self.model = model
        self.is_expected = is_expected
        self.requests_per_connection = requests_per_connection
        self.report = Report()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        targets = [self._rest] * num_rest + [self._grpc] * num_grpc
        self._threads = [threading.Thread(target=self._run, args=(connect,), daemon=True) for connect in targets]

    def _rest(self) -> tuple[Rest, Callable[[], float]]:
        client = Rest(self.server.rest)
        body = f'{{"instances": [{X}]}}'.encode()
        path = f"/v1/models/{self.model}:predict"

        def ask() -> float:
            answer = client.request("POST", path, body)
            if answer.status != 200:
                raise ValueError(f"REST {answer.status}: {answer.body[:300]!r}")
            (value,) = answer.json["predictions"]
            return value

        return client, ask

    def _grpc(self) -> tuple[Grpc, Callable[[], float]]:
        client = Grpc(self.server.grpc)
        tensor = make_tensor([X])

        def ask() -> float:
            (value,) = client.predict(self.model, x=tensor).outputs["y"].float_val
            return value

        return client, ask

    def _run(self, connect: Callable[[], tuple[Rest | Grpc, Callable[[], float]]]) -> None:
        while not self._stop.is_set():
            client, ask = connect()
            num_requests = 0
            while not self._stop.is_set() and num_requests != self.requests_per_connection:
                num_requests += 1
                if not self._ask(ask):
                    break
            client.close()

    def _ask(self, ask: Callable[[], float]) -> bool:
        started = time.perf_counter()
        try:
            version = ask() - X / 2
            error = "" if self.is_expected(round(version)) else f"unexpected answer of version {version}"
        except Exception as problem:  # Whatever it is, it is a failed request.
            version, error = math.nan, f"{type(problem).__name__}: {problem}"
        elapsed = time.perf_counter() - started
        with self._lock:
            self.report.num_requests += 1
            self.report.latencies.append(elapsed)
            if error:
                self.report.num_failures += 1
                if len(self.report.failures) < MAX_FAILURES_KEPT:
                    self.report.failures.append(f"{time.strftime('%X')} {error}")
            else:
                self.report.answers[round(version)] += 1
        return not error

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        self.report.seconds = time.perf_counter() - self._started


@dataclass(frozen=True)
class Moment:
    """What the status API said from some time on."""

    seconds: float
    states: dict[int, str]

    def __str__(self) -> str:
        """Returns one line for people."""
        states = ", ".join(f"{version} {state}" for version, state in sorted(self.states.items()))
        return f"{self.seconds:7.2f} s  {states}"


class Watcher:
    """Notes every change in what the status API says of a model."""

    def __init__(self, server: Server, model: str) -> None:
        self.server = server
        self.model = model
        self.story: list[Moment] = []
        self._stop = threading.Event()
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with Rest(self.server.rest) as client:
            while not self._stop.is_set():
                states = {
                    version: entry["state"] + ("" if entry["status"]["error_code"] == "OK" else " (error)")
                    for version, entry in client.states(self.model).items()
                }
                if not self.story or self.story[-1].states != states:
                    self.story.append(Moment(self.seconds(), states))
                self._stop.wait(WATCH_SECONDS)

    def seconds(self) -> float:
        """Returns the time since the start."""
        return time.perf_counter() - self._started

    def times_of(self, version: int, state: str) -> list[float]:
        """Returns when a version came into a state."""
        before = [None, *(moment.states.get(version) for moment in self.story)]
        return [
            moment.seconds
            for earlier, moment in zip(before, self.story, strict=False)
            if moment.states.get(version) == state != earlier
        ]

    def wait_for(self, version: int, state: str, seconds: float) -> bool:
        """Waits until a version is in a state."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            if self.story and self.story[-1].states.get(version) == state:
                return True
            time.sleep(WATCH_SECONDS)
        return False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


def median_text(name: str, values: list[float], unit: str) -> str:
    """Returns a line with the median and the range of several runs."""
    return (
        f"{name}: median {statistics.median(values):.1f} {unit} "
        f"(lowest {min(values):.1f}, highest {max(values):.1f}, {len(values)} runs)"
    )
