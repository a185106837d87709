#!/usr/bin/env python3
"""The versioning lab: three versions of a classifier of animals under three labels, asked as in the lab, and its
configuration edited while clients ask.

    SALVER_BIN=target/release/salver VENV/bin/python python/scenarios/versions_lab.py --labs LABS

LABS holds the lab's `models.config` and `dog_example.json` somewhere. The Python has TensorFlow and
`python/upstream-requirements.txt`; it makes the three stand-in versions.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401
import numpy as np

from salver_testing.tensorflow_models import ANIMALS_INPUT, answer, save_animals
from salver_testing.versions_lab import MODEL, Lab, play, with_base_path

VERSIONS = (1, 2, 3)


def main() -> int:
    """Makes the versions, plays the lab and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=Path, required=True, help="the folder of the labs")
    parser.add_argument("--poll-seconds", type=int, default=1, help="the lab has 60 (default: %(default)s)")
    options = parser.parse_args()
    (config,) = options.labs.rglob("models.config")
    body = (config.parents[1] / "dog_example.json").read_bytes()
    instances = np.array(json.loads(body)["instances"], np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = {}
        for version in VERSIONS:
            made = folder / MODEL / str(version)
            save_animals(made, version)
            (expected[version],) = answer(made, "serving_default", **{ANIMALS_INPUT: instances}).values()
            print(f"version {version}: TensorFlow answers {expected[version]}", flush=True)
        text = with_base_path(config.read_text(), folder / MODEL)
        story = play(Lab(text, body, ANIMALS_INPUT, instances, expected, options.poll_seconds), folder)
    print(*story.lines, sep="\n")
    print(f"{len(story.problems)} problem(s)" if story.problems else "all as it has to be")
    return 1 if story.problems else 0


if __name__ == "__main__":
    sys.exit(main())
