#!/usr/bin/env python3
"""What batching gives: a network that waits for memory and one that costs next to nothing, with and without it.

    SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/batching.py

Both servers run at the same time and are asked in turns, over gRPC, by one client and by many that each wait for their
answer. The answers have to be the same.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import _path  # noqa: F401
import numpy as np

from salver_testing.clients import Grpc, predict_request
from salver_testing.closed_loop import GrpcClient, capacity, millis
from salver_testing.models import layers, place
from salver_testing.server import Server
from salver_testing.tensors import make_tensor, read_field

MODELS = {"large": (2048, 4096, 4096, 1000), "small": (784, 128, 10)}
MAX_BATCH_SIZE = 64
MANY_CLIENTS = 64
MIN_GAIN = 5.0
# The largest ratio of the time of one request alone.
MAX_COST = 1.05
TOLERANCE = 1e-4
KINDS = ("alone", "joined")


def make_folders(root: Path) -> dict[str, Path]:
    """Writes the models twice: with batching and without."""
    for kind in KINDS:
        for name, sizes in MODELS.items():
            place(root / kind, name, "1", layers(*sizes))
            text = f"batching = {{ max_batch_size = {MAX_BATCH_SIZE} }}\n" if kind == "joined" else ""
            (root / kind / name / "model.toml").write_text(text)
    return {kind: root / kind for kind in KINDS}


async def latency(client: GrpcClient, num_requests: int) -> float:
    """Returns the median time of a request in ms, one at a time."""
    latencies = []
    for _ in range(num_requests):
        started = time.perf_counter()
        assert await client.ask() == ""
        latencies.append(time.perf_counter() - started)
    return millis(latencies, 0.5)


async def compare(servers: dict[str, Server], model: str, rounds: int, seconds: float) -> tuple[float, float]:
    """Prints medians of both; returns the gain with many clients and the cost with one."""
    values = np.random.default_rng(2).normal(size=(1, MODELS[model][0])).astype(np.float32)
    request = predict_request(model, x=make_tensor(values))
    clients = {kind: GrpcClient(server.grpc, request) for kind, server in servers.items()}
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    medians: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for client in clients.values():
        await latency(client, 20)
    for round_idx in range(rounds):
        # Who comes after the other's load is slower.
        for kind in KINDS if round_idx % 2 else reversed(KINDS):
            client = clients[kind]
            medians[kind].append(await latency(client, 100))
            rates[kind].append(await capacity(client, MANY_CLIENTS, seconds))
    for client in clients.values():
        await client.close()
    rate = {kind: statistics.median(rates[kind]) for kind in KINDS}
    median = {kind: statistics.median(medians[kind]) for kind in KINDS}
    gain, cost = rate["joined"] / rate["alone"], median["joined"] / median["alone"]
    print(
        f"{model}: {MANY_CLIENTS} clients {rate['alone']:.0f} -> {rate['joined']:.0f} answers/s, {gain:.2f} times; "
        f"one client p50 {median['alone']:.2f} -> {median['joined']:.2f} ms, {cost:.2f} times",
        flush=True,
    )
    return gain, cost


def difference(servers: dict[str, Server], model: str) -> float:
    """Returns how far apart the answers of both are to the same request."""
    values = np.random.default_rng(3).normal(size=(3, MODELS[model][0])).astype(np.float32)
    answers = []
    for server in servers.values():
        with Grpc(server.grpc) as client:
            answers.append(read_field(client.predict(model, x=make_tensor(values)).outputs["y"]))
    return float(np.abs(answers[0] - answers[1]).max())


def main() -> int:
    """Compares both models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="rten", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="of each load (default: %(default)s)")
    options = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folders = make_folders(Path(name))
        arguments = f"--engine={options.engine}"
        with Server(folders["alone"], arguments) as alone, Server(folders["joined"], arguments) as joined:
            servers = {"alone": alone, "joined": joined}
            for model in MODELS:
                if (apart := difference(servers, model)) > TOLERANCE:
                    problems.append(f"{model}: answers differ by {apart:.1e}")
                gain, cost = asyncio.run(compare(servers, model, options.rounds, options.seconds))
                if model == "large" and gain < MIN_GAIN:
                    problems.append(f"{model}: batching gives {gain:.2f} times the answers, less than {MIN_GAIN}")
                if cost > MAX_COST:
                    problems.append(f"{model}: batching costs one client {cost:.2f} times the time")
    print("\n".join(f"PROBLEM: {problem}" for problem in problems) or "all as it has to be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
