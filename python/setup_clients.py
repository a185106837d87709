#!/usr/bin/env python3
"""Makes `target/python`, a virtual environment with the clients that the tests use.

TensorFlow's own client library, `tensorflow-serving-api`, asks for all of TensorFlow but uses only its message
classes. So this takes the generated `*_pb2.py` files (half a megabyte) out of the `tensorflow-cpu` wheel, leaves the
rest, and installs `tensorflow-serving-api` without its dependencies.

    python3 python/setup_clients.py

A second call notices that all is there and ends at once. Prints the environment's interpreter as its last line.
"""

import hashlib
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
ENVIRONMENT = HERE.parent / "target/python"
STAMP = ENVIRONMENT / "salver-clients"

SERVING_API = "tensorflow-serving-api==2.21.0"
TENSORFLOW = "tensorflow-cpu==2.21.0"
# Only Python files are taken, so any platform's wheel will do for every platform.
WHEEL_PLATFORM = ["--python-version=3.11", "--platform=manylinux_2_27_x86_64", "--only-binary=:all:"]


def interpreter() -> Path:
    """Returns the environment's Python."""
    return ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def fingerprint() -> str:
    """Returns what changes when the environment has to be made anew."""
    sources = REQUIREMENTS.read_bytes() + Path(__file__).read_bytes() + sys.version.encode()
    return hashlib.sha256(sources).hexdigest()


def pip(*arguments: str) -> None:
    """Runs the environment's pip."""
    command = [str(interpreter()), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def say(message: str) -> None:
    """Prints progress at once."""
    print(f"python clients: {message}", file=sys.stderr, flush=True)


def take_message_classes() -> None:
    """Downloads the TensorFlow wheel, keeps its message classes and deletes it."""
    command = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = subprocess.check_output([str(interpreter()), "-c", command], text=True).strip()
    with tempfile.TemporaryDirectory(dir=ENVIRONMENT) as folder:
        pip("download", "--no-deps", *WHEEL_PLATFORM, f"--dest={folder}", TENSORFLOW)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            files = [name for name in archive.namelist() if name.endswith("_pb2.py")]
            archive.extractall(site_packages, files)
    say(f"took {len(files)} message classes out of {TENSORFLOW}")


def main() -> None:
    """Makes the environment unless it is there already."""
    if STAMP.exists() and STAMP.read_text() == fingerprint() and interpreter().exists():
        say("ready")
        print(interpreter())
        return
    say(f"making {ENVIRONMENT}")
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    say(f"installing {REQUIREMENTS.name}")
    pip("install", f"--requirement={REQUIREMENTS}")
    pip("install", "--no-deps", SERVING_API)
    say(f"downloading {TENSORFLOW} for its message classes (about 270 MB, deleted afterwards)")
    take_message_classes()
    check = "from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc"
    subprocess.run([str(interpreter()), "-c", check], check=True)
    STAMP.write_text(fingerprint())
    say("ready")
    print(interpreter())


if __name__ == "__main__":
    main()
