"""Writes the tiny ONNX models that tests and scenarios serve."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import saved_models
from .server import REPOSITORY, is_tensorflow

OPSET = 17
IR_VERSION = 8
EXAMPLES = REPOSITORY / "examples"

VECTOR: list[str | int] = ["N"]

# Numeric dtypes that a request can carry, by the word that names the model `echo_WORD`.
ECHO_DTYPES = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "half": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int16": TensorProto.INT16,
    "int8": TensorProto.INT8,
    "uint64": TensorProto.UINT64,
    "uint32": TensorProto.UINT32,
    "uint16": TensorProto.UINT16,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}

# Element type and shape of each input or output; no shape means any.
Values = dict[str, tuple[int, list[str | int] | None]]


def model_bytes(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: Values,
    outputs: Values,
    constants: dict[str, np.ndarray] | None = None,
) -> bytes:
    """Returns a model of these nodes."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(alias, *spec) for alias, spec in inputs.items()],
        [helper.make_tensor_value_info(alias, *spec) for alias, spec in outputs.items()],
        [numpy_helper.from_array(value, alias) for alias, value in (constants or {}).items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="salver tests")
    return model.SerializeToString()


def slow() -> bytes:
    """Returns a model that works for half a second or so on what it is asked, and answers nothing of use."""
    side, num_products = 1200, 3
    nodes = [helper.make_node("Expand", ["x", "shape"], ["m0"])]
    for product in range(num_products):
        nodes.append(helper.make_node("MatMul", [f"m{product}"] * 2, [f"m{product + 1}"]))
    nodes.append(helper.make_node("ReduceMax", [f"m{num_products}"], ["y"], keepdims=0))
    shape = {"shape": np.array([side, side], np.int64)}
    float_ = TensorProto.FLOAT
    return model_bytes("slow", nodes, {"x": (float_, [1])}, {"y": (float_, [])}, shape)


def half_plus(offset: float, shape: list[str | int] | None = VECTOR) -> bytes:
    """Returns y = x / 2 + offset, over vectors of any length if nothing else is said."""
    vector = (TensorProto.FLOAT, shape)
    nodes = [helper.make_node("Mul", ["x", "a"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    constants = {"a": np.array(0.5, np.float32), "b": np.array(offset, np.float32)}
    return model_bytes("half_plus", nodes, {"x": vector}, {"y": vector}, constants)


def heavy_half_plus(offset: float, num_bytes: int) -> bytes:
    """Returns y = x / 2 + offset with weights of `num_bytes` that no optimiser can drop.

    The offset is fetched from the weights by an index that depends on x (and is always 0).
    """
    vector = (TensorProto.FLOAT, ["N"])
    weights = np.random.default_rng(int(offset)).normal(size=num_bytes // 4).astype(np.float32)
    weights[0] = offset
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["m"]),
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["index"], to=TensorProto.INT32),
        helper.make_node("Gather", ["weights", "index"], ["b"], axis=0),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    constants = {"a": np.array(0.5, np.float32), "zero": np.array(0, np.float32), "weights": weights}
    return model_bytes("heavy_half_plus", nodes, {"x": vector}, {"y": vector}, constants)


def layers(*sizes: int) -> bytes:
    """Returns layers of random weights between so many values, with what is negative cut off between them."""
    generator = np.random.default_rng(1)
    nodes, constants = [], {}
    value, last = "x", len(sizes) - 2
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        constants[f"w{layer}"] = generator.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
        product = "y" if layer == last else f"m{layer}"
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [product]))
        if layer != last:
            value = f"h{layer}"
            nodes.append(helper.make_node("Relu", [product], [value]))
    x, y = ((TensorProto.FLOAT, ["N", size]) for size in (sizes[0], sizes[-1]))
    return model_bytes("layers", nodes, {"x": x}, {"y": y}, constants)


def sum_and_difference() -> bytes:
    """Returns a model of two inputs and two outputs."""
    vector = (TensorProto.FLOAT, ["N"])
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    inputs = {"a": vector, "b": vector}
    return model_bytes("sum_and_difference", nodes, inputs, {"sum": vector, "difference": vector})


def linear() -> bytes:
    """Returns y = x W with x of [N,3] and y of [N,2]: the model itself refuses other shapes."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    constants = {"w": np.array([[1, 2], [3, 4], [5, 6]], np.float32)}
    float_ = TensorProto.FLOAT
    return model_bytes("linear", nodes, {"x": (float_, ["N", 3])}, {"y": (float_, ["N", 2])}, constants)


def total() -> bytes:
    """Returns a model whose output has no batch axis."""
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    return model_bytes("total", nodes, {"x": (TensorProto.FLOAT, ["N"])}, {"y": (TensorProto.FLOAT, [])})


def colours(version: int, num_classes: int = 3) -> tuple[bytes, np.ndarray]:
    """Returns softmax(mean colour W) for pictures [N,H,W,3], and the W of this version."""
    weights = np.random.default_rng(version).normal(size=(3, num_classes)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    inputs: Values = {"image": (TensorProto.FLOAT, ["N", "H", "W", 3])}
    outputs: Values = {"probabilities": (TensorProto.FLOAT, ["N", num_classes])}
    return model_bytes("colours", nodes, inputs, outputs, {"w": weights}), weights


def echo(dtype: int) -> bytes:
    """Returns a model that gives back what it is sent."""
    spec = (dtype, ["N"])
    return model_bytes("echo", [helper.make_node("Identity", ["x"], ["y"])], {"x": spec}, {"y": spec})


def place(root: Path, name: str, version: str, model: bytes) -> Path:
    """Puts a version in place in one step, as a careful deployment does, and returns its folder."""
    base = root / name
    base.mkdir(parents=True, exist_ok=True)
    staging = base / f".staging-{version}"
    staging.mkdir()
    (staging / "model.onnx").write_bytes(model)
    staging.rename(base / version)
    return base / version


def make_test_models(root: Path) -> Path:
    """Writes every model that the tests use, for the engine under test, and returns their folder."""
    if is_tensorflow():
        return saved_models.make_test_models(root)
    place(root, "half_plus_two", "00000123", half_plus(2))
    place(root, "any_shape", "1", half_plus(2, shape=None))
    place(root, "versioned", "1", half_plus(1))
    place(root, "versioned", "2", half_plus(2))
    (root / "versioned/model.toml").write_text('versions = "all"\n\n[labels]\nstable = 1\ncanary = 2\n')
    place(root, "sum_and_difference", "1", sum_and_difference())
    place(root, "linear", "1", linear())
    place(root, "total", "1", total())
    for word, dtype in ECHO_DTYPES.items():
        place(root, f"echo_{word}", "1", echo(dtype))
    shutil.copytree(EXAMPLES / "digits/models/digits", root / "digits")
    return root
