"""Rows of `tensorflow.Example`, and the requests that carry them."""

from typing import TypeVar

from tensorflow.core.example.example_pb2 import Example
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, model_pb2, regression_pb2

from salver_testing.saved_models import CLASSIFY, REGRESS

Request = TypeVar("Request", classification_pb2.ClassificationRequest, regression_pb2.RegressionRequest)
Value = bytes | float | int


def example(**features: Value | list[Value]) -> Example:
    """Returns a row; the type of a feature's first value tells its kind."""
    row = Example()
    for name, values in features.items():
        values = values if isinstance(values, list) else [values]
        feature = row.features.feature[name]
        match values[0]:
            case bytes():
                feature.bytes_list.value.extend(values)
            case float():
                feature.float_list.value.extend(values)
            case int():
                feature.int64_list.value.extend(values)
    return row


def rows(*examples: Example, context: Example | None = None) -> input_pb2.Input:
    """Returns the rows of a request, with what they have in common if there is something."""
    if context is None:
        return input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
    both = input_pb2.ExampleListWithContext(examples=examples, context=context)
    return input_pb2.Input(example_list_with_context=both)


def model_spec(name: str, signature: str = "") -> model_pb2.ModelSpec:
    """Returns whom to ask: the latest version."""
    return model_pb2.ModelSpec(name=name, signature_name=signature)


def classify(
    name: str, signature: str, *examples: Example, context: Example | None = None
) -> classification_pb2.ClassificationRequest:
    """Returns a request for classes."""
    input_ = rows(*examples, context=context)
    return classification_pb2.ClassificationRequest(model_spec=model_spec(name, signature), input=input_)


def regress(
    name: str, signature: str, *examples: Example, context: Example | None = None
) -> regression_pb2.RegressionRequest:
    """Returns a request for values."""
    input_ = rows(*examples, context=context)
    return regression_pb2.RegressionRequest(model_spec=model_spec(name, signature), input=input_)


def task(name: str, signature: str, method: str) -> inference_pb2.InferenceTask:
    """Returns one of several questions."""
    return inference_pb2.InferenceTask(model_spec=model_spec(name, signature), method_name=method)


def ask_all(*tasks: inference_pb2.InferenceTask, input_: input_pb2.Input) -> inference_pb2.MultiInferenceRequest:
    """Returns several questions about the same rows."""
    return inference_pb2.MultiInferenceRequest(tasks=tasks, input=input_)


__all__ = [
    "CLASSIFY",
    "REGRESS",
    "ask_all",
    "classify",
    "example",
    "model_spec",
    "regress",
    "rows",
    "task",
]
