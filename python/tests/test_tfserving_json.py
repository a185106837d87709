"""What JSON TensorFlow Serving takes and gives: one row for each fact."""

from dataclasses import dataclass

import pytest

from salver_testing.clients import Rest


@dataclass(frozen=True)
class Fact:
    """A body for a model and what comes of it: the answer's text between its first colon and its end, or the error."""

    name: str
    model: str
    body: str
    status: int
    answer: str


def predicted(name: str, model: str, body: str, values: str) -> Fact:
    """Returns a fact about rows that are answered by these values."""
    return Fact(name, f"{model}:predict", body, 200, f'{{\n    "predictions": [{values}\n    ]\n}}')


def echoed(name: str, word: str, values: str, answer: str) -> Fact:
    """Returns a fact about values of a dtype that are taken and given back."""
    return predicted(name, f"echo_{word}", f'{{"instances": [{values}]}}', answer)


def refused(name: str, body: str, error: str, model: str = "half_plus_two", status: int = 400) -> Fact:
    """Returns a fact about a prediction that is refused."""
    return Fact(name, f"{model}:predict", body, status, error)


def no_value(shown: str, kind: str, word: str) -> str:
    """Returns the text for a value of another type in the first row."""
    return (
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
        f"JSON Value: {shown} Type: {kind} is not of expected type: {word}"
    )


def no_rows(body: str, name: str, value: str, kind: str, word: str) -> Fact:
    """Returns a fact about a value that a dtype does not take."""
    error = no_value(value, kind, word)
    return refused(name, f'{{"instances": [{body}]}}', error, f"echo_{word}")


PARSER = [
    predicted("trailing bytes", "half_plus_two", '{"instances": [1.0]}xyz', "2.5"),
    predicted(
        "NaN and infinities",
        "any_shape",
        '{"instances": [NaN, Infinity, Inf, -Infinity]}',
        "NaN, Infinity, Infinity, -Infinity",
    ),
    predicted("the first of duplicate keys", "half_plus_two", '{"instances": [1.0], "instances": [2.0]}', "2.5"),
    predicted(
        "unknown keys nested deep",
        "half_plus_two",
        '{"ignored": ' + "[" * 500_000 + "]" * 500_000 + ', "instances": [1.0]}',
        "2.5",
    ),
    refused("no JSON", "nonsense", "JSON Parse error: Invalid value. at offset: 1"),
    refused("an empty body", "", "JSON Parse error: The document is empty"),
    refused("no object", "[1.0]", "JSON Value: [1.0] Is not object"),
]

INSTANCES = [
    refused("no key", '{"x": 1}', "Missing 'inputs' or 'instances' key"),
    refused(
        "both keys",
        '{"instances": [1], "inputs": [1]}',
        'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly expecting only one of '
        "'inputs' or 'instances' keys to exist ",
    ),
    refused(
        "no list",
        '{"instances": 1}',
        "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
    ),
    refused(
        "an empty list", '{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"
    ),
    refused(
        "bare values for two inputs",
        '{"instances": [1.0]}',
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
        "sum_and_difference",
    ),
    refused(
        "a list among objects",
        '{"instances": [{"x": 1.0}, 1.0]}',
        "Expecting object but got list at item 1 of input list",
    ),
    refused(
        "an object among values",
        '{"instances": [1.0, {"x": 1.0}]}',
        "Expecting value/list but got object at item 1 of input list",
    ),
    refused(
        "a key too few",
        '{"instances": [{"a": 1.0}]}',
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1.0\n} keys must be "
        "equal to: a,b",
        "sum_and_difference",
    ),
    refused(
        "a key too many",
        '{"instances": [{"x": 1.0, "z": 1.0}]}',
        "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have "
        "named input: z",
    ),
    refused(
        "a default is not honoured in a row",
        '{"instances": [{"x": 1.0}]}',
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"x\": 1.0\n} keys must be equal to: "
        "scale,x",
        "scaled",
    ),
    refused(
        "rows of two sizes",
        '{"instances": [[1.0], [1.0, 2.0]]}',
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 "
        "but got: 2",
    ),
    refused(
        "rows of two shapes",
        '{"instances": [[1.0, 2.0], [[1.0, 2.0]]]}',
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2] but got: [1,2]",
    ),
    refused(
        "a ragged row",
        '{"instances": [[[1.0], [1.0, 2.0]]]}',
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at "
        "unexpected size: 2 "
        "at level: 1 expected size: 1",
    ),
    refused(
        "a value beside a list",
        '{"instances": [[[1.0], 1.0]]}',
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 1.0 found at incorrect "
        "level: 2 in the JSON DOM. Expected at level: 2",
    ),
    predicted("an object for one input", "half_plus_two", '{"instances": [{"x": 1.0}, {"x": 2.0}]}', "2.5, 3.0"),
    predicted("the batch axis is put in front", "any_shape", '{"instances": [[[1.0]]]}', "[[2.5]]"),
]

INPUTS = [
    Fact("a list", "half_plus_two:predict", '{"inputs": [1.0]}', 200, '{\n    "outputs": [\n        2.5\n    ]\n}'),
    Fact("a scalar", "any_shape:predict", '{"inputs": 1.0}', 200, '{\n    "outputs": 2.5\n}'),
    Fact(
        "extra keys are ignored",
        "half_plus_two:predict",
        '{"inputs": {"x": [1.0], "z": "?"}}',
        200,
        '{\n    "outputs": [\n        2.5\n    ]\n}',
    ),
    refused(
        "a bare value for two inputs",
        '{"inputs": [1.0]}',
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map",
        "sum_and_difference",
    ),
    refused("a missing input", '{"inputs": {"z": 1.0}}', "Missing named input: x in 'inputs' object."),
    refused(
        "a default is not honoured",
        '{"inputs": {"x": 1.0}}',
        "Missing named input: scale in 'inputs' object.",
        "scaled",
    ),
    refused(
        "a value of another type",
        '{"inputs": ["x"]}',
        'JSON Value: "x" Type: String is not of expected type: float',
    ),
]

OUTPUTS = [
    refused("rows of a scalar", '{"instances": [1.0]}', "Tensor name: y has no shape information ", "total"),
    refused(
        "rows of outputs of two lengths",
        '{"instances": [1.0, 2.0]}',
        "Tensor name: z has inconsistent batch size: 1 expecting: 2",
        "uneven",
    ),
    Fact("columns of a scalar", "total:predict", '{"inputs": [1.0, 2.0]}', 200, '{\n    "outputs": 3.0\n}'),
    echoed("whole numbers get a point", "float", "1, 9000000, 0.1, -2", "1.0, 9e+06, 0.1, -2.0"),
    echoed("six digits if they do", "float", "0.2, 0.3333333333, 123456.7", "0.2, 0.333333343, 123456.703"),
    echoed("seventeen digits for doubles", "double", "0.1, 0.3333333333333333", "0.1, 0.33333333333333331"),
    echoed("small numbers", "float", "0.00003, 1e-45", "3e-05, 1.4013e-45"),
    echoed("texts", "string", '"a", "\\u00e9\\n", {"b64": "Yg=="}', '"a", "é\\n", "b"'),
    refused(
        "a dtype without a form in JSON",
        '{"instances": [1.0]}',
        "Failed to write JSON value for tensor type: half",
        "halves",
    ),
]

DTYPES = [
    echoed("any number for floats", "float", "1, 1.5, 1435774380, 1e99", "1.0, 1.5, 1.43577434e+09, Infinity"),
    echoed("overflow of doubles", "double", "1e308, 1435774380", "1e+308, 1435774380.0"),
    echoed("int32", "int32", "-2147483648, 2147483647", "-2147483648, 2147483647"),
    echoed("int64", "int64", "-9223372036854775808, 9223372036854775807", "-9223372036854775808, 9223372036854775807"),
    echoed("uint32", "uint32", "0, 4294967295", "0, 4294967295"),
    echoed("uint64", "uint64", "18446744073709551615", "18446744073709551615"),
    echoed("small ones wrap", "uint8", "300, -1", "44, 255"),
    echoed("small signed ones wrap", "int8", "200", "-56"),
    echoed("int16 wraps", "int16", "40000", "-25536"),
    echoed("booleans", "bool", "true, false", "true, false"),
    no_rows('"x"', "text for float", '"x"', "String", "float"),
    no_rows("true", "true for float", "true", "True", "float"),
    no_rows("null", "null for float", "null", "Null", "float"),
    no_rows('{"b64": "AA=="}', "bytes for float", '{\n    "b64": "AA=="\n}', "Object", "float"),
    no_rows("1.0", "a point for int32", "1.0", "Number", "int32"),
    no_rows("2147483648", "too large for int32", "2147483648", "Number", "int32"),
    no_rows("2147483648", "too large for uint8", "2147483648", "Number", "uint8"),
    no_rows("9223372036854775808", "too large for int64", "9223372036854775808", "Number", "int64"),
    no_rows("-1", "negative for uint32", "-1", "Number", "uint32"),
    no_rows("-1", "negative for uint64", "-1", "Number", "uint64"),
    no_rows("1", "1 for bool", "1", "Number", "bool"),
    no_rows("1", "1 for string", "1", "Number", "string"),
    no_rows('"' + "x" * 300 + '"', "long values are cut", '"' + "x" * 255, "String", "float"),
]

BASE64 = [
    echoed("with padding", "string", '{"b64": "YQ=="}', '"a"'),
    echoed("without padding", "string", '{"b64": "YQ"}', '"a"'),
    echoed("with white space", "string", '{"b64": " Y Q=="}', '"a"'),
    refused(
        "another key beside it",
        '{"inputs": [{"b64": "YQ==", "x": 1}]}',
        'JSON Value: {\n    "b64": "YQ==",\n    "x": 1\n} not formatted correctly for base64 data',
        "echo_string",
    ),
    refused(
        "no string",
        '{"inputs": [{"b64": 1}]}',
        'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data',
        "echo_string",
    ),
    refused("no base64", '{"inputs": [{"b64": "!"}]}', "Unable to base64 decode", "echo_string"),
]


def example(name: str, feature: str, error: str) -> Fact:
    """Returns a fact about a feature that is refused."""
    return Fact(name, "examples:regress", f'{{"examples": [{{"x": {feature}}}]}}', 400, error)


FEATURES = [
    example("null", "null", "Feature: x has element with unexpected JSON type: Null"),
    example("a nested list", "[[1.0]]", "Feature: x has element with unexpected JSON type: Array"),
    example("an object", '{"a": 1}', "Feature: x has element with unexpected JSON type: Object"),
    example("a kind after another", "[1.0, 2]", "Unexpected element type in feature: x expecting type: float"),
    example("a float after an integer", "[2, 1.0]", "Unexpected element type in feature: x expecting type: int64"),
    example("a number after a text", '["a", 2]', "Unexpected element type in feature: x expecting type: bytes"),
    example("no base64", '{"b64": "!"}', "Unable to base64 decode"),
    example("beyond 63 bits", "9223372036854775808", "Feature: x has uint64_t element. Only int64_t is supported."),
    Fact(
        "no examples",
        "examples:classify",
        '{"instances": [1]}',
        400,
        "JSON Value: {\n    \"instances\": [1]\n} When method is classify, key 'examples' is expected and "
        "was not found",
    ),
    Fact(
        "no examples, in the same words",
        "examples:regress",
        "{}",
        400,
        "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
    ),
    Fact(
        "examples are no list",
        "examples:regress",
        '{"examples": {}}',
        400,
        "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array",
    ),
    Fact(
        "an empty list of examples",
        "examples:regress",
        '{"examples": []}',
        400,
        "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array",
    ),
    Fact(
        "an example that is no object",
        "examples:regress",
        '{"examples": [[1.0]]}',
        400,
        "Example must be JSON object but got JSON Array",
    ),
    Fact(
        "a context that is no object",
        "examples:regress",
        '{"context": 1, "examples": 1}',
        400,
        "Example must be JSON object but got JSON Number",
    ),
    Fact(
        "whole numbers are integers, which a parser of floats refuses",
        "examples:regress",
        '{"signature_name": "regress_x_to_y", "examples": [{"x": 2}]}',
        400,
        "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: "
        "float\n\t [[{{node parse}}]]",
    ),
]

FACTS = {
    "parser": PARSER,
    "instances": INSTANCES,
    "inputs": INPUTS,
    "outputs": OUTPUTS,
    "dtypes": DTYPES,
    "base64": BASE64,
    "features": FEATURES,
}
TABLE = [(f"{part}: {fact.name}", fact) for part, facts in FACTS.items() for fact in facts]


@pytest.mark.parametrize("fact", [fact for _, fact in TABLE], ids=[name for name, _ in TABLE])
def test_fact(saved_models_rest: Rest, fact: Fact) -> None:
    answer = saved_models_rest.request("POST", f"/v1/models/{fact.model}", fact.body.encode())
    text = answer.body.decode() if answer.status == 200 else answer.json["error"]
    assert (answer.status, text) == (fact.status, fact.answer)


def test_texts_that_are_not_utf8_go_out_as_they_are(saved_models_rest: Rest) -> None:
    body = b'{"instances": [{"b64": "/w=="}]}'
    answer = saved_models_rest.request("POST", "/v1/models/echo_string:predict", body)
    assert answer.body == b'{\n    "predictions": ["\xff"\n    ]\n}'


@pytest.mark.parametrize("value", ["1", "1.5", '"a"', "true", "{}", "null"])
def test_dtypes_that_json_has_no_form_for(saved_models_rest: Rest, value: str) -> None:
    answer = saved_models_rest.request("POST", "/v1/models/echo_half:predict", f'{{"inputs": [{value}]}}'.encode())
    is_object = value == "{}"
    assert answer.status == (400 if is_object else 501)
    assert answer.json["error"] == (
        "JSON Value: {} Type: Object is not of expected type: half"
        if is_object
        else f"Conversion of JSON Value: {value} to type: half"
    )
