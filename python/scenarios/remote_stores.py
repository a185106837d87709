#!/usr/bin/env python3
"""A model in a store: a version uploaded file by file is served once it is complete, and never before; the store goes
away for a minute, which unloads nothing; a new server without the store serves from the cache. All of it under load.

SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/remote_stores.py
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401

from salver_testing.remote_store import Options, run
from salver_testing.stores import STORES


def main() -> int:
    """Runs the scenario against each store and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=sorted(STORES), action="append", help="which store (default: each)")
    parser.add_argument("--away-seconds", type=float, default=Options.away_seconds, help="how long the store is away")
    parser.add_argument("--pause-seconds", type=float, default=Options.pause_seconds, help="time between two files")
    options = parser.parse_args()
    num_problems = 0
    for name in options.store or sorted(STORES):
        with STORES[name]() as store, tempfile.TemporaryDirectory() as cache:
            lengths = Options(away_seconds=options.away_seconds, pause_seconds=options.pause_seconds)
            outcome = run(store, Path(cache), lengths)
        print(outcome)
        num_problems += len(outcome.problems)
    return 1 if num_problems else 0


if __name__ == "__main__":
    sys.exit(main())
