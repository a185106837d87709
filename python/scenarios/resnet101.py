#!/usr/bin/env python3
"""ResNet101 on both engines: the same logits, the same top five, and the weights held once.

SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/resnet101.py --model resnet101/1/model.onnx

The model is what `examples/resnet101/make.py` writes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import _path  # noqa: F401
import numpy as np

from salver_testing.clients import Grpc
from salver_testing.server import Server
from salver_testing.tensors import make_tensor, read_field

ENGINES = ("rten", "onnxruntime")
SHAPE = (1, 224, 224, 3)
# Of the largest logit.
MAX_DIFFERENCE = 1e-4
NUM_PICTURES = 5
NUM_INSTANCES = (1, 4)
# What four instances may take beyond one, as a part of the weights: working memory is each instance's own.
MAX_GROWTH = 0.5


def serve(root: Path, engine: str, num_instances: int, pictures: list[np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Returns the logits of all pictures, the median time of one in ms, and the resident memory in MB."""
    (root / "resnet101" / "model.toml").write_text(f"instances = {num_instances}\n")
    with Server(root, f"--engine={engine}") as server, Grpc(server.grpc) as client:
        logits, times = [], []
        for picture in pictures:
            began = time.monotonic()
            (output,) = client.predict("resnet101", image=make_tensor(picture)).outputs.values()
            times.append((time.monotonic() - began) * 1000)
            logits.append(read_field(output)[0])
        return np.array(logits), statistics.median(times), server.memory_bytes() / 1e6


def main() -> int:
    """Compares and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the ONNX file")
    options = parser.parse_args()
    random = np.random.default_rng(7)
    pictures = [random.random(SHAPE, np.float32) for _ in range(NUM_PICTURES)]
    weights_mb = options.model.stat().st_size / 1e6
    answers, is_right = {}, True
    with tempfile.TemporaryDirectory() as name:
        version = Path(name) / "resnet101" / "1"
        version.mkdir(parents=True)
        (version / "model.onnx").symlink_to(options.model.resolve())
        for engine in ENGINES:
            memory = []
            for num_instances in NUM_INSTANCES:
                answers[engine], millis, memory_mb = serve(Path(name), engine, num_instances, pictures)
                memory.append(memory_mb)
                print(f"{engine:12} {num_instances} instance(s): median {millis:.0f} ms, {memory_mb:.0f} MB resident")
            is_right &= memory[1] - memory[0] < MAX_GROWTH * weights_mb
    first, second = (answers[engine] for engine in ENGINES)
    difference = float(np.abs(first - second).max() / np.abs(first).max())
    top = [np.argsort(-logits, axis=1)[:, :5] for logits in (first, second)]
    is_same_top = bool((top[0] == top[1]).all())
    print(f"largest difference {difference:.1e} of the largest logit; same top five: {is_same_top}")
    is_right &= difference < MAX_DIFFERENCE and is_same_top
    print("all as it has to be" if is_right else "NOT as it has to be")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
