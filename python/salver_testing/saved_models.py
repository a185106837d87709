"""Writes tiny SavedModels out of TensorFlow's message classes alone: TensorFlow itself is not needed.

What other models keep in checkpoints is constant here, or set by an initialiser, so there are no variables' files.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from .tensors import DTYPES, make_tensor

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

# The version of TensorFlow's graphs that is written, which its releases since 2.4 read.
PRODUCER = 561

FLOAT, INT32, INT64, STRING = DataType.DT_FLOAT, DataType.DT_INT32, DataType.DT_INT64, DataType.DT_STRING

# Extents, -1 for any; None if the rank is open.
Shape = list[int] | None
# The alias of an input or output, the name of its tensor, its data type and shape.
Infos = dict[str, tuple[str, int, Shape]]


def type_(number: int) -> AttrValue:
    """Returns an attribute that is a data type."""
    return AttrValue(type=number)


def types(*numbers: int) -> AttrValue:
    """Returns an attribute that is a list of data types."""
    return AttrValue(list=AttrValue.ListValue(type=numbers))


def shape_proto(shape: Shape) -> TensorShapeProto:
    """Returns a shape."""
    if shape is None:
        return TensorShapeProto(unknown_rank=True)
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])


def tensor_proto(value: object, word: str = "float") -> TensorProto:
    """Returns a tensor; the word `string` takes texts and bytes."""
    if word != "string":
        return make_tensor(value, word)
    array: NDArray[Any] = np.asarray(value, object)
    strings = [item.encode() if isinstance(item, str) else item for item in array.ravel()]
    return TensorProto(dtype=STRING, tensor_shape=shape_proto(list(array.shape)), string_val=strings)


class Graph:
    """A graph that grows node by node, and the SavedModel around it."""

    def __init__(self) -> None:
        self.meta = MetaGraphDef()
        self.meta.meta_info_def.tags.append("serve")
        self.meta.meta_info_def.tensorflow_version = "2.21.0"
        self.meta.graph_def.versions.producer = PRODUCER
        self.assets: dict[str, bytes] = {}

    def node(self, op: str, name: str, *inputs: str, **attributes: AttrValue | bool | int | float | bytes) -> str:
        """Adds a node and returns the name of its first output."""
        node = self.meta.graph_def.node.add(op=op, name=name, input=inputs)
        for key, value in attributes.items():
            match value:
                case AttrValue():
                    node.attr[key].CopyFrom(value)
                case bool():
                    node.attr[key].b = value
                case int():
                    node.attr[key].i = value
                case float():
                    node.attr[key].f = value
                case bytes():
                    node.attr[key].s = value
        return f"{name}:0"

    def placeholder(self, name: str, dtype: int, shape: Shape) -> str:
        """Adds an input."""
        return self.node("Placeholder", name, dtype=type_(dtype), shape=AttrValue(shape=shape_proto(shape)))

    def constant(self, name: str, value: object, word: str = "float") -> str:
        """Adds a constant."""
        tensor = tensor_proto(value, word)
        return self.node("Const", name, dtype=type_(tensor.dtype), value=AttrValue(tensor=tensor))

    def signature(self, name: str, inputs: Infos, outputs: Infos, method: str = PREDICT) -> None:
        """Adds a signature."""
        signature = self.meta.signature_def[name]
        signature.method_name = method
        for infos, members in ((inputs, signature.inputs), (outputs, signature.outputs)):
            for alias, (tensor, dtype, shape) in infos.items():
                info = TensorInfo(name=tensor, dtype=dtype, tensor_shape=shape_proto(shape))
                members[alias].CopyFrom(info)

    def default(self, signature: str, alias: str, value: TensorProto) -> None:
        """Says what an input is if a request leaves it out."""
        self.meta.signature_def[signature].defaults[alias].CopyFrom(value)

    def initialiser(self, node: str) -> None:
        """Names the node that runs once, after the model was loaded."""
        self.meta.collection_def["saved_model_main_op"].node_list.value.append(node)

    def asset(self, tensor: str, name: str, content: bytes) -> None:
        """Adds a file, whose path the loader puts into the place of a tensor."""
        asset = self.meta.asset_file_def.add(filename=name)
        asset.tensor_info.name = tensor
        self.assets[name] = content

    def save(self, folder: Path) -> Path:
        """Writes the SavedModel into a new folder and returns it."""
        model = SavedModel(saved_model_schema_version=1, meta_graphs=[self.meta])
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(model.SerializeToString(deterministic=True))
        for name, content in self.assets.items():
            (folder / "assets").mkdir(exist_ok=True)
            (folder / "assets" / name).write_bytes(content)
        return folder


def half_plus(offset: float, shape: Shape = None, *, is_shape_checked: bool = False) -> Graph:
    """Returns y = x / 2 + offset."""
    graph = Graph()
    x = graph.placeholder("x", FLOAT, shape)
    _line(graph, "y", _shaped(graph, x, shape) if is_shape_checked else x, offset)
    graph.signature("serving_default", {"x": (x, FLOAT, shape)}, {"y": ("y:0", FLOAT, shape)})
    return graph


def half_plus_two() -> Graph:
    """Returns a model with the signatures of TensorFlow Serving's `saved_model_half_plus_two_cpu`.

    y = x / 2 + 2, y2 = x / 2 + 3 and y3 = x2 / 2 + 3, where x and x2 may come out of serialized tf.Examples; one
    without x is refused, x2 is 0 if it is not there.
    """
    graph = Graph()
    column: Shape = [-1, 1]
    examples = graph.placeholder("tf_example", STRING, None)
    parsed = _parse_examples(graph, examples, {"x": None, "x2": 0.0})
    x = graph.node("Identity", "x", parsed["x"], T=type_(FLOAT))
    x2 = graph.node("Identity", "x2", parsed["x2"], T=type_(FLOAT))
    _line(graph, "y", x, 2)
    _line(graph, "y2", x, 3)
    _line(graph, "y3", x2, 3)
    inputs: Infos = {"inputs": (examples, STRING, None)}

    def floats(alias: str, name: str) -> Infos:
        return {alias: (f"{name}:0", FLOAT, column)}

    graph.signature("serving_default", floats("x", "x"), floats("y", "y"))
    graph.signature("classify_x_to_y", inputs, floats("scores", "y"), CLASSIFY)
    graph.signature("classify_x2_to_y3", floats("inputs", "x2"), floats("scores", "y3"), CLASSIFY)
    graph.signature("regress_x_to_y", inputs, floats("outputs", "y"), REGRESS)
    graph.signature("regress_x_to_y2", inputs, floats("outputs", "y2"), REGRESS)
    graph.signature("regress_x2_to_y3", floats("inputs", "x2"), floats("outputs", "y3"), REGRESS)
    return graph


def words() -> Graph:
    """Returns a classifier of tf.Examples by their `word`: its classes are the word as it is and in upper case.

    The scores are their lengths. The signature `scores` gives only those, `classes` only the words.
    """
    graph = Graph()
    examples = graph.placeholder("tf_example", STRING, [-1])
    word = _parse_examples(graph, examples, {"word": "none"})["word"]
    upper = graph.node("StringUpper", "upper", word, encoding=b"")
    classes = graph.node("ConcatV2", "classes", word, upper, graph.constant("axis", 1, "int32"), N=2, **_concat(STRING))
    lengths = graph.node("StringLength", "lengths", classes, unit=b"BYTE")
    scores = graph.node("Cast", "scores", lengths, SrcT=type_(INT32), DstT=type_(FLOAT))
    inputs: Infos = {"inputs": (examples, STRING, [-1])}
    outputs: Infos = {"classes": (classes, STRING, [-1, 2]), "scores": (scores, FLOAT, [-1, 2])}
    graph.signature("serving_default", inputs, outputs, CLASSIFY)
    graph.signature("classes", inputs, {"classes": outputs["classes"]}, CLASSIFY)
    graph.signature("scores", inputs, {"scores": outputs["scores"]}, CLASSIFY)
    return graph


def text() -> Graph:
    """Returns a model of strings: themselves as `raw_bytes`, their `length` in bytes, and in `upper` case."""
    graph = Graph()
    strings = graph.placeholder("text", STRING, None)
    raw = graph.node("Identity", "raw", strings, T=type_(STRING))
    length = graph.node("StringLength", "length", strings, unit=b"BYTE")
    upper = graph.node("StringUpper", "upper", strings, encoding=b"utf-8")
    outputs: Infos = {
        "raw_bytes": (raw, STRING, None),
        "length": (length, INT32, None),
        "upper": (upper, STRING, None),
    }
    graph.signature("serving_default", {"text": (strings, STRING, None)}, outputs)
    return graph


def sum_and_difference() -> Graph:
    """Returns a model of two inputs and two outputs."""
    graph = Graph()
    a, b = (graph.placeholder(name, FLOAT, [-1]) for name in "ab")
    total = graph.node("AddV2", "sum", a, b, T=type_(FLOAT))
    difference = graph.node("Sub", "difference", a, b, T=type_(FLOAT))
    inputs: Infos = {"a": (a, FLOAT, [-1]), "b": (b, FLOAT, [-1])}
    outputs: Infos = {"sum": (total, FLOAT, [-1]), "difference": (difference, FLOAT, [-1])}
    graph.signature("serving_default", inputs, outputs)
    return graph


def linear() -> Graph:
    """Returns y = x W with x of [N,3] and y of [N,2]: the model itself refuses other shapes."""
    graph = Graph()
    x = graph.placeholder("x", FLOAT, [-1, 3])
    weights = graph.constant("w", [[1, 2], [3, 4], [5, 6]])
    y = graph.node("MatMul", "y", x, weights, T=type_(FLOAT), transpose_a=False, transpose_b=False)
    graph.signature("serving_default", {"x": (x, FLOAT, [-1, 3])}, {"y": (y, FLOAT, [-1, 2])})
    return graph


def total() -> Graph:
    """Returns a model whose output has no batch axis."""
    graph = Graph()
    x = graph.placeholder("x", FLOAT, [-1])
    axis = graph.constant("axis", 0, "int32")
    y = graph.node("Sum", "y", x, axis, T=type_(FLOAT), Tidx=type_(INT32), keep_dims=False)
    graph.signature("serving_default", {"x": (x, FLOAT, [-1])}, {"y": (y, FLOAT, [])})
    return graph


def echo(word: str) -> Graph:
    """Returns a model that gives back what it is sent, by TensorFlow's word for the dtype."""
    graph = Graph()
    dtype = STRING if word == "string" else DTYPES[word][0]
    x = graph.placeholder("x", dtype, [-1])
    y = graph.node("Identity", "y", x, T=type_(dtype))
    graph.signature("serving_default", {"x": (x, dtype, [-1])}, {"y": (y, dtype, [-1])})
    return graph


def scaled() -> Graph:
    """Returns y = scale x, where scale is 2 if a request leaves it out."""
    graph = Graph()
    x, scale = graph.placeholder("x", FLOAT, None), graph.placeholder("scale", FLOAT, [])
    y = graph.node("Mul", "y", x, scale, T=type_(FLOAT))
    inputs: Infos = {"x": (x, FLOAT, None), "scale": (scale, FLOAT, [])}
    graph.signature("serving_default", inputs, {"y": (y, FLOAT, None)})
    graph.default("serving_default", "scale", tensor_proto(2.0))
    return graph


def uneven() -> Graph:
    """Returns a model of two outputs: what it is sent, and a single number whatever the batch."""
    graph = Graph()
    x = graph.placeholder("x", FLOAT, [-1])
    y = graph.node("Identity", "y", x, T=type_(FLOAT))
    one = graph.constant("one", [1.0])
    outputs: Infos = {"y": (y, FLOAT, [-1]), "z": (one, FLOAT, [1])}
    graph.signature("serving_default", {"x": (x, FLOAT, [-1])}, outputs)
    return graph


def halves() -> Graph:
    """Returns a model that gives what it is sent as half-precision floats."""
    graph = Graph()
    x = graph.placeholder("x", FLOAT, [-1])
    y = graph.node("Cast", "y", x, SrcT=type_(FLOAT), DstT=type_(DataType.DT_HALF))
    graph.signature("serving_default", {"x": (x, FLOAT, [-1])}, {"y": (y, DataType.DT_HALF, [-1])})
    return graph


def slow() -> Graph:
    """Returns a model that multiplies matrices of a `size` before it gives back what it is sent.

    `salver_testing.slow` finds a size that takes long; zeros, as in a warm-up, take nothing.
    """
    graph = Graph()
    x = graph.placeholder("x", FLOAT, [-1])
    size = graph.placeholder("size", INT32, [2])
    product = graph.node("RandomUniform", "random", size, T=type_(INT32), dtype=type_(FLOAT))
    for step in range(2):
        product = graph.node("MatMul", f"product{step}", product, product, T=type_(FLOAT))
    axes = graph.constant("axes", [0, 1], "int32")
    total = graph.node("Max", "total", product, axes, T=type_(FLOAT), Tidx=type_(INT32), keep_dims=False)
    nothing = graph.node("Mul", "nothing", total, graph.constant("zero", 0.0), T=type_(FLOAT))
    y = graph.node("AddV2", "y", x, nothing, T=type_(FLOAT))
    graph.signature("serving_default", {"x": (x, FLOAT, [-1]), "size": (size, INT32, [2])}, {"y": (y, FLOAT, [-1])})
    return graph


def vocabulary(words: list[str]) -> Graph:
    """Returns a model that gives the line of each word in a file of them, and -1 for others."""
    graph = Graph()
    file = graph.constant("file", "", "string")
    table = graph.node(
        "HashTableV2", "table", key_dtype=type_(STRING), value_dtype=type_(INT64), shared_name=b"vocabulary"
    )
    whole_line, line_number = -2, -1
    graph.node(
        "InitializeTableFromTextFileV2",
        "initialise",
        table,
        file,
        key_index=whole_line,
        value_index=line_number,
        vocab_size=-1,
        delimiter=b"\t",
    )
    graph.initialiser("initialise")
    graph.asset(file, "words.txt", "".join(f"{word}\n" for word in words).encode())
    keys = graph.placeholder("words", STRING, None)
    unknown = graph.constant("unknown", -1, "int64")
    found = graph.node("LookupTableFindV2", "ids", table, keys, unknown, Tin=type_(STRING), Tout=type_(INT64))
    graph.signature("serving_default", {"words": (keys, STRING, None)}, {"ids": (found, INT64, None)})
    return graph


def counter() -> Graph:
    """Returns a model with a variable: `add` adds `delta` to it and gives the sum, `get` gives it."""
    graph = Graph()
    scalar = AttrValue(shape=shape_proto([]))
    handle = graph.node("VarHandleOp", "counter", dtype=type_(FLOAT), shape=scalar, shared_name=b"counter")
    graph.node("AssignVariableOp", "initialise", handle, graph.constant("zero", 0.0), dtype=type_(FLOAT))
    graph.initialiser("initialise")
    delta = graph.placeholder("delta", FLOAT, [])
    graph.node("AssignAddVariableOp", "assign", handle, delta, dtype=type_(FLOAT))
    added = graph.node("ReadVariableOp", "added", handle, "^assign", dtype=type_(FLOAT))
    value = graph.node("ReadVariableOp", "value", handle, dtype=type_(FLOAT))
    graph.signature("add", {"delta": (delta, FLOAT, [])}, {"value": (added, FLOAT, [])})
    graph.signature("get", {}, {"value": (value, FLOAT, [])})
    return graph


def digits() -> Graph:
    """Returns a model of pictures that is like the digits example, but was never trained."""
    graph = Graph()
    picture: Shape = [-1, 8, 8, 1]
    image = graph.placeholder("image", FLOAT, picture)
    size = graph.constant("size", [-1, 64], "int32")
    pixels = graph.node("Reshape", "pixels", _shaped(graph, image, picture), size, T=type_(FLOAT), Tshape=type_(INT32))
    weights = graph.constant("weights", np.random.default_rng(1).normal(size=(64, 10)))
    scores = graph.node("MatMul", "scores", pixels, weights, T=type_(FLOAT), transpose_a=False, transpose_b=False)
    probabilities = graph.node("Softmax", "probabilities", scores, T=type_(FLOAT))
    outputs: Infos = {"probabilities": (probabilities, FLOAT, [-1, 10])}
    graph.signature("serving_default", {"image": (image, FLOAT, picture)}, outputs)
    return graph


def _shaped(graph: Graph, x: str, shape: Shape) -> str:
    """Adds a check of a shape, which TensorFlow does not make by itself."""
    return graph.node("EnsureShape", "shaped", x, T=type_(FLOAT), shape=AttrValue(shape=shape_proto(shape)))


def _line(graph: Graph, name: str, x: str, offset: float) -> str:
    """Adds the node `name` = x / 2 + offset."""
    half = graph.node("Mul", f"{name}/half", x, graph.constant(f"{name}/a", 0.5), T=type_(FLOAT))
    return graph.node("AddV2", name, half, graph.constant(f"{name}/b", offset), T=type_(FLOAT))


def _concat(dtype: int) -> dict[str, AttrValue]:
    return {"T": type_(dtype), "Tidx": type_(INT32)}


def _parse_examples(graph: Graph, examples: str, defaults: dict[str, float | str | None]) -> dict[str, str]:
    """Adds a parser of features of one value each, which are asked for where there is no default.

    Returns their tensors by their names; a default that is a text makes the feature a string.
    """
    names = graph.constant("parse/names", np.array([], object), "string")
    keys, values, numbers = [], [], []
    for name, default in defaults.items():
        word = "string" if isinstance(default, str) else "float"
        keys.append(graph.constant(f"parse/key_{name}", name, "string"))
        values.append(graph.constant(f"parse/default_{name}", [] if default is None else [default], word))
        numbers.append(STRING if word == "string" else FLOAT)
    one = shape_proto([1])
    graph.node(
        "ParseExample",
        "parse",
        examples,
        names,
        *keys,
        *values,
        Nsparse=0,
        Ndense=len(keys),
        sparse_types=types(),
        Tdense=types(*numbers),
        dense_shapes=AttrValue(list=AttrValue.ListValue(shape=[one] * len(keys))),
    )
    return {name: f"parse:{position}" for position, name in enumerate(defaults)}


def place(root: Path, name: str, version: str, graph: Graph) -> Path:
    """Puts a version in place in one step, as a careful deployment does, and returns its folder."""
    base = root / name
    base.mkdir(parents=True, exist_ok=True)
    return graph.save(base / f".staging-{version}").rename(base / version)


def make_test_models(root: Path) -> Path:
    """Writes every model that the tests use on TensorFlow and returns their folder."""
    place(root, "half_plus_two", "00000123", half_plus(2, [-1]))
    place(root, "any_shape", "1", half_plus(2))
    place(root, "versioned", "1", half_plus(1, [-1], is_shape_checked=True))
    place(root, "versioned", "2", half_plus(2, [-1], is_shape_checked=True))
    (root / "versioned/model.toml").write_text('versions = "all"\n\n[labels]\nstable = 1\ncanary = 2\n')
    place(root, "sum_and_difference", "1", sum_and_difference())
    place(root, "linear", "1", linear())
    place(root, "total", "1", total())
    for word in [*DTYPES, "string"]:
        place(root, f"echo_{word}", "1", echo(word))
    place(root, "digits", "1", digits())
    place(root, "examples", "1", half_plus_two())
    place(root, "words", "1", words())
    place(root, "text", "1", text())
    place(root, "scaled", "1", scaled())
    place(root, "halves", "1", halves())
    place(root, "uneven", "1", uneven())
    place(root, "slow", "1", slow())
    place(root, "vocabulary", "1", vocabulary(["zero", "one", "snö"]))
    place(root, "counter", "1", counter())
    return root
