#!/usr/bin/env python3
"""A large version is copied into place slowly, under load: published once, whole; never if the copy is broken off.

SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/slow_copy.py
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import _path  # noqa: F401

from salver_testing.clients import Rest
from salver_testing.load import Load, Watcher
from salver_testing.models import half_plus, heavy_half_plus, place
from salver_testing.server import Server

MODEL = "copied"
CHUNKS_PER_SECOND = 10
PUBLISH_SECONDS = 60.0
WAIT_FOR_NOTHING_SECONDS = 10.0


def copy_slowly(data: bytes, folder: Path, bytes_per_second: int, stop_at: float, stall_seconds: float) -> None:
    """Writes a share of `data`, with a pause in the middle that is longer than several polls."""
    folder.mkdir()
    chunk = bytes_per_second // CHUNKS_PER_SECOND
    end = int(len(data) * stop_at)
    stall_at = end // 2 // chunk
    started = time.perf_counter()
    with (folder / "model.onnx").open("wb", buffering=0) as file:
        for number, start in enumerate(range(0, end, chunk)):
            file.write(data[start : min(start + chunk, end)])
            if number == stall_at:
                time.sleep(stall_seconds)
                started += stall_seconds
            time.sleep(max(0.0, started + (number + 1) / CHUNKS_PER_SECOND - time.perf_counter()))


def whole_copy(folder: Path, server: Server, watcher: Watcher, options: argparse.Namespace) -> list[str]:
    """Copies version 2 to its end."""
    data = heavy_half_plus(2, int(options.size_mb * 1e6))
    print(f"copying version 2: {len(data) / 1e6:.0f} MB at {options.rate_mb:.0f} MB/s")
    with Load(server, MODEL, is_expected={1, 2}.__contains__) as load:
        copy_slowly(data, folder / MODEL / "2", int(options.rate_mb * 1e6), 1.0, options.stall_seconds)
        copied = watcher.seconds()
        is_published = watcher.wait_for(2, "AVAILABLE", PUBLISH_SECONDS)
        time.sleep(3)
    print(f"copied after {copied:.1f} s; {load.report}")
    times = watcher.times_of(2, "AVAILABLE")
    problems = load.report.failures[:3]
    if not is_published or len(times) != 1:
        problems.append(f"version 2 was published {len(times)} times")
    elif times[0] < copied:
        problems.append(f"version 2 was published at {times[0]:.1f} s, before it was whole")
    else:
        print(f"version 2 was published {times[0] - copied:.1f} s after the copy's end")
    return problems


def broken_copy(folder: Path, server: Server, watcher: Watcher, options: argparse.Namespace) -> list[str]:
    """Copies half of version 3."""
    data = heavy_half_plus(3, int(options.size_mb * 1e6))
    print("copying half of version 3")
    with Load(server, MODEL, is_expected={2}.__contains__) as load:
        copy_slowly(data, folder / MODEL / "3", int(options.rate_mb * 1e6), 0.5, options.stall_seconds)
        time.sleep(WAIT_FOR_NOTHING_SECONDS)
    print(load.report)
    problems = load.report.failures[:3]
    if watcher.times_of(3, "AVAILABLE"):
        problems.append("version 3 was published, though it is not whole")
    with Rest(server.rest) as client:
        states = client.states(MODEL)
    print(f"the status API says of version 3: {states.get(3)}")
    if not states.get(3, {}).get("status", {}).get("error_message"):
        problems.append("the status API does not say what is wrong with version 3")
    if states.get(2, {}).get("state") != "AVAILABLE":
        problems.append(f"version 2 is gone: {states.get(2)}")
    lines = [entry for entry in server.log if entry.get("level") == "WARN" and entry.get("version") == 3]
    print("the log says of version 3:", *(f"{line['message']}: {line.get('error')}" for line in lines), sep="\n  ")
    if not lines:
        problems.append("the log does not name version 3")
    return problems


def fresh_start(folder: Path) -> list[str]:
    """Starts on the folder that holds half of version 3."""
    with Server(folder) as server, Rest(server.rest) as client:
        value = client.predict(MODEL, {"instances": [0.0]}).json.get("predictions")
    print(f"a fresh server answers {value}")
    return [] if value == [2.0] else [f"a fresh server beside half a version answers {value}, not [2.0]"]


def main() -> int:
    """Plays the scenario and judges it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=float, default=178.0, help="size of a version (default: %(default)s)")
    parser.add_argument("--rate-mb", type=float, default=10.0, help="MB copied in a second (default: %(default)s)")
    parser.add_argument("--stall-seconds", type=float, default=5.0, help="pause half-way (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place(folder, MODEL, "1", half_plus(1))
        with Server(folder) as server, Watcher(server, MODEL) as watcher:
            problems = whole_copy(folder, server, watcher, options)
            problems += broken_copy(folder, server, watcher, options)
            print("what the status API said:", *watcher.story, sep="\n")
        problems += fresh_start(folder)
    print("\n".join([f"PROBLEM: {problem}" for problem in problems]) or "all as it has to be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
