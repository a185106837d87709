"""The digits example: the model, its pictures and its client."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salver_testing.clients import Grpc, Rest
from salver_testing.models import EXAMPLES
from salver_testing.server import Server, binary
from salver_testing.tensors import make_tensor, read_field

CLIENT = EXAMPLES / "digits/client.py"
PICTURES = [EXAMPLES / f"digits/digits/{digit}.png" for digit in range(10)]


def pixels() -> np.ndarray:
    """Returns the ten pictures as one batch."""
    return np.stack([np.asarray(Image.open(file), np.float32) for file in PICTURES])[..., np.newaxis]


def test_rest_reads_every_digit(rest: Rest) -> None:
    probabilities = np.array(rest.predict("digits", {"instances": pixels().tolist()}).json["predictions"])
    assert probabilities.shape == (10, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities.argmax(axis=1).tolist() == list(range(10))


def test_grpc_reads_every_digit(grpc_client: Grpc) -> None:
    answer = grpc_client.predict("digits", image=make_tensor(pixels()))
    assert read_field(answer.outputs["probabilities"]).argmax(axis=1).tolist() == list(range(10))


@pytest.mark.parametrize("api", ["rest", "grpc"])
@pytest.mark.parametrize("has_pillow", [True, False], ids=["pillow", "bare"])
def test_the_client_prints_the_digit(server: Server, api: str, has_pillow: bool, tmp_path: Path) -> None:
    arguments = ["--grpc", f"--server={server.grpc}"] if api == "grpc" else [f"--server={server.rest}"]
    if not has_pillow:
        (tmp_path / "PIL.py").write_text("raise ImportError\n")
    command = [sys.executable, str(CLIENT), *arguments, *map(str, PICTURES)]
    lines = subprocess.check_output(command, text=True, env={"PYTHONPATH": str(tmp_path)}).splitlines()
    assert [line.split(": ")[1].split()[0] for line in lines] == [str(digit) for digit in range(10)]
    assert lines[0].startswith(str(PICTURES[0]))


def test_the_client_says_what_is_wrong(server: Server) -> None:
    command = [sys.executable, str(CLIENT), f"--server={server.rest}", str(CLIENT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("client.py: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_salver_predict_prints_the_digit(server: Server, api: str) -> None:
    address = f"--grpc={server.grpc}" if api == "grpc" else f"--url=http://{server.rest}"
    for digit in (0, 7):
        command = [str(binary()), "predict", address, "digits", str(PICTURES[digit])]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        assert re.search(rf"\b{digit} \(0\.\d+|\b{digit} \(1\.0", answer.stdout), answer.stdout


def test_salver_predict_needs_no_server() -> None:
    command = [str(binary()), "predict", str(EXAMPLES / "digits/models/digits"), str(PICTURES[3])]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert re.search(r"\b3 \([01]\.", answer.stdout), answer.stdout
