#!/usr/bin/env python3
"""Hot swap under load: 0 failed requests, and memory afterwards as after a fresh start.

SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/hot_swap.py
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401

from salver_testing.hot_swap import Options, run

MAX_GROWTH = 1.10


def main() -> int:
    """Plays the scenario and judges it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="time under load (default: %(default)s)")
    parser.add_argument("--weight-mib", type=float, default=16.0, help="size of a version (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="half REST, half gRPC (default: %(default)s)")
    parser.add_argument("--poll-seconds", type=float, default=1.0, help="the server's poll (default: %(default)s)")
    options = parser.parse_args()
    half = options.connections // 2
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(
            Path(folder),
            Options(options.seconds, int(options.weight_mib * 1024 * 1024), half, half, options.poll_seconds),
        )
    print(outcome)
    problems = outcome.problems()
    if outcome.growth > MAX_GROWTH:
        problems.append(f"memory is {outcome.growth:.2f} times that of a fresh server")
    print("\n".join([f"PROBLEM: {problem}" for problem in problems]) or "all as it has to be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
