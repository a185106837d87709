#!/usr/bin/env python3
"""Overload: two, five and ten times as many requests as the server can answer, over REST and gRPC.

    SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/overload.py

The model costs some ten milliseconds; requests come at random, whether or not those before are answered. Whoever would
wait too long is refused at once (`max_wait_micros` in `model.toml`), so that those who are accepted are answered nearly
as fast as at 80 % of the load that the server can take.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401
import numpy as np

from salver_testing.clients import predict_request
from salver_testing.models import layers, place
from salver_testing.open_loop import Client, GrpcClient, Phase, RestClient, capacity, load, millis
from salver_testing.server import Server
from salver_testing.tensors import make_tensor

MODEL = "network"
SIZES = (512, 2560, 2560, 2560, 2560, 10)
MAX_WAIT_MICROS = 60_000
NUM_CLIENTS = 4
USUAL_LOAD = 0.8
# Times the capacity, and the share of it that has to be answered.
OVERLOADS = ((2, 0.95), (5, 0.90), (10, 0.85))
MAX_P99_FACTOR = 2.0
RECOVERY_SECONDS = 1.0


async def play(server: Server, client: Client, seconds: float) -> list[str]:
    """Loads the server with one kind of clients; returns what is not as it has to be."""
    problems = []
    await load(client, 20, 1)
    most = await capacity(client, NUM_CLIENTS, seconds / 2)
    print(f"  capacity: {most:.1f} answers/s with {NUM_CLIENTS} clients that wait", flush=True)
    usual = await load(client, USUAL_LOAD * most, seconds)
    print(f"  {usual}", flush=True)
    limit = MAX_P99_FACTOR * millis(usual.latencies, 0.99)
    memory = server.memory_bytes()
    for factor, share in OVERLOADS:
        phase = await load(client, factor * most, seconds)
        print(f"  {phase}; {phase.goodput / most:.0%} of the capacity", flush=True)
        problems += judge(phase, share * most, limit)
        await asyncio.sleep(RECOVERY_SECONDS)
    after = await load(client, USUAL_LOAD * most, seconds)
    grown = server.memory_bytes() / memory - 1
    print(f"  {after}\n  resident memory {grown:+.1%}", flush=True)
    problems += judge(after, 0, limit)
    return problems + ([f"resident memory grew by {grown:.1%}"] if grown > 0.1 else [])


def judge(phase: Phase, goodput: float, p99: float) -> list[str]:
    """Returns what is not as it has to be in one phase."""
    problems = [f"{phase.rate:.0f}/s: {failure}" for failure in phase.failures[:3]]
    if phase.goodput < goodput:
        problems.append(f"{phase.rate:.0f}/s: {phase.goodput:.1f} answers/s, less than {goodput:.1f}")
    if (actual := millis(phase.latencies, 0.99)) > p99:
        problems.append(f"{phase.rate:.0f}/s: p99 {actual:.0f} ms, more than {p99:.0f} ms")
    return problems


def main() -> int:
    """Plays the scenario over both APIs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each load (default: %(default)s)")
    parser.add_argument("--max-wait-micros", type=int, default=MAX_WAIT_MICROS, help="(default: %(default)s)")
    parser.add_argument("--engine", default="rten", help="(default: %(default)s)")
    options = parser.parse_args()
    values = np.random.default_rng(2).normal(size=(1, SIZES[0])).astype(np.float32)
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place(folder, MODEL, "1", layers(*SIZES))
        (folder / MODEL / "model.toml").write_text(f"max_wait_micros = {options.max_wait_micros}\n")
        with Server(folder, f"--engine={options.engine}") as server:
            body = json.dumps({"inputs": [[round(float(value), 5) for value in values[0]]]}).encode()
            request = predict_request(MODEL, x=make_tensor(values))

            async def both() -> None:
                for kind, make in (
                    ("REST", lambda: RestClient(server.rest, MODEL, body)),
                    ("gRPC", lambda: GrpcClient(server.grpc, request)),
                ):
                    print(kind, flush=True)
                    client = make()
                    problems.extend(f"{kind} {problem}" for problem in await play(server, client, options.seconds))
                    await client.close()

            asyncio.run(both())
    print("\n".join(f"PROBLEM: {problem}" for problem in problems) or "all as it has to be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
