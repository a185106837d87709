#!/usr/bin/env python3
"""TensorFlow Serving's own outside-in test, `tensorflow_model_server_test.py`, against this server.

    python3 python/scenarios/upstream_test.py --checkout SERVING --tensorflow VENV/bin/python

SERVING is a work tree of the repository tensorflow/serving (the folder that holds `tensorflow_serving/`); it is read
and never written to. The Python has TensorFlow and `python/upstream-requirements.txt`. Nothing is fetched: the server's
engine is the library inside that TensorFlow, unless SALVER_TENSORFLOW_LIB names another. `wget` has to be installed.

The cases run as upstream runs them, in one process whose servers live side by side, but for the case that splits the
CPU into two devices, which has to be first in its process.
"""

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import _path  # noqa: F401

from salver_testing.server import binary

CLASS = "TensorflowModelServerTest"
PACKAGE = "tensorflow_serving"
TEST = "model_servers/tensorflow_model_server_test.py"
TESTDATA = "servables/tensorflow/testdata"

# Its model is not in the repository's files, and its operators come with a package of their own.
NOT_RUNNABLE = {"test_tf_text"}
TFLITE = {"testPredictOnTfLite", "testPredictWithSignatureDefOnTfLite"}
OWN_PROCESS = {"test_distrat_sequential_keras_saved_model_save"}

# What the test writes when a case ends.
LOGGED = re.compile(rf"^\[ *(OK|FAILED) *\] {CLASS}\.(\w+)", re.MULTILINE)

# Lets the checkout's modules complete the installed package, which has the message classes only.
DRIVER = """
import runpy, sys
import tensorflow_serving
tensorflow_serving.__path__.append(sys.argv.pop(1))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Result:
    """How a case ended."""

    outcome: str
    seconds: float = 0.0
    note: str = ""


def cases_of(test: Path) -> list[str]:
    """Returns the names of the test's cases in the order of its file."""
    tree = ast.parse(test.read_text())
    (case_class,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == CLASS]
    return [node.name for node in case_class.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]


def lay_out(folder: Path, checkout: Path) -> Path:
    """Makes the tree in which the test looks for the server and its data, and returns its root."""
    package = folder / "srcdir/tf_serving" / PACKAGE
    (package / "model_servers").mkdir(parents=True)
    (package / "model_servers/tensorflow_model_server").symlink_to(binary().resolve())
    (package / TESTDATA).parent.mkdir(parents=True)
    (package / TESTDATA).symlink_to(checkout / PACKAGE / TESTDATA)
    return folder / "srcdir"


def engine_of(python: str) -> str:
    """Returns the folder of TensorFlow's libraries in a Python installation."""
    command = "import importlib.util; print(importlib.util.find_spec('tensorflow').submodule_search_locations[0])"
    return subprocess.check_output([python, "-c", command], text=True).strip()


def run(cases: list[str], options: argparse.Namespace, folder: Path, source_dir: Path) -> dict[str, Result]:
    """Runs cases in one process and returns how each ended."""
    folder.mkdir()
    report, log = folder / "report.xml", folder / "log.txt"
    checkout = options.checkout / PACKAGE
    command = [options.tensorflow, "-c", DRIVER, str(checkout), str(checkout / TEST)]
    environment = {
        "SALVER_TENSORFLOW_LIB": engine_of(options.tensorflow),
        **os.environ,
        "TEST_SRCDIR": str(source_dir),
        "TEST_TMPDIR": str(folder / "tmp"),
        "XML_OUTPUT_FILE": str(report),
        "TF_USE_LEGACY_KERAS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    (folder / "tmp").mkdir()
    print(f"running {len(cases)} case(s); their log: {log}", flush=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *(f"{CLASS}.{case}" for case in cases)],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(options.timeout_seconds)
        except subprocess.TimeoutExpired:
            print(f"stopped after {options.timeout_seconds:.0f} s", flush=True)
        finally:
            # The servers of a test that was broken off are in its process group.
            end_group(process)
    return results_of(report, log, cases)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of the test's process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def results_of(report: Path, log: Path, cases: list[str]) -> dict[str, Result]:
    """Reads the test's report, or its log if it did not come to write one."""
    results = {case: Result("no result", note="the test's process ended before it; see the log") for case in cases}
    for outcome, case in LOGGED.findall(log.read_text(errors="replace")):
        results[case] = Result("passed" if outcome.strip() == "OK" else "FAILED")
    if not report.exists() or not report.stat().st_size:
        return results
    for case in ElementTree.parse(report).iter("testcase"):
        problems = [*case.iter("failure"), *case.iter("error")]
        note = "; ".join(raised(problem.text or problem.get("message", "")) for problem in problems)
        outcome = "FAILED" if problems else "passed"
        results[case.get("name", "")] = Result(outcome, float(case.get("time", 0)), note)
    return results


def raised(text: str) -> str:
    """Returns the exception that a traceback ends with."""
    lines = text.strip().splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return " ".join(" ".join(lines[starts[-1] if starts else -1 :]).split())[:200]


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True, help="a work tree of tensorflow/serving")
    parser.add_argument("--tensorflow", default=sys.executable, help="a Python with TensorFlow (default: this one)")
    parser.add_argument("--tflite", action="store_true", help="run the two cases of TFLite too")
    parser.add_argument("--case", action="append", help="run this case only; may be repeated")
    parser.add_argument("--keep", type=Path, help="a new folder for the logs (default: a temporary one)")
    parser.add_argument("--timeout-seconds", type=float, default=1800.0, help="of a process (default: %(default)s)")
    options = parser.parse_args()
    options.checkout = options.checkout.resolve()
    if not (options.checkout / PACKAGE / TEST).exists():
        parser.error(f"{options.checkout} has no {PACKAGE}/{TEST}: is it a work tree of tensorflow/serving?")
    if not shutil.which("wget"):
        parser.error("wget is missing; the profiler's case calls it")
    return options


def main() -> int:
    """Runs the cases, prints the table and judges."""
    options = parse()
    cases = [case for case in cases_of(options.checkout / PACKAGE / TEST) if case not in NOT_RUNNABLE]
    waiting = set() if options.tflite else TFLITE.intersection(cases)
    chosen = set(options.case or cases) - waiting
    with tempfile.TemporaryDirectory(prefix="upstream-") as temporary:
        folder = (options.keep or Path(temporary) / "logs").resolve()
        folder.mkdir(parents=True)
        source_dir = lay_out(folder, options.checkout)
        results = {case: Result("waiting", note="for TFLite models; --tflite runs it") for case in waiting}
        together = [case for case in cases if case in chosen - OWN_PROCESS]
        processes = [together] if together else []
        processes += [[case] for case in cases if case in chosen & OWN_PROCESS]
        for number, group in enumerate(processes, 1):
            results |= run(group, options, folder / f"process-{number}", source_dir)
        judge = [case for case in cases if case in results and case not in waiting]
        num_passed = sum(results[case].outcome == "passed" for case in judge)
        width = max(map(len, cases))
        for number, case in enumerate(cases, 1):
            result = results.get(case, Result("not run"))
            print(f"{number:3} {case:{width}}  {result.outcome:9} {result.seconds:6.1f} s  {result.note}".rstrip())
        print(f"{num_passed} of {len(cases)} passed, {len(judge) - num_passed} failed, {len(waiting)} waiting")
        if num_passed < len(judge) and not options.keep:
            kept = Path(tempfile.mkdtemp(prefix="upstream-logs-"))
            shutil.copytree(folder, kept, symlinks=True, dirs_exist_ok=True)
            print(f"logs: {kept}")
    return 0 if num_passed == len(judge) else 1


if __name__ == "__main__":
    sys.exit(main())
