#!/usr/bin/env python3
"""3,000 logged requests of TensorFlow Serving's users, all parsed and all answered, over REST and over gRPC.

    SALVER_BIN=target/release/salver VENV/bin/python python/scenarios/logged_requests.py --labs LABS

LABS holds `bq_prediction_logs.csv` somewhere. The Python has TensorFlow and `python/upstream-requirements.txt`; it
makes a model of the signature that the requests have, with random weights, and says what TensorFlow answers to each.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import _path  # noqa: F401
import numpy as np
import tensorflow as tf

from salver_testing.clients import Grpc, Rest, predict_request
from salver_testing.server import ModelServer
from salver_testing.tensorflow_models import answer, save_covertype
from salver_testing.tensors import read_field

MODEL = "covertype_classifier"
TOLERANCE = 1e-5
# All at once in one request, as batch clients do.
BATCH = 500

Row = dict[str, list[Any]]


def read_log(file: Path) -> tuple[list[bytes], list[Row], list[int]]:
    """Returns the bodies of the requests, their only instances, and how many numbers each logged answer has."""
    bodies, rows, sizes = [], [], []
    with file.open(newline="") as lines:
        for entry in csv.DictReader(lines):
            request, prediction = json.loads(entry["raw_data"]), json.loads(entry["raw_prediction"])
            (row,) = request["instances"]
            bodies.append(entry["raw_data"].encode())
            rows.append(row)
            sizes.append(len(prediction["predictions"][0]["probabilities"]))
    return bodies, rows, sizes


def signature_of(rows: list[Row]) -> tuple[list[str], list[str]]:
    """Returns which inputs are numbers and which are words; they have to be the same in every row."""
    forms = Counter(tuple((name, type(value).__name__) for name, (value,) in row.items()) for row in rows)
    assert len(forms) == 1, forms
    (form,) = forms
    assert {kind for _, kind in form} == {"int", "str"}, form
    return [name for name, kind in form if kind == "int"], [name for name, kind in form if kind == "str"]


def over_rest(server: ModelServer, bodies: list[bytes]) -> list[Any]:
    """Posts every body as it was logged; an answer is a list of numbers, or what went wrong."""
    answers = []
    with Rest(server.rest) as client:
        for body in bodies:
            told = client.request("POST", f"/v1/models/{MODEL}:predict", body)
            answers.append(told.json["predictions"][0] if told.status == 200 else told.body.decode(errors="replace"))
    return answers


def over_rest_in_batches(server: ModelServer, rows: list[Row]) -> list[Any]:
    """Posts many instances in each request."""
    answers = []
    with Rest(server.rest) as client:
        for start in range(0, len(rows), BATCH):
            told = client.predict(MODEL, {"instances": rows[start : start + BATCH]})
            answers += told.json["predictions"] if told.status == 200 else [told.body.decode(errors="replace")]
    return answers


def over_grpc(server: ModelServer, rows: list[Row], numbers: list[str]) -> list[Any]:
    """Sends every row with the tensors that TensorFlow's own client makes of it."""
    answers = []
    with Grpc(server.grpc) as client:
        for row in rows:
            dtypes = {name: tf.int64 if name in numbers else tf.string for name in row}
            tensors = {name: tf.make_tensor_proto([value], dtypes[name]) for name, value in row.items()}
            outputs = client.prediction.Predict(predict_request(MODEL, **tensors), timeout=30).outputs
            answers.append(read_field(outputs["probabilities"])[0])
    return answers


def judge(name: str, answers: list[Any], expected: np.ndarray, seconds: float) -> bool:
    """Prints how many were answered as TensorFlow answers."""
    failures = [told for told in answers if isinstance(told, str)]
    is_whole = not failures and len(answers) == len(expected)
    difference = float(np.abs(np.array(answers) - expected).max()) if is_whole else float("nan")
    print(
        f"{name:16} {len(answers) - len(failures)} of {len(expected)} answered in {seconds:.1f} s; largest "
        f"difference from TensorFlow {difference:.1e} {failures[:1] or ''}".rstrip()
    )
    return is_whole and difference < TOLERANCE


def main() -> int:
    """Reads the log, makes the model, asks and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=Path, required=True, help="the folder of the labs")
    options = parser.parse_args()
    (file,) = options.labs.rglob("bq_prediction_logs.csv")
    bodies, rows, sizes = read_log(file)
    numbers, words = signature_of(rows)
    (num_classes,) = set(sizes)
    print(f"{len(rows)} logged requests: {len(numbers)} numbers and {len(words)} words in, {num_classes} out")
    is_right = True
    with tempfile.TemporaryDirectory() as name:
        version = Path(name) / MODEL / "1"
        save_covertype(version, numbers, words, num_classes)
        inputs = {name: np.array([row[name] for row in rows]) for name in (*numbers, *words)}
        expected = answer(version, "serving_default", **inputs)["probabilities"]
        with ModelServer(f"--model_name={MODEL}", f"--model_base_path={version.parent}") as server:
            for title, ask in (
                ("REST", lambda: over_rest(server, bodies)),
                (f"REST, {BATCH} a time", lambda: over_rest_in_batches(server, rows)),
                ("gRPC", lambda: over_grpc(server, rows, numbers)),
            ):
                began = time.perf_counter()
                answers = ask()
                is_right &= judge(title, answers, expected, time.perf_counter() - began)
    print("all as it has to be" if is_right else "NOT as it has to be")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
