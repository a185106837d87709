#!/usr/bin/env python3
"""A configuration of 50 models, one corrupt and one with a missing folder: 48 serve, the two are reported, and ten
changes of a tenth of the models each, under load, lose no request.

    SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/many_models.py
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401

from salver_testing.many_models import Options, play


def main() -> int:
    """Plays the scenario and judges it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50, help="models in a configuration (default: %(default)s)")
    parser.add_argument("--changes", type=int, default=10, help="changes of it (default: %(default)s)")
    parser.add_argument("--poll-seconds", type=int, default=1, help="the server's look at it (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        outcome = play(Path(name), Options(options.models, options.changes, options.poll_seconds))
    print(*outcome.lines, sep="\n")
    print(f"{len(outcome.problems)} problem(s)" if outcome.problems else "all as it has to be")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
