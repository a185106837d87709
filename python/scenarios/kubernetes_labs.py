#!/usr/bin/env python3
"""The command lines of the Kubernetes lab and of the autoscaling lab, and TensorFlow Serving's image's entry point.

    SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/kubernetes_labs.py --labs LABS

LABS holds the SavedModel `saved_model_half_plus_two_cpu` somewhere; TensorFlow's engine has to be installed. The
variables are expanded as Kubernetes does it, and the request is the one that the lab types.
"""

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401

from salver_testing.clients import Rest
from salver_testing.server import ENTRY_POINT, MODEL_SERVER, ModelServer

# The Kubernetes lab's limit of memory.
LAB_LIMIT_MB = 64.0
REQUEST = b'{"instances": [1.0, 2.0, 5.0]}'
ANSWER = {"predictions": [2.5, 3.0, 4.5]}
# What `curl -d` says of any body.
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def expand(argument: str, variables: dict[str, str]) -> str:
    """Puts variables into an argument as Kubernetes does: $(NAME) where NAME is set, else as it is written."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), argument)


def check(title: str, model: str, server: ModelServer) -> bool:
    """Asks for one prediction; the server has to end with 0."""
    with server, Rest(server.rest) as client:
        answer = client.request("POST", f"/v1/models/{model}:predict", REQUEST, FORM)
        memory_mb = server.memory_bytes() / 1e6
    is_right = answer.status == 200 and answer.json == ANSWER
    told = " ".join(answer.body.decode().split())
    print(f"{'right' if is_right else 'WRONG'}  {title}: {answer.status} {told}; {memory_mb:.0f} MB resident")
    return is_right


def main() -> int:
    """Starts each container's command and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=Path, required=True, help="the folder of the labs")
    options = parser.parse_args()
    model = next(options.labs.rglob("saved_model_half_plus_two_cpu"))
    is_right = True
    with tempfile.TemporaryDirectory() as folder:
        for name in ("model", "half_plus_two"):
            shutil.copytree(model, Path(folder) / name)
        base = {"MODEL_BASE_PATH": folder}
        lab = {"MODEL_NAME": "half_plus_two", "MODEL_PATH": f"{folder}/half_plus_two"}
        manifest = [
            expand(argument, lab) for argument in ("--model_name=$(MODEL_NAME)", "--model_base_path=$(MODEL_PATH)")
        ]
        runs = [
            ("the image with nothing said", "model", ENTRY_POINT, [], base),
            ("the Kubernetes lab: a ConfigMap", "half_plus_two", ENTRY_POINT, [], {**base, **lab}),
            # The entry point's own --model_name and --model_base_path come first and lose.
            ("the autoscaling lab: arguments beside it", "half_plus_two", ENTRY_POINT, manifest, {**base, **lab}),
            ("the server without the entry point", "half_plus_two", MODEL_SERVER, manifest, lab),
        ]
        for title, asked, name, arguments, variables in runs:
            is_right &= check(title, asked, ModelServer(*arguments, name=name, variables=variables))
    print(f"The Kubernetes lab's limit is {LAB_LIMIT_MB:.0f} MB; TensorFlow's library does not fit into it.")
    print("all as it has to be" if is_right else "NOT as it has to be")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
