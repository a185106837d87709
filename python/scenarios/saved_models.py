#!/usr/bin/env python3
"""Every signature of every SavedModel below some folders answers as TensorFlow itself does.

    SALVER_BIN=target/release/salver VENV/bin/python python/scenarios/saved_models.py --models FOLDER [--models FOLDER]

A SavedModel is a folder `NAME/VERSION` with a `saved_model.pb`. The Python has TensorFlow and
`python/upstream-requirements.txt`. The values are made up from the declared dtypes and shapes, so a model may refuse
them; then both have to refuse them, with the same code. TensorFlow and the server are asked in the same order, each as
often, so that models which count their runs agree too.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _path  # noqa: F401
import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2

from salver_testing.clients import Grpc, Rest
from salver_testing.examples import classify, example, regress
from salver_testing.saved_models import CLASSIFY, REGRESS
from salver_testing.server import ModelServer
from salver_testing.tensorflow_models import tf

NUM_ROWS = 3
# Of the largest value of an output: threads may add in another order.
TOLERANCE = 1e-5

Answers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Refusal:
    """What a kernel says to values it cannot take."""

    code: str


@dataclass(frozen=True)
class Case:
    """One signature of one version."""

    model: str
    version: int
    name: str
    signature: Any

    @property
    def takes_rows(self) -> bool:
        """Whether Classify or Regress ask for it."""
        return self.signature.method_name in (CLASSIFY, REGRESS)


def values(generator: np.random.Generator, declared: Any) -> np.ndarray:  # noqa: ANN401 (a tf.Tensor)
    """Makes up values for a tensor of the graph; open extents become the number of rows."""
    is_ranked = declared.shape.rank is not None
    shape = [NUM_ROWS if extent is None else extent for extent in declared.shape] if is_ranked else [NUM_ROWS]
    dtype = declared.dtype
    if dtype == tf.string:
        made = [row(generator).SerializeToString() for _ in range(int(np.prod(shape)))]
        return np.array(made, dtype=object).reshape(shape)
    if dtype.is_integer:
        return generator.integers(0, 4, shape).astype(dtype.as_numpy_dtype)
    return generator.normal(size=shape).astype(dtype.as_numpy_dtype)


def row(generator: np.random.Generator) -> Any:  # noqa: ANN401 (a message)
    """Makes up a row with the features of TensorFlow Serving's own models."""
    return example(x=float(generator.normal()), x2=float(generator.normal()))


class TensorFlow:
    """One version, run by TensorFlow in this process; it keeps its state between runs."""

    def __init__(self, folder: Path) -> None:
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder)).signature_def

    def tensor(self, name: str) -> Any:  # noqa: ANN401 (a tf.Tensor)
        """Returns a tensor of the graph; what it declares holds, whatever a signature says of it."""
        return self.session.graph.get_tensor_by_name(name)

    def run(self, signature: Any, feeds: dict[str, np.ndarray]) -> Answers | Refusal:  # noqa: ANN401
        """Runs a signature on values by alias."""
        fetches = {alias: info.name for alias, info in signature.outputs.items()}
        feed_dict = {signature.inputs[alias].name: value for alias, value in feeds.items()}
        try:
            return {alias: np.asarray(value) for alias, value in self.session.run(fetches, feed_dict).items()}
        except tf.errors.OpError as error:
            return Refusal(grpc_code(error.error_code))
        except ValueError:  # Python's own check of what is fed, which other clients leave to the kernels.
            return Refusal(grpc.StatusCode.INVALID_ARGUMENT.name)


def grpc_code(number: int) -> str:
    """Returns the name of a code, which gRPC and TensorFlow number alike."""
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def refused(ask: Callable[[], Answers]) -> Answers | Refusal:
    """Returns the answer, or with what code there is none."""
    try:
        return ask()
    except grpc.RpcError as error:
        return Refusal(error.code().name)


def ask_grpc(client: Grpc, case: Case, feeds: dict[str, np.ndarray]) -> Answers | Refusal:
    """Asks by Predict."""
    request = predict_pb2.PredictRequest()
    fill(request.model_spec, case)
    for alias, value in feeds.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))

    def ask() -> Answers:
        outputs = client.prediction.Predict(request, timeout=60).outputs
        return {alias: tf.make_ndarray(tensor) for alias, tensor in outputs.items()}

    return refused(ask)


def fill(spec: Any, case: Case) -> None:  # noqa: ANN401 (a message)
    """Names a signature of a version."""
    spec.name, spec.signature_name = case.model, case.name
    spec.version.value = case.version


def ask_rest(client: Rest, case: Case, feeds: dict[str, np.ndarray]) -> Answers | Refusal:
    """Asks over REST, in columns."""
    body = {"signature_name": case.name, "inputs": {alias: in_json(value) for alias, value in feeds.items()}}
    answer = client.predict(f"{case.model}/versions/{case.version}", body)
    if answer.status != 200:
        return Refusal(str(answer.status))
    outputs = answer.json["outputs"]
    if not isinstance(outputs, dict):
        (alias,) = case.signature.outputs
        outputs = {alias: outputs}
    return {alias: np.array(value) for alias, value in outputs.items()}


def in_json(value: np.ndarray) -> object:
    """Returns values as JSON; bytes in base64, as TensorFlow Serving has it."""
    if value.dtype != object:
        return value.tolist()
    if value.ndim == 0:
        return {"b64": tf.io.encode_base64(value.item(), pad=True).numpy().decode().translate({45: 43, 95: 47})}
    return [in_json(np.array(inner, dtype=object)) for inner in value]


def ask_rows(client: Grpc, case: Case, rows: list[Any]) -> Answers | Refusal:
    """Asks by Classify or Regress."""
    if case.signature.method_name == REGRESS:
        request = regress(case.model, case.name, *rows)
        fill(request.model_spec, case)

        def ask() -> Answers:
            told = client.prediction.Regress(request, timeout=60).result.regressions
            return {"outputs": np.array([row.value for row in told])}

        return refused(ask)
    request = classify(case.model, case.name, *rows)
    fill(request.model_spec, case)

    def ask_classes() -> Answers:
        told = client.prediction.Classify(request, timeout=60).result.classifications
        outputs = case.signature.outputs
        labels = np.array([[each.label.encode() for each in row.classes] for row in told], dtype=object)
        scores = np.array([[each.score for each in row.classes] for row in told])
        return {alias: labels if alias == "classes" else scores for alias in outputs}

    return refused(ask_classes)


def difference(expected: Answers | Refusal, told: Answers | Refusal) -> tuple[bool, str]:
    """Tells whether two answers are the same, and how far apart they are."""
    if isinstance(expected, Refusal) or isinstance(told, Refusal):
        is_same = isinstance(expected, Refusal) and isinstance(told, Refusal)
        # Over REST the code is HTTP's, which several of gRPC's share.
        is_same = is_same and (expected == told or told.code.isdigit())
        return is_same, f"TensorFlow: {expected}; served: {told}"
    if expected.keys() != told.keys():
        return False, f"outputs {sorted(expected)} became {sorted(told)}"
    largest = 0.0
    for alias, wanted in expected.items():
        given = told[alias]
        if wanted.dtype == object:
            texts = [text.encode() if isinstance(text, str) else text for text in given.ravel()]
            if list(wanted.ravel()) != texts:
                return False, f"{alias}: {wanted!r} became {given!r}"
            continue
        if given.size != wanted.size:
            return False, f"{alias}: shape {wanted.shape} became {given.shape}"
        given = given.reshape(wanted.shape).astype(np.float64)
        scale = max(float(np.abs(wanted).max(initial=0)), 1e-30)
        largest = max(largest, float(np.abs(given - wanted).max(initial=0)) / scale)
    return largest <= TOLERANCE, f"largest difference {largest:.1e}" if largest else "identical"


def ask(tensorflow: TensorFlow, case: Case, server: ModelServer) -> Iterator[tuple[str, bool, str]]:
    """Asks for one signature in every way there is, TensorFlow first."""
    generator = np.random.default_rng(7)
    inputs = sorted(case.signature.inputs.items())
    feeds = {alias: values(generator, tensorflow.tensor(info.name)) for alias, info in inputs}
    with Grpc(server.grpc) as by_grpc, Rest(server.rest) as by_rest:
        expected = tensorflow.run(case.signature, feeds)
        yield ("Predict", *difference(expected, ask_grpc(by_grpc, case, feeds)))
        # Over REST, as in TensorFlow Serving, there is no request without inputs.
        if feeds:
            expected = tensorflow.run(case.signature, feeds)
            yield ("REST", *difference(expected, ask_rest(by_rest, case, feeds)))
        if case.takes_rows:
            rows = [row(generator) for _ in range(NUM_ROWS)]
            alias = next(iter(case.signature.inputs))
            texts = np.array([each.SerializeToString() for each in rows], dtype=object)
            expected = tensorflow.run(case.signature, {alias: texts})
            method = case.signature.method_name.rsplit("/", 1)[-1]
            yield (method, *difference(expected, ask_rows(by_grpc, case, rows)))


def find(folders: list[Path]) -> list[Path]:
    """Returns the folders of versions."""
    found = sorted(file.parent for folder in folders for file in folder.rglob("saved_model.pb"))
    if not found:
        raise SystemExit(f"no saved_model.pb below {', '.join(map(str, folders))}")
    return found


def config(versions: list[Path]) -> str:
    """Returns a list that serves every version."""
    models = {version.parent.name: version.parent.resolve() for version in versions}
    entries = [
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" '
        "model_version_policy { all {} } }"
        for name, path in models.items()
    ]
    return f"model_config_list {{ {' '.join(entries)} }}\n"


def main() -> int:
    """Asks for every signature and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, action="append", required=True, help="a folder with SavedModels")
    options = parser.parse_args()
    versions = find(options.models)
    num_asked = num_wrong = 0
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "models.config"
        file.write_text(config(versions))
        with ModelServer(f"--model_config_file={file}") as server:
            print(f"{len(versions)} versions ready after {server.ready_seconds:.1f} s", flush=True)
            for folder in versions:
                tensorflow = TensorFlow(folder)
                for signature_name, signature in sorted(tensorflow.signatures.items()):
                    if signature_name == "__saved_model_init_op":
                        continue
                    case = Case(folder.parent.name, int(folder.name), signature_name, signature)
                    for way, is_right, text in ask(tensorflow, case, server):
                        num_asked, num_wrong = num_asked + 1, num_wrong + (not is_right)
                        told = "right" if is_right else "WRONG"
                        print(f"{case.model}/{case.version} {signature_name:24} {way:9} {told}: {text}", flush=True)
    print(f"{num_asked} answers beside TensorFlow's {tf.__version__}, {num_wrong} wrong")
    return 1 if num_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
