"""`tf.make_tensor_proto` and `tf.make_ndarray` without TensorFlow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

# Dtype by TensorFlow's word: the enum's value, numpy's dtype, and the field that holds single values.
DTYPES: dict[str, tuple[int, Any, str]] = {
    "float": (DataType.DT_FLOAT, np.float32, "float_val"),
    "double": (DataType.DT_DOUBLE, np.float64, "double_val"),
    "half": (DataType.DT_HALF, np.float16, "half_val"),
    "int64": (DataType.DT_INT64, np.int64, "int64_val"),
    "int32": (DataType.DT_INT32, np.int32, "int_val"),
    "int16": (DataType.DT_INT16, np.int16, "int_val"),
    "int8": (DataType.DT_INT8, np.int8, "int_val"),
    "uint64": (DataType.DT_UINT64, np.uint64, "uint64_val"),
    "uint32": (DataType.DT_UINT32, np.uint32, "uint32_val"),
    "uint16": (DataType.DT_UINT16, np.uint16, "int_val"),
    "uint8": (DataType.DT_UINT8, np.uint8, "int_val"),
    "bool": (DataType.DT_BOOL, np.bool_, "bool_val"),
}
WORDS = {number: word for word, (number, _, _) in DTYPES.items()}


def make_tensor(values: object, word: str = "float", *, is_content: bool = True) -> TensorProto:
    """Returns a tensor as bytes (`tensor_content`, what TensorFlow sends for arrays) or as a typed field."""
    number, dtype, field = DTYPES[word]
    array = np.asarray(values, dtype)
    tensor = TensorProto(dtype=number)
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if is_content:
        tensor.tensor_content = array.tobytes()
    else:
        bits = array.view(np.uint16) if word == "half" else array
        getattr(tensor, field).extend(bits.ravel().tolist())
    return tensor


def read_field(tensor: TensorProto) -> NDArray[Any]:
    """Returns an answer's values, which have to be in the typed field, in their shape."""
    _, dtype, field = DTYPES[WORDS[tensor.dtype]]
    assert not tensor.tensor_content, "answers come in the typed field"
    values = list(getattr(tensor, field))
    array = np.array(values, np.uint16).view(np.float16) if dtype is np.float16 else np.array(values, dtype)
    return array.reshape([dim.size for dim in tensor.tensor_shape.dim])
