"""Versions come and go, and a corrupt one is dropped in, while 16 connections ask: no request may fail."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .clients import Rest
from .load import Load, Moment, Report, Watcher
from .models import heavy_half_plus, place
from .server import Server

MODEL = "swapped"
CHANGE_SECONDS = 20.0


@dataclass(frozen=True)
class Options:
    """How long, how heavy, how many."""

    seconds: float = 30.0
    weight_bytes: int = 16 * 1024 * 1024
    num_rest: int = 8
    num_grpc: int = 8
    poll_seconds: float = 1.0
    fresh_seconds: float = 5.0
    settle_seconds: float = 2.0


@dataclass
class Outcome:
    """What was seen."""

    report: Report = field(default_factory=Report)
    story: list[Moment] = field(default_factory=list)
    final: dict[int, str] = field(default_factory=dict)
    error_of_corrupt: str = ""
    after_bytes: int = 0
    fresh_bytes: int = 0
    fresh_loaded_bytes: int = 0

    @property
    def growth(self) -> float:
        """Memory afterwards as a multiple of that of a fresh server under the same load."""
        return self.after_bytes / self.fresh_loaded_bytes

    def problems(self) -> list[str]:
        """Returns what is not as it has to be, but for the memory."""
        problems = list(self.report.failures)
        wanted = {1: "END", 2: "END", 3: "END", 4: "AVAILABLE"}
        problems += [
            f"version {version} is {self.final.get(version)} at the end, not {state}"
            for version, state in wanted.items()
            if self.final.get(version) != state
        ]
        if self.final.get(5, "").startswith("AVAILABLE") or not self.error_of_corrupt:
            problems.append(f"version 5 is {self.final.get(5)} ({self.error_of_corrupt!r}), though it is corrupt")
        problems += [
            f"version {version} never answered" for version in (1, 2, 3, 4) if not self.report.answers[version]
        ]
        return problems

    def __str__(self) -> str:
        """Returns the whole story."""
        story = "\n".join(map(str, self.story))
        mega = 1024 * 1024
        return (
            f"{self.report}\nwhat the status API said:\n{story}\n"
            f"of the corrupt version: {self.error_of_corrupt}\n"
            f"resident memory: {self.after_bytes / mega:.1f} MiB afterwards; a fresh server: "
            f"{self.fresh_bytes / mega:.1f} MiB idle, {self.fresh_loaded_bytes / mega:.1f} MiB after the same load "
            f"({100 * (self.growth - 1):+.1f} %)"
        )


def run(folder: Path, options: Options) -> Outcome:
    """Plays the scenario in an empty folder."""
    outcome = Outcome()
    models = [heavy_half_plus(version, options.weight_bytes) for version in range(1, 5)]
    base = place(folder, MODEL, "1", models[0]).parent
    poll = f"--file_system_poll_wait_seconds={options.poll_seconds}"
    counts = {"num_rest": options.num_rest, "num_grpc": options.num_grpc}
    is_expected = range(1, 5).__contains__
    with Server(folder, poll) as server, Watcher(server, MODEL) as watcher:
        with Load(server, MODEL, is_expected=is_expected, **counts) as load:
            change(base, models, options.seconds, watcher)
        time.sleep(options.settle_seconds)
        outcome.report, outcome.story = load.report, watcher.story
        outcome.final = dict(watcher.story[-1].states)
        outcome.error_of_corrupt = error_of(server, 5)
        outcome.after_bytes = server.memory_bytes()
    shutil.rmtree(base / "5")
    with Server(folder, poll) as server:
        outcome.fresh_bytes = server.memory_bytes()
        with Load(server, MODEL, **counts):
            time.sleep(options.fresh_seconds)
        time.sleep(options.settle_seconds)
        outcome.fresh_loaded_bytes = server.memory_bytes()
    return outcome


def change(base: Path, models: list[bytes], seconds: float, watcher: Watcher) -> None:
    """Brings and takes versions at fixed times; goes on for the whole time and until all of it has been noticed."""

    def bring(version: int) -> Callable[[], object]:
        return lambda: place(base.parent, MODEL, str(version), models[version - 1])

    def corrupt() -> None:
        folder = base / "5"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"this is no model" * 1000)

    steps: list[tuple[float, Callable[[], object], tuple[int, str] | None]] = [
        (0.05, bring(2), (2, "AVAILABLE")),
        (0.20, bring(3), (3, "AVAILABLE")),
        (0.35, lambda: shutil.rmtree(base / "1"), None),
        (0.45, bring(4), (4, "AVAILABLE")),
        (0.65, lambda: shutil.rmtree(base / "2"), None),
        (0.75, corrupt, None),
    ]
    for share, step, awaited in steps:
        time.sleep(max(0.0, share * seconds - watcher.seconds()))
        step()
        if awaited:
            watcher.wait_for(*awaited, CHANGE_SECONDS)
    time.sleep(max(2.0, seconds - watcher.seconds()))


def error_of(server: Server, version: int) -> str:
    """Returns the error that the status API gives for a version."""
    with Rest(server.rest) as client:
        return client.states(MODEL).get(version, {}).get("status", {}).get("error_message", "")
