#!/usr/bin/env python3
"""Trained models see what is in photographs: a cat, a person, one face; over REST and gRPC.

    target/python/bin/python python/scenarios/real_models.py --models DATA/models/onnx --data DATA

DATA holds `labs/gcp` with the photographs of the cat and of Grace Hopper, and `models/onnx` with
`resnet8_cifar10`, `visual_wake_words` and `ultraface_rfb_320`.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import _path  # noqa: F401
import numpy as np
from PIL import Image

from salver_testing.clients import Grpc, Rest
from salver_testing.server import Server
from salver_testing.tensors import make_tensor, read_field

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MIN_CAT, MIN_PERSON = 0.99, 0.8
MIN_FACE, MAX_OVERLAP = 0.7, 0.3
# The two APIs carry the same numbers, one of them in decimal digits.
TOLERANCE = 1e-4

Outputs = dict[str, np.ndarray]


def picture(data: Path, name: str, width: int, height: int) -> np.ndarray:
    """Returns the photograph of this name as RGB of 0..255, resized bilinearly."""
    (file,) = (data / "labs").rglob(name)
    resized = Image.open(file).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def ask_rest(server: Server, model: str, alias: str, batch: np.ndarray) -> Outputs:
    """Predicts over REST, in columns."""
    with Rest(server.rest) as client:
        answer = client.predict(model, {"inputs": {alias: batch.tolist()}})
    assert answer.status == 200, answer.body[:300]
    outputs = answer.json["outputs"]
    outputs = outputs if isinstance(outputs, dict) else {"": outputs}
    return {name: np.array(values, np.float32) for name, values in outputs.items()}


def ask_grpc(server: Server, model: str, alias: str, batch: np.ndarray) -> Outputs:
    """Predicts over gRPC."""
    with Grpc(server.grpc) as client:
        outputs = client.predict(model, **{alias: make_tensor(batch)}).outputs
    return {name: read_field(tensor) for name, tensor in outputs.items()}


def overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the intersection over the union of a box with each of others."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return shared / (np.prod(one[2:] - one[:2]) + areas - shared)


def find_faces(scores: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """Returns the best box of each face."""
    is_face = scores > MIN_FACE
    candidates = boxes[is_face][np.argsort(-scores[is_face])]
    faces = []
    while len(candidates):
        faces.append(candidates[0])
        candidates = candidates[overlap(candidates[0], candidates) < MAX_OVERLAP]
    return faces


def judge_cat(outputs: Outputs) -> tuple[bool, str]:
    """Tells whether a cat is seen."""
    (scores,) = outputs.values()
    best = CIFAR10[int(scores[0].argmax())]
    return best == "cat" and scores[0].max() > MIN_CAT, f"{best} {scores[0].max():.4f}"


def judge_person(outputs: Outputs) -> tuple[bool, str]:
    """Tells whether a person is seen."""
    (scores,) = outputs.values()
    return scores[0, 1] > MIN_PERSON, f"person {scores[0, 1]:.4f}"


def judge_face(outputs: Outputs) -> tuple[bool, str]:
    """Tells whether one face is seen."""
    faces = find_faces(outputs["scores"][0, :, 1], outputs["boxes"][0])
    places = ", ".join(np.array2string(face, precision=3) for face in faces)
    return len(faces) == 1, f"{len(faces)} face(s) at {places}; best score {outputs['scores'][0, :, 1].max():.4f}"


def main() -> int:
    """Asks every model over both APIs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="the folder of flat ONNX models")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the photographs")
    parser.add_argument("--engine", action="append", help="rten, onnxruntime; may be repeated (default: rten)")
    options = parser.parse_args()
    cat = picture(options.data, "cat.jpg", 32, 32)[np.newaxis]
    hopper = picture(options.data, "grace_hopper.jpg", 96, 96)[np.newaxis] / 255
    face = ((picture(options.data, "grace_hopper.jpg", 320, 240) - 127) / 128).transpose(2, 0, 1)[np.newaxis]
    tasks: list[tuple[str, str, np.ndarray, Callable[[Outputs], tuple[bool, str]]]] = [
        ("resnet8_cifar10", "input_1", cat, judge_cat),
        ("visual_wake_words", "input_1", hopper, judge_person),
        ("ultraface_rfb_320", "input", face, judge_face),
    ]
    num_wrong = 0
    for engine in options.engine or ["rten"]:
        with Server(options.models, f"--engine={engine}") as server:
            for model, alias, batch, judge in tasks:
                answers = []
                for api, ask in (("REST", ask_rest), ("gRPC", ask_grpc)):
                    answers.append(ask(server, model, alias, batch))
                    is_right, text = judge(answers[-1])
                    num_wrong += not is_right
                    print(f"{engine:12} {api}  {model:18} {'right' if is_right else 'WRONG'}: {text}")
                for one, other in zip(answers[0].values(), answers[1].values(), strict=True):
                    if one.shape == other.shape:
                        assert np.abs(one - other).max() < TOLERANCE, "REST and gRPC differ"
    return 1 if num_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
