#!/usr/bin/env python3
"""The autoscaling lab's request, a photograph in base64, to a model of the lab's form: five labels and probabilities.

    SALVER_BIN=target/release/salver VENV/bin/python python/scenarios/autoscaling_lab.py --labs LABS

LABS holds the lab's `request-body.json` somewhere, and photographs. The Python has TensorFlow and
`python/upstream-requirements.txt`; it makes the model, with random weights and statistics that are calibrated on the
photographs so that margins between classes are real, and says what TensorFlow answers. The server is started with the
arguments of the lab's manifest.
"""

import argparse
import base64
import json
import sys
import tempfile
import time
from pathlib import Path

import _path  # noqa: F401
import numpy as np

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.server import ModelServer
from salver_testing.tensorflow_models import NUM_TOP, SIZE, Outputs, answer, save_classifier
from salver_testing.tensors import make_tensor, read_field

MODEL = "image_classifier"
SIGNATURE = "serving_preprocess"
# Of a probability; the nearest two of the five are further apart.
TOLERANCE = 1e-4
# The lab's Locust file sends no content type, its curl line that of a form.
CONTENT_TYPES = (None, "application/x-www-form-urlencoded", "application/json")
# Of the largest logit.
MAX_DIFFERENCE = 1e-4


def serve(base_path: Path) -> ModelServer:
    """Starts the server as the image's entry point does with the manifest's arguments."""
    entry_point = ["--model_name=model", "--model_base_path=/models/model"]
    return ModelServer(*entry_point, f"--model_name={MODEL}", f"--model_base_path={base_path}")


def compare(expected: Outputs, labels: list[str], probabilities: list[float]) -> bool:
    """Prints both answers side by side and returns whether they are the same."""
    wanted = [label.decode() for label in expected["labels"][0]]
    difference = np.abs(np.array(probabilities) - expected["probabilities"][0])
    for row in zip(wanted, expected["probabilities"][0], labels, probabilities, strict=True):
        print("  TensorFlow: {:12} {:.6f}   served: {:12} {:.6f}".format(*row))
    print(f"  largest difference of a probability: {difference.max():.1e}")
    return labels == wanted and bool((difference <= TOLERANCE * expected["probabilities"][0]).all())


def post(server: ModelServer, body: bytes, expected: Outputs) -> list[str]:
    """Posts the lab's request in all ways in which the lab does."""
    problems = []
    with Rest(server.rest) as client:
        for path in (f"/v1/models/{MODEL}:predict", f"/v1/models/{MODEL}/versions/1:predict"):
            for content_type in CONTENT_TYPES:
                began = time.perf_counter()
                headers = {"Content-Type": content_type} if content_type else {}
                told = client.request("POST", path, body, headers)
                millis = (time.perf_counter() - began) * 1000
                print(f"POST {path}, content type {content_type}: {told.status} in {millis:.0f} ms")
                if told.status != 200 or "error" in told.json:
                    problems.append(f"{path}: {told.status} {told.body[:300]!r}")
                    continue
                (prediction,) = told.json["predictions"]
                if not compare(expected, prediction["labels"], prediction["probabilities"]):
                    problems.append(f"{path}: other labels or probabilities than TensorFlow's")
    return problems


def ask_default(server: ModelServer, version: Path) -> list[str]:
    """Asks the default signature over gRPC."""
    pictures = np.random.default_rng(3).random((2, SIZE, SIZE, 3), np.float32)
    (expected,) = answer(version, "serving_default", image=pictures).values()
    with Grpc(server.grpc) as client:
        request = predict_request(MODEL, image=make_tensor(pictures))
        (output,) = client.prediction.Predict(request, timeout=60).outputs.values()
    difference = float(np.abs(read_field(output) - expected).max() / np.abs(expected).max())
    print(f"serving_default over gRPC: largest difference {difference:.1e} of the largest logit")
    return [] if difference < MAX_DIFFERENCE else [f"serving_default differs by {difference:.1e}"]


def margins(version: Path, picture: bytes) -> float:
    """Prints how far apart the first places are and returns the least distance."""
    values = answer(version, SIGNATURE, image_bytes=[picture])["probabilities"][0]
    logs = np.log(values)
    gaps = logs[:-1] - logs[1:]
    print(f"distances of the {NUM_TOP} logits from the next: {np.array2string(gaps, precision=3)}")
    return float(gaps.min())


def main() -> int:
    """Makes the model, asks and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=Path, required=True, help="the folder of the labs")
    parser.add_argument("--depth", type=int, choices=(50, 101), default=101, help="layers (default: %(default)s)")
    parser.add_argument("--model", type=Path, help="keep the model in this folder, or take it from there")
    options = parser.parse_args()
    (file,) = options.labs.rglob("request-body.json")
    body = file.read_bytes()
    request = json.loads(body)
    picture = base64.b64decode(request["instances"][0]["b64"])
    assert request["signature_name"] == SIGNATURE
    with tempfile.TemporaryDirectory() as name:
        base_path = (options.model or Path(name) / MODEL).resolve()
        version = base_path / "1"
        if not version.exists():
            print(f"making ResNet{options.depth} in {version}", flush=True)
            photographs = [file.read_bytes() for file in sorted(options.labs.rglob("*.jpg"))]
            save_classifier(version, options.depth, [picture, *photographs])
        is_real = margins(version, picture) > 10 * TOLERANCE
        problems = [] if is_real else ["the margins are too small to tell a right answer from a wrong one"]
        expected = answer(version, SIGNATURE, image_bytes=[picture])
        with serve(base_path) as server:
            print(f"ready after {server.ready_seconds:.1f} s")
            problems += post(server, body, expected)
            problems += ask_default(server, version)
    print("\n".join([f"PROBLEM: {problem}" for problem in problems]) or "all as it has to be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
