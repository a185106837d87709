"""A short form of scenarios/versions_lab.py: the lab's configuration, with small models."""

import json
from pathlib import Path

import numpy as np

from salver_testing.models import colours, place
from salver_testing.versions_lab import MODEL, Lab, play, with_base_path

# As the lab writes it, but for the order of its fields.
CONFIG = """
model_config_list {
  config {
    name: 'animals'
    base_path: '/models/animals/'
    model_platform: 'tensorflow'
    model_version_policy { specific { versions: 1 versions: 2 versions: 3 } }
    version_labels { key: 'deprecated' value: 1 }
    version_labels { key: 'stable' value: 2 }
    version_labels { key: 'canary' value: 3 }
  }
}
"""
SHAPE = (1, 5, 5, 3)


def test_versions_and_labels_follow_the_configuration(tmp_path: Path) -> None:
    instances = np.random.default_rng(1).random(SHAPE, np.float32)
    expected = {}
    for version in (1, 2, 3):
        model, weights = colours(version)
        place(tmp_path, MODEL, str(version), model)
        powers = np.exp(instances.mean(axis=(1, 2)) @ weights)
        expected[version] = powers / powers.sum(axis=-1, keepdims=True)
    body = json.dumps({"instances": instances.tolist()}).encode()
    lab = Lab(with_base_path(CONFIG, tmp_path / MODEL), body, "image", instances, expected)
    story = play(lab, tmp_path)
    print(*story.lines, sep="\n")
    assert not story.problems, "\n".join(story.problems)
