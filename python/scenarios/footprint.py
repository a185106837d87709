#!/usr/bin/env python3
"""Start to ready, and resident memory, of a server with half_plus_two.

SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/footprint.py
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import _path  # noqa: F401

from salver_testing.clients import Grpc, Rest
from salver_testing.load import median_text
from salver_testing.models import half_plus, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

MODEL = "half_plus_two"
MAX_READY_MILLIS = 50.0
MAX_MEMORY_MB = 20.0
# A folder that is older than the server's poll, as on any machine that is not being deployed to.
AGE_SECONDS = 2.5


def ask(server: Server, num_requests: int) -> None:
    """Sends half of the requests over REST, half over gRPC."""
    with Rest(server.rest) as rest:
        for _ in range(num_requests // 2):
            answer = rest.request("POST", f"/v1/models/{MODEL}:predict", b'{"instances": [1.0, 2.0, 5.0]}')
            assert answer.status == 200, answer
    tensor = make_tensor([1.0, 2.0, 5.0])
    with Grpc(server.grpc) as client:
        for _ in range(num_requests // 2):
            assert len(client.predict(MODEL, x=tensor).outputs["y"].float_val) == 3


def main() -> int:
    """Measures and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="starts (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=10_000, help="requests in each run (default: %(default)s)")
    parser.add_argument("--engine", default="rten", help="the engine (default: %(default)s)")
    options = parser.parse_args()
    ready, idle, used = [], [], []
    with tempfile.TemporaryDirectory() as name:
        place(Path(name), MODEL, "1", half_plus(2))
        time.sleep(AGE_SECONDS)
        for _ in range(options.runs):
            with Server(Path(name), f"--engine={options.engine}") as server:
                ready.append(server.ready_seconds * 1000)
                idle.append(server.memory_bytes() / 1e6)
                ask(server, options.requests)
                used.append(server.memory_bytes() / 1e6)
    print(median_text("start to ready", ready, "ms"))
    print(median_text("resident memory when ready", idle, "MB"))
    print(median_text(f"resident memory after {options.requests} requests", used, "MB"))
    is_good = (
        statistics.median(ready) < MAX_READY_MILLIS
        and statistics.median(idle) < MAX_MEMORY_MB
        and statistics.median(used) < MAX_MEMORY_MB
    )
    print(f"limits: {MAX_READY_MILLIS:.0f} ms, {MAX_MEMORY_MB:.0f} MB: {'kept' if is_good else 'NOT KEPT'}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
