"""TensorFlow Serving's REST API: routes, HTTP codes, the body of every kind of answer to the byte."""

import json
from dataclasses import dataclass

import pytest

from salver_testing.clients import Rest

HALF = "/v1/models/half_plus_two"
EXAMPLES = "/v1/models/examples"
INSTANCES = '{"instances": [1.0]}'


@dataclass(frozen=True)
class Refusal:
    """A request that is refused: method, path, body, status and the value of `error`."""

    method: str
    path: str
    body: str
    status: int
    error: str


def malformed(method: str, path: str) -> Refusal:
    """Returns a request that is none of the API's."""
    return Refusal(method, path, "", 400, f"Malformed request: {method} {path}")


ROUTES = [
    malformed("GET", "/v1/foo"),
    malformed("GET", "/v1/models/"),
    malformed("GET", f"{HALF}/"),
    malformed("GET", f"{HALF}:predict"),
    malformed("GET", f"{HALF}/versions/x"),
    malformed("GET", f"{HALF}/version/1"),
    malformed("GET", f"{HALF}/versions/1/labels/x"),
    malformed("GET", f"{HALF}/metadata/"),
    malformed("GET", f"{HALF}?x=1"),
    malformed("POST", HALF),
    malformed("POST", f"{HALF}:PREDICT"),
    malformed("POST", f"{HALF}:guess"),
    malformed("POST", f"{HALF}:predict?x=1"),
    malformed("POST", f"{HALF}:predict/"),
    malformed("POST", f"{HALF}/metadata"),
    malformed("POST", f"{HALF}/versions/string:predict"),
    malformed("POST", f"{HALF}/versions/50/labels/some_label:regress"),
    malformed("PUT", f"{HALF}:predict"),
    malformed("DELETE", HALF),
    Refusal("GET", "/v1/models", "", 400, "Missing model name in request."),
    Refusal("GET", "/v1/models/metadata/metadata", "", 404, "Servable not found for request: Latest(metadata)"),
    Refusal(
        "GET",
        f"{HALF}/versions/99999999999999999999",
        "",
        400,
        "Failed to convert version: 99999999999999999999 to numeric.",
    ),
    Refusal(
        "POST",
        f"{HALF}/versions/99999999999999999999:predict",
        INSTANCES,
        400,
        "Failed to convert version: 99999999999999999999 to numeric.",
    ),
]

LOOKUPS = [
    Refusal("GET", "/v1/models/foo", "", 404, "Could not find any versions of model foo"),
    Refusal("GET", f"{HALF}/versions/99", "", 404, "Could not find version 99 of model half_plus_two"),
    Refusal("GET", "/v1/models/foo/metadata", "", 404, "Servable not found for request: Latest(foo)"),
    Refusal(
        "GET", f"{HALF}/versions/99/metadata", "", 404, "Servable not found for request: Specific(half_plus_two, 99)"
    ),
    Refusal("GET", f"{HALF}/labels/X/metadata", "", 400, "Unrecognized servable version label: X"),
    Refusal("POST", "/v1/models/foo:predict", INSTANCES, 404, "Servable not found for request: Latest(foo)"),
    Refusal("POST", "/v1/models/a%20b:predict", INSTANCES, 404, "Servable not found for request: Latest(a b)"),
    Refusal(
        "POST",
        f"{HALF}/versions/99:predict",
        INSTANCES,
        404,
        "Servable not found for request: Specific(half_plus_two, 99)",
    ),
    Refusal("POST", f"{HALF}/labels/X:predict", INSTANCES, 400, "Unrecognized servable version label: X"),
    Refusal(
        "POST", "/v1/models/foo:classify", '{"examples": [{}]}', 404, "Servable not found for request: Latest(foo)"
    ),
    Refusal("POST", "/v1/models/foo:regress", '{"examples": [{}]}', 404, "Servable not found for request: Latest(foo)"),
    Refusal(
        "POST",
        f"{HALF}:predict",
        '{"signature_name": "X", "instances": [1.0]}',
        400,
        'Serving signature name: "X" not found in signature def',
    ),
    Refusal(
        "POST",
        "/v1/models/counter:predict",
        INSTANCES,
        400,
        'Serving signature name: "serving_default" not found in signature def',
    ),
    Refusal(
        "POST",
        f"{EXAMPLES}:classify",
        '{"signature_name": "X", "examples": [{}]}',
        400,
        "No signature was found with the name: X",
    ),
    Refusal(
        "POST",
        f"{EXAMPLES}:regress",
        '{"signature_name": "X", "examples": [{}]}',
        400,
        "No signature was found with the name: X",
    ),
    Refusal(
        "POST",
        "/v1/models/counter:predict",
        '{"signature_name": "get", "instances": [1]}',
        400,
        "Failed to get input map for signature: get",
    ),
]

# What is wrong first is told: JSON, the type of signature_name, the model, its signature, the values.
ORDER = [
    Refusal(
        "POST", "/v1/models/foo:predict", "{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"
    ),
    Refusal("POST", "/v1/models/foo:predict", "", 400, "JSON Parse error: The document is empty"),
    Refusal("POST", "/v1/models/foo:classify", "", 400, "JSON Parse error: The document is empty"),
    Refusal(
        "POST",
        "/v1/models/foo:predict",
        '{"signature_name": 1}',
        400,
        "JSON Value: {\n    \"signature_name\": 1\n} not formatted correctly. 'signature_name' key must be a "
        "string value.",
    ),
    Refusal(
        "POST", "/v1/models/foo:predict", '{"signature_name": "X"}', 404, "Servable not found for request: Latest(foo)"
    ),
    Refusal(
        "POST",
        f"{HALF}:predict",
        '{"signature_name": "X"}',
        400,
        'Serving signature name: "X" not found in signature def',
    ),
    Refusal(
        "POST",
        "/v1/models/foo:regress",
        '{"examples": [1]}',
        400,
        "Example must be JSON object but got JSON Number",
    ),
]

# Kernels' failures come as they are; a value that is refused within a row is 400 whatever it is elsewhere.
CODES = [
    Refusal(
        "POST",
        "/v1/models/linear:predict",
        '{"instances": [[1.0, 2.0]]}',
        400,
        "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]\n\t [[{{node y}}]]",
    ),
    Refusal(
        "POST",
        f"{EXAMPLES}:classify",
        '{"signature_name": "classify_x_to_y", "examples": [{"x": 2}]}',
        400,
        "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: "
        "float\n\t [[{{node parse}}]]",
    ),
    Refusal(
        "POST", "/v1/models/echo_half:predict", '{"inputs": [1]}', 501, "Conversion of JSON Value: 1 to type: half"
    ),
    Refusal(
        "POST",
        "/v1/models/echo_half:predict",
        '{"instances": [1]}',
        400,
        "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: "
        "half",
    ),
]

REFUSALS = [*ROUTES, *LOOKUPS, *ORDER, *CODES]


@pytest.mark.parametrize("row", REFUSALS, ids=[f"{row.method} {row.path} {row.body}" for row in REFUSALS])
def test_refusal(saved_models_rest: Rest, row: Refusal) -> None:
    answer = saved_models_rest.request(row.method, row.path, row.body.encode())
    assert (answer.status, answer.json) == (row.status, {"error": row.error})
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == b'{\n    "error": ' + answer.body[len(b'{\n    "error": ') : -2] + b"\n}"


@dataclass(frozen=True)
class Good:
    """A request that is answered, and the answer to the byte."""

    method: str
    path: str
    body: str
    answer: str


def post(path: str, body: str, answer: str) -> Good:
    """Returns a POST to a model."""
    return Good("POST", f"/v1/models/{path}", body, answer)


LAYOUT = [
    post("half_plus_two:predict", '{"instances": [1.0, 2.0, 5.0]}', '{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'),
    post("any_shape:predict", '{"instances": [[1.0], [2.0]]}', '{\n    "predictions": [[2.5], [3.0]\n    ]\n}'),
    post(
        "any_shape:predict",
        '{"inputs": [[1.0, 2.0]]}',
        '{\n    "outputs": [\n        [\n            2.5,\n            3.0\n        ]\n    ]\n}',
    ),
    post("any_shape:predict", '{"inputs": 1.0}', '{\n    "outputs": 2.5\n}'),
    post(
        "sum_and_difference:predict",
        '{"instances": [{"a": 3, "b": 1}, {"b": 1, "a": 1}]}',
        """{
    "predictions": [
        {
            "difference": 2.0,
            "sum": 4.0
        },
        {
            "difference": 0.0,
            "sum": 2.0
        }
    ]
}""",
    ),
    post(
        "sum_and_difference:predict",
        '{"inputs": {"a": [3], "b": [1]}}',
        """{
    "outputs": {
        "difference": [
            2.0
        ],
        "sum": [
            4.0
        ]
    }
}""",
    ),
    post(
        "text:predict",
        '{"instances": ["a\\n"]}',
        """{
    "predictions": [
        {
            "length": 2,
            "raw_bytes": {
                "b64": "YQo="
            },
            "upper": "A\\n"
        }
    ]
}""",
    ),
    post(
        "examples:classify",
        '{"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}',
        '{\n    "results": [[["", 3.0]]\n    ]\n}',
    ),
    post(
        "words:classify",
        '{"examples": [{"word": "ab"}, {}]}',
        '{\n    "results": [[["ab", 2.0], ["AB", 2.0]], [["none", 4.0], ["NONE", 4.0]]\n    ]\n}',
    ),
    post(
        "words:classify",
        '{"signature_name": "classes", "examples": [{"word": {"b64": "YWI="}}]}',
        '{\n    "results": [[["ab", 0.0], ["AB", 0.0]]\n    ]\n}',
    ),
    post(
        "examples:regress",
        '{"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}, {"x": [3.0]}]}',
        '{\n    "results": [3.0, 3.5]\n}',
    ),
    post(
        "examples:regress",
        '{"signature_name": "regress_x_to_y", "context": {"x": 4.0}, "examples": [{}, {"x": 2.0}]}',
        '{\n    "results": [4.0, 3.0]\n}',
    ),
    Good(
        "GET",
        HALF,
        "",
        """{
 "model_version_status": [
  {
   "version": "123",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
""",
    ),
    Good(
        "GET",
        f"{HALF}/metadata",
        "",
        """{
"model_spec":{
 "name": "half_plus_two",
 "version": "123",
 "signature_name": ""
}
,
"metadata": {"signature_def": {
 "signature_def": {
  "serving_default": {
   "inputs": {
    "x": {
     "name": "x:0",
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       }
      ],
      "unknown_rank": false
     }
    }
   },
   "outputs": {
    "y": {
     "name": "y:0",
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       }
      ],
      "unknown_rank": false
     }
    }
   },
   "method_name": "tensorflow/serving/predict",
   "defaults": {}
  }
 }
}
}
}
""",
    ),
]


@pytest.mark.parametrize("row", LAYOUT, ids=[f"{row.method} {row.path} {row.body}" for row in LAYOUT])
def test_layout(saved_models_rest: Rest, row: Good) -> None:
    answer = saved_models_rest.request(row.method, row.path, row.body.encode())
    assert (answer.status, answer.body.decode()) == (200, row.answer)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "half_plus_two:predict",
        "half_plus_two/versions/123:predict",
        "half_plus_two/versions/00000123:predict",
        "half%5Fplus_two:predict",
    ],
)
def test_ways_to_name_a_version(saved_models_rest: Rest, path: str) -> None:
    answer = saved_models_rest.request("POST", f"/V1/Models/{path}", INSTANCES.encode())
    assert (answer.status, answer.json) == (200, {"predictions": [2.5]})


def test_labels_of_a_status_are_ignored(saved_models_rest: Rest) -> None:
    all_versions = saved_models_rest.get("/v1/models/versioned").json
    assert saved_models_rest.get("/v1/models/versioned/labels/nobody").json == all_versions


def test_metadata_tells_the_defaults(saved_models_rest: Rest) -> None:
    answer = saved_models_rest.get("/v1/models/scaled/metadata").json
    defaults = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["defaults"]
    assert defaults["scale"]["dtype"] == "DT_FLOAT"
    assert defaults["scale"]["float_val"] == [2]


def test_bodies_end_where_their_object_ends(saved_models_rest: Rest) -> None:
    for path, body in {
        f"{HALF}:predict": '{"instances": [1.0]} trailing {',
        f"{EXAMPLES}:regress": json.dumps({"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}) + "]]",
    }.items():
        assert saved_models_rest.request("POST", path, body.encode()).status == 200
