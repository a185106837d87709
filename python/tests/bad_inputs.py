"""The table of bad inputs: what is sent, the code that comes back and what the message says.

Where TensorFlow Serving's own words are known, the message is `exactly` those; else a pattern says what it has to
name. Messages of REST are the value of `error`, those of gRPC the status's details.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from grpc import StatusCode
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from salver_testing.clients import predict_request
from salver_testing.http2 import PREDICT as GRPC_PREDICT
from salver_testing.http2 import frame
from salver_testing.tensors import make_tensor

DEPTH = 500_000
# More than the test server's budget of bytes in flight, once inflated.
BOMB_BYTES = 256 * 1024 * 1024
MALFORMED_JSON = r"\AJSON Parse error: (The document is empty|.+ at offset: \d+)\Z"
# Engines have words of their own for a shape that the model cannot take.
MODEL_REFUSES = r"(?i)shape|size|dim|incompatible|rank"
TRUNCATED = r"(?i)PredictRequest|protobuf|pars|decod"


@dataclass(frozen=True)
class RestCall:
    """A request over HTTP/1.1."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpBytes:
    """Bytes to the REST port that need not be HTTP."""

    request: bytes


@dataclass(frozen=True)
class GrpcCall:
    """A unary call with bytes that need not be a message."""

    method: str
    message: bytes


@dataclass(frozen=True)
class GrpcBytes:
    """A gRPC request whose framing need not be right."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    path: str = GRPC_PREDICT


Code = int | StatusCode


@dataclass(frozen=True)
class BadInput:
    """One row: the request, the codes that are right, and the message's pattern."""

    name: str
    request: RestCall | HttpBytes | GrpcCall | GrpcBytes
    codes: tuple[Code, ...]
    message: re.Pattern[str]


def exactly(text: str) -> str:
    """Returns a pattern for this text and no other."""
    return rf"\A{re.escape(text)}\Z"


def row(name: str, request: RestCall | HttpBytes | GrpcCall | GrpcBytes, codes: Code | tuple, message: str) -> BadInput:
    """Returns a row of one code or several."""
    codes = codes if isinstance(codes, tuple) else (codes,)
    return BadInput(name, request, codes, re.compile(message, re.DOTALL))


def table() -> list[BadInput]:
    """Returns all rows."""
    parts = (
        malformed_json(),
        nested_json(),
        unfit_json(),
        unfit_values(),
        paths(),
        http_bodies(),
        grpc_lookups(),
        grpc_inputs(),
        grpc_tensors(),
        grpc_bytes(),
        grpc_other_calls(),
        grpc_frames(),
    )
    return [row for part in parts for row in part]


# --- REST -----------------------------------------------------------------------------------------------------------


def post(body: bytes | str, model: str = "half_plus_two", **headers: str) -> RestCall:
    """Returns a prediction with this body; underscores in names of headers stand for hyphens."""
    body = body.encode() if isinstance(body, str) else body
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return RestCall("POST", f"/v1/models/{model}:predict", body, headers)


def instances(*values: object, model: str = "half_plus_two") -> RestCall:
    """Returns a prediction in row form."""
    return post(json.dumps({"instances": list(values)}), model)


def malformed_json() -> Iterator[BadInput]:
    """Bodies that are not JSON, broken off or misspelt at every depth."""
    bodies = {
        "empty body": "",
        "only spaces": " \n\t ",
        "only zero bytes": "\0\0\0\0",
        "a word": "nonsense",
        "form data": "instances=1&instances=2",
        "an open object": "{",
        "a key alone": '{"instances"',
        "a key and a colon": '{"instances":',
        "an open list": '{"instances": [',
        "an open list with a value": '{"instances": [1.0',
        "a comma at the end": '{"instances": [1.0,',
        "a comma before the bracket": '{"instances": [1.0,]}',
        "two commas": '{"instances": [1.0,,2.0]}',
        "no comma": '{"instances": [1.0 2.0]}',
        "no colon": '{"instances" [1.0]}',
        "the wrong bracket": '{"instances": [[1.0], [2.0}]}',
        "an object that stays open": '{"instances": [1.0]',
        "an open string": '{"instances": ["a',
        "an unknown escape": r'{"instances": ["\q"]}',
        "half an escape": r'{"instances": ["\u12"]}',
        "single quotes": "{'instances': [1.0]}",
        "a key without quotes": "{instances: [1.0]}",
        "a leading zero": '{"instances": [01]}',
        "two points": '{"instances": [1.0.0]}',
        "a plus sign": '{"instances": [+1]}',
        "a number without its first digit": '{"instances": [.5]}',
        "an exponent without digits": '{"instances": [1e]}',
        "a minus sign alone": '{"instances": [-]}',
        "a lower-case nan": '{"instances": [nan]}',
        "half a word": '{"instances": [tru]}',
        "broken off in a nested list": '{"instances": [[[1.0, 2.0], [3.0',
        "broken off in an ignored key": '{"ignored": {"a": [1, {"b": ',
        "broken off after the inputs": '{"inputs": {"x": [1.0]}, "more',
        "a comment": '{"instances": [1.0] /* one */}',
    }
    for name, body in bodies.items():
        yield row(f"json: {name}", post(body), 400, MALFORMED_JSON)
    yield row("json: bad JSON comes before an unknown model", post("{", "nobody"), 400, MALFORMED_JSON)


def nested_json() -> Iterator[BadInput]:
    """Bodies that would overflow the stack of a careless parser."""
    brackets = "[" * DEPTH
    too_deep = r"(?i)depth|nest|deep|rank|dimension|json"
    yield row("nested: brackets alone", post(brackets), 400, too_deep)
    yield row("nested: brackets as instances", post(f'{{"instances": {brackets}'), 400, too_deep)
    yield row("nested: closed brackets", post(f'{{"instances": {brackets}{"]" * DEPTH}}}'), 400, too_deep)
    yield row("nested: brackets as inputs", post(f'{{"inputs": {{"x": {brackets}'), 400, too_deep)
    yield row("nested: objects alone", post('{"a":' * DEPTH), 400, too_deep)
    yield row("nested: objects as instances", post('{"instances": [' + '{"x":' * DEPTH), 400, too_deep)
    yield row("nested: an ignored key that stays open", post(f'{{"ignored": {brackets}'), 400, too_deep)
    yield row("nested: unknown model", post(brackets, "nobody"), 400, too_deep)
    yield row("nested: signature_name", post(f'{{"signature_name": {brackets}{"]" * DEPTH}}}'), 400, r"signature_name")
    rank = post(f'{{"instances": [{"[" * 300}1{"]" * 300}]}}')
    yield row("nested: a tensor of rank 301", rank, 400, too_deep)


def unfit_json() -> Iterator[BadInput]:
    """JSON that is no prediction, or none of this model."""
    for name, body in {"list": "[1.0]", "number": "1", "text": '"instances"', "null": "null", "bool": "true"}.items():
        yield row(f"form: a {name} as body", post(body), 400, r"(?i)object|json")
    yield row("form: an empty object", post("{}"), 400, r"'?instances'?|'?inputs'?")
    yield row("form: other keys only", post('{"instance": [1.0]}'), 400, r"instances|inputs")
    both = post('{"instances": [1.0], "inputs": [1.0]}')
    yield row("form: instances and inputs", both, 400, r"instances.*inputs|inputs.*instances")
    for name, value in {"number": "1.0", "object": '{"x": [1.0]}', "null": "null", "text": '"1.0"'}.items():
        yield row(f"form: instances are a {name}", post(f'{{"instances": {value}}}'), 400, r"(?i)instances|list|array")
    yield row("form: no instances", instances(), 400, r"(?i)instances|empty")
    for name, value in {"number": "1", "null": "null", "list": '["serving_default"]'}.items():
        body = f'{{"signature_name": {value}, "instances": [1.0]}}'
        yield row(f"form: signature_name is a {name}", post(body), 400, r"signature_name")
    unknown = exactly('Serving signature name: "nope" not found in signature def')
    yield row("form: unknown signature", post('{"signature_name": "nope", "instances": [1.0]}'), 400, unknown)
    two = "sum_and_difference"
    yield row("inputs: bare values for two inputs", instances(1.0, model=two), 400, r"list of objects")
    yield row("inputs: one is missing in a row", instances({"a": 1.0}, model=two), 400, r"keys must be equal to: a,b")
    yield row(
        "inputs: one is missing in the second row",
        instances({"a": 1, "b": 1}, {"a": 1}, model=two),
        400,
        r"element: 1 .*a,b",
    )
    yield row("inputs: one too many in a row", instances({"a": 1, "b": 1, "c": 1}, model=two), 400, r"input: c")
    yield row("inputs: unknown in a row", instances({"z": 1.0}), 400, r"input: z")
    yield row("inputs: rows of values and objects", instances(1.0, {"x": 1.0}), 400, r"got object at item 1")
    yield row("inputs: rows of objects and values", instances({"x": 1.0}, 1.0), 400, r"xpecting object .*item 1")
    shapes = instances({"a": 1, "b": 1}, {"a": [1], "b": 1}, model=two)
    yield row("inputs: rows of two shapes", shapes, 400, r"(?i)shape|size|rank|dimension|type")
    yield row(
        "inputs: one is missing in columns", post('{"inputs": {"a": [1.0]}}', two), 400, r"Missing named input: b"
    )
    yield row("inputs: bare value in columns for two", post('{"inputs": [1.0]}', two), 400, r"(?i)inputs|object|named")
    yield row("inputs: null in columns", post('{"inputs": null}'), 400, r"null")


def unfit_values() -> Iterator[BadInput]:
    """Values that do not fit the declared dtype or the shape of their neighbours."""
    shape = r"(?i)shape|size|rank|dimension|inconsistent|list|type"
    yield row("values: ragged rows", instances([1.0, 2.0], [3.0]), 400, shape)
    yield row("values: ragged inner rows", instances([[1, 2], [3, 4]], [[1, 2], [3]]), 400, shape)
    yield row("values: a value beside a list", instances(1.0, [2.0]), 400, shape)
    yield row("values: a list beside a value", instances([1.0], 2.0), 400, shape)
    yield row("values: text", instances("x"), 400, r'JSON Value: "x" Type: String is not of expected type: float')
    yield row("values: a number as text", instances("1.0"), 400, r'JSON Value: "1\.0" Type: String is not of expected')
    yield row("values: true", instances(True), 400, r"JSON Value: true Type: \w+ is not of expected type: float")
    yield row("values: null", instances(None), 400, r"JSON Value: null Type: \w+ is not of expected type: float")
    yield row("values: long text is cut", instances("x" * 100_000), 400, r"\A.{0,1000}\Z")
    yield row("values: b64 for a number", instances({"b64": "AACAPw=="}), 400, r"(?i)float|b64|string|type")
    yield row("values: b64 that is none", instances({"b64": "!!!"}), 400, r"(?i)float|b64|base64|type")
    yield row("values: b64 of a number", instances({"b64": 1}), 400, r"b64")
    yield row("values: b64 beside another key", instances({"b64": "AAAA", "x": 1.0}), 400, r"b64")
    whole = r"JSON Value: {} Type: \w+ is not of expected type: {}"
    for model, word in {"echo_int32": "int32", "echo_int64": "int64", "echo_uint8": "uint8"}.items():
        for value in ("NaN", "Infinity", "-Infinity", "1.5", "1.0", "1e3", '"1"', "true", "null", "{}"):
            body = post(f'{{"instances": [1, {value}]}}', model)
            text = r".+" if value in ("NaN", "Infinity", "-Infinity", "1e3", "{}") else re.escape(value)
            message = r"got object at item 1" if value == "{}" else whole.format(text, word)
            yield row(f"values: {value} for {word}", body, 400, message)
    yield row("values: 2^31 for int32", instances(2**31, model="echo_int32"), 400, whole.format(2**31, "int32"))
    yield row("values: 2^63 for int64", instances(2**63, model="echo_int64"), 400, whole.format(2**63, "int64"))
    yield row("values: 2^200 for int64", instances(2**200, model="echo_int64"), 400, r"JSON")
    model_refuses = MODEL_REFUSES
    yield row("values: rows too short for the model", instances([1.0, 2.0], model="linear"), 400, model_refuses)
    yield row("values: lists for a model of vectors", instances([1.0], [2.0], model="versioned"), 400, model_refuses)
    columns = post('{"inputs": {"a": [1, 2], "b": [1, 2, 3]}}', "sum_and_difference")
    yield row("values: columns that do not fit", columns, 400, model_refuses)
    yield row("values: a picture of the wrong size", instances([[[1.0]] * 8] * 7, model="digits"), 400, model_refuses)
    no_batch = exactly("Tensor name: y has no shape information ")
    yield row("values: an output without a batch axis in row form", instances(1.0, model="total"), 400, no_batch)


def paths() -> Iterator[BadInput]:
    """Models that are not there, and requests that are none of the API's."""
    body = b'{"instances": [1.0]}'
    latest = exactly("Servable not found for request: Latest(nobody)")
    yield row("path: unknown model", post(body, "nobody"), 404, latest)
    yield row("path: a model's name in another case", post(body, "Half_Plus_Two"), 404, r"Latest\(Half_Plus_Two\)")
    specific = exactly("Servable not found for request: Specific(half_plus_two, 99)")
    yield row("path: unknown version", post(body, "half_plus_two/versions/99"), 404, specific)
    nobody = exactly("Servable not found for request: Specific(nobody, 1)")
    yield row("path: a version of an unknown model", post(body, "nobody/versions/1"), 404, nobody)
    label = exactly("Unrecognized servable version label: nope")
    yield row("path: unknown label", post(body, "versioned/labels/nope"), 400, label)
    yield row("path: a label of an unknown model", post(body, "nobody/labels/nope"), 400, label)
    huge = exactly("Failed to convert version: 99999999999999999999 to numeric.")
    yield row("path: a version beyond int64", post(body, "half_plus_two/versions/99999999999999999999"), 400, huge)
    model = "/v1/models/half_plus_two"
    malformed = {
        "GET": [f"{model}:predict", f"{model}/", f"{model}?x=1", f"{model}/versions/x", f"{model}/versions/",
                f"{model}/versions/-1", f"{model}/labels/", f"{model}/nothing", "/v1/nothing", "/v1/models/",
                f"{model}/metadata/", f"{model}/metadata?x=1"],
        "POST": [model, f"{model}:PREDICT", f"{model}:explain", f"{model}:", f"{model}:predict?x=1",
                 f"{model}:predict/", f"{model}/metadata", "/v1/models/:predict", f"{model}/versions/x:predict"],
        "PUT": [f"{model}:predict", model],
        "DELETE": [model],
        "PATCH": [f"{model}:predict"],
    }  # fmt: skip
    for method, targets in malformed.items():
        for target in targets:
            message = exactly(f"Malformed request: {method} {target}")
            yield row(f"path: {method} {target}", RestCall(method, target, body), 400, message)
    yield row("path: HEAD", RestCall("HEAD", model), 400, r"\A\Z")
    yield row("path: no model", RestCall("GET", "/v1/models"), 400, exactly("Missing model name in request."))
    yield row("path: outside of the API", RestCall("GET", "/v2/models"), 404, r"/v2/models")
    yield row("path: the root, by POST", RestCall("POST", "/", body), 404, r"no such page")
    yield row("path: a name that is no UTF-8", post(body, "%ff%fe"), (400, 404), r"%ff%fe|Latest")
    status = exactly("Could not find any versions of model nobody")
    yield row("status: unknown model", RestCall("GET", "/v1/models/nobody"), 404, status)
    version = exactly("Could not find version 99 of model half_plus_two")
    yield row("status: unknown version", RestCall("GET", f"{model}/versions/99"), 404, version)
    yield row("metadata: unknown model", RestCall("GET", "/v1/models/nobody/metadata"), 404, latest)
    yield row("metadata: unknown version", RestCall("GET", f"{model}/versions/99/metadata"), 404, specific)
    yield row(
        "path: classify",
        RestCall("POST", f"{model}:classify", b'{"examples": [{}]}'),
        400,
        r"\ANo classification inputs found in SignatureDef: ",
    )
    yield row(
        "path: regress",
        RestCall("POST", f"{model}:regress", b'{"examples": [{}]}'),
        400,
        r"\ANo regression inputs found in SignatureDef: ",
    )


def http_bodies() -> Iterator[BadInput]:
    """Bodies that cannot be inflated, and requests that are not HTTP."""
    body = gzip.compress(b'{"instances": [1.0]}')
    broken = r"(?i)inflat|gzip|compress|json|empty"
    yield row("gzip: not gzip at all", post(b'{"instances": [1.0]}', Content_Encoding="gzip"), 400, broken)
    yield row("gzip: broken off", post(body[:-12], Content_Encoding="gzip"), 400, broken)
    yield row("gzip: a wrong checksum", post(body[:-8] + bytes(8), Content_Encoding="gzip"), 400, broken)
    yield row("gzip: an empty body", post(b"", Content_Encoding="gzip"), 400, broken)
    yield row("gzip: nothing inside", post(gzip.compress(b""), Content_Encoding="gzip"), 400, broken)
    refused = (400, 413, 429, 503)
    for name, packed in {"zeros": bomb(b'{"instances": ['), "spaces": bomb(b"", b" ")}.items():
        call = post(packed, Content_Encoding="gzip")
        yield row(f"gzip: a bomb of {name}", call, refused, r"(?i)larg|limit|room|inflat")
    yield row("http: not HTTP", HttpBytes(b"nonsense\r\n\r\n"), 400, r"")
    yield row("http: a header without a colon", HttpBytes(b"GET / HTTP/1.1\r\nHost x\r\n\r\n"), 400, r"")
    lengths = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n{}"
    yield row("http: a length that is no number", HttpBytes(lengths % b"two"), 400, r"")
    yield row("http: a negative length", HttpBytes(lengths % b"-1"), 400, r"")
    head = b"GET /v1/models/half_plus_two HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 2_000_000 + b"\r\n\r\n"
    yield row("http: headers of 2 MB", HttpBytes(head), (400, 431), r"")


def bomb(prefix: bytes, filling: bytes = b"0") -> bytes:
    """Returns gzip data that inflate to far more than the server allows."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = filling * (1024 * 1024)
    parts = [packer.compress(prefix)]
    parts += [packer.compress(block) for _ in range(BOMB_BYTES // len(block))]
    return b"".join([*parts, packer.flush()])


# --- gRPC -----------------------------------------------------------------------------------------------------------

INVALID = StatusCode.INVALID_ARGUMENT


def predict(request: predict_pb2.PredictRequest) -> GrpcCall:
    """Returns a call of Predict."""
    return GrpcCall(GRPC_PREDICT, request.SerializeToString())


def good_request() -> predict_pb2.PredictRequest:
    """Returns a request with nothing wrong in it."""
    return predict_request("half_plus_two", x=make_tensor([1.0, 2.0, 5.0]))


def grpc_lookups() -> Iterator[BadInput]:
    """Models, versions, labels and signatures that are not there."""
    yield row("grpc: an empty message", GrpcCall(GRPC_PREDICT, b""), INVALID, exactly("Missing ModelSpec"))
    request = good_request()
    request.ClearField("model_spec")
    yield row("grpc: no model_spec", predict(request), INVALID, exactly("Missing ModelSpec"))
    request.model_spec.signature_name = "serving_default"
    yield row("grpc: no name", predict(request), INVALID, exactly("ModelSpec has no name specified."))
    unknown = exactly("Servable not found for request: Latest(nobody)")
    yield row("grpc: unknown model", predict(predict_request("nobody")), StatusCode.NOT_FOUND, unknown)
    for version in (99, -1, 2**63 - 1):
        request = good_request()
        request.model_spec.version.value = version
        message = exactly(f"Servable not found for request: Specific(half_plus_two, {version})")
        yield row(f"grpc: unknown version {version}", predict(request), StatusCode.NOT_FOUND, message)
    for model in ("versioned", "nobody"):
        request = predict_request(model)
        request.model_spec.version_label = "nope"
        message = exactly("Unrecognized servable version label: nope")
        yield row(f"grpc: unknown label of {model}", predict(request), INVALID, message)
    for signature in ("nope", "serving-default"):
        request = good_request()
        request.model_spec.signature_name = signature
        message = exactly(f'Serving signature key "{signature}" not found.')
        yield row(f"grpc: unknown signature {signature}", predict(request), StatusCode.FAILED_PRECONDITION, message)


def grpc_inputs() -> Iterator[BadInput]:
    """Inputs and outputs that are not those of the signature."""
    missing = exactly(
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}."
    )
    yield row("grpc: no input", predict(predict_request("half_plus_two")), INVALID, missing)
    value = make_tensor([1.0])
    extra = exactly(
        "input size does not match signature: 2!=1 len({x,zz}) != len({x}). Sent extra: {zz}. Missing but required: {}."
    )
    yield row("grpc: an extra input", predict(predict_request("half_plus_two", x=value, zz=value)), INVALID, extra)
    one = predict_request("sum_and_difference", a=value)
    yield row("grpc: one of two inputs", predict(one), INVALID, r"1!=2 .*Missing but required: \{b\}\.")
    alias = (
        r"\ASignature input alias: x\(feed name: x(:0)?\) not found in request and no default value provided\. "
        r"Inputs expected to be in the request \{zz\}, or default input alias set: \Z"
    )
    yield row("grpc: another alias", predict(predict_request("half_plus_two", zz=value)), INVALID, alias)
    request = good_request()
    request.output_filter.append("z")
    unknown = exactly("output tensor alias not found in signature: z Outputs expected to be in the set {y}.")
    yield row("grpc: an unknown output", predict(request), INVALID, unknown)
    request = good_request()
    request.output_filter.extend(["y", "y"])
    yield row("grpc: an output twice", predict(request), INVALID, exactly("duplicate output tensor alias: y"))
    for word in ("int32", "int64", "double", "uint8", "bool"):
        request = predict_request("half_plus_two", x=make_tensor([1], word))
        message = exactly(f"Expects arg[0] to be float but {word} is provided")
        yield row(f"grpc: {word} for float", predict(request), INVALID, message)
    text = TensorProto(dtype=DataType.DT_STRING, string_val=[b"x"])
    text.tensor_shape.dim.add(size=1)
    message = exactly("Expects arg[0] to be float but string is provided")
    yield row("grpc: string for float", predict(predict_request("half_plus_two", x=text)), INVALID, message)
    message = exactly("Expects arg[0] to be int32 but float is provided")
    yield row("grpc: float for int32", predict(predict_request("echo_int32", x=value)), INVALID, message)
    shape = MODEL_REFUSES
    for name, wanted in {"linear": (1, 2), "digits": (1, 64)}.items():
        alias = "image" if name == "digits" else "x"
        tensor = make_tensor([[0.0] * wanted[1]] * wanted[0])
        yield row(
            f"grpc: a shape that {name} refuses", predict(predict_request(name, **{alias: tensor})), INVALID, shape
        )
    picture = make_tensor([[[[0.0] * 3] * 8] * 8])
    yield row("grpc: a coloured digit", predict(predict_request("digits", image=picture)), INVALID, shape)
    pair = predict_request("sum_and_difference", a=make_tensor([1.0, 2.0]), b=make_tensor([1.0, 2.0, 3.0]))
    yield row("grpc: lengths that do not fit", predict(pair), INVALID, shape)


def grpc_tensors() -> Iterator[BadInput]:
    """Tensors that cannot be decoded."""

    def tensor(sizes: list[int], **fields: object) -> GrpcCall:
        proto = TensorProto(**{"dtype": DataType.DT_FLOAT, **fields})
        for size in sizes:
            proto.tensor_shape.dim.add(size=size)
        return predict(predict_request("half_plus_two", x=proto))

    parsing = r"tensor parsing error: x"
    yield row("tensor: content too short", tensor([3], tensor_content=bytes(8)), INVALID, parsing)
    yield row("tensor: content too long", tensor([3], tensor_content=bytes(16)), INVALID, parsing)
    yield row("tensor: content of no whole element", tensor([1], tensor_content=bytes(3)), INVALID, parsing)
    yield row("tensor: a negative dimension", tensor([-1], float_val=[1.0]), INVALID, parsing)
    yield row("tensor: a very negative dimension", tensor([-(2**63)], float_val=[1.0]), INVALID, parsing)
    yield row("tensor: two negative dimensions", tensor([-2, -2], float_val=[1.0] * 4), INVALID, parsing)
    yield row("tensor: dimensions that overflow", tensor([2**62, 2**62], float_val=[1.0]), INVALID, parsing)
    yield row("tensor: bytes that overflow", tensor([2**62], float_val=[1.0]), INVALID, parsing)
    yield row("tensor: dimensions that overflow to 0", tensor([2**32, 2**32], tensor_content=b""), INVALID, parsing)
    yield row("tensor: 300 dimensions", tensor([1] * 300, float_val=[1.0]), INVALID, parsing)
    unknown_rank = TensorProto(dtype=DataType.DT_FLOAT, float_val=[1.0])
    unknown_rank.tensor_shape.unknown_rank = True
    request = predict(predict_request("versioned", x=unknown_rank))
    # TensorFlow reads it as a scalar, which this model cannot take.
    yield row("tensor: an unknown rank", request, INVALID, MODEL_REFUSES)
    absurd, too_large = (INVALID, StatusCode.RESOURCE_EXHAUSTED), r"(?i)more than|large|bytes|memory"
    yield row("tensor: 4 TB of one value", tensor([2**40], float_val=[1.0]), absurd, too_large)
    yield row("tensor: 4 TB of nothing", tensor([2**40]), absurd, too_large)
    yield row("tensor: 400 MB of one value", tensor([100_000_000], float_val=[1.0]), absurd, too_large)
    unsupported = r"tensor parsing error: x|Expects arg\[0\] to be float but .* is provided"
    for number, name in {0: "DT_INVALID", 20: "DT_RESOURCE", 21: "DT_VARIANT", 101: "DT_FLOAT_REF", 99: "99"}.items():
        yield row(f"tensor: dtype {name}", tensor([1], dtype=number), INVALID, unsupported)
    yield row(
        "tensor: an empty message", predict(predict_request("half_plus_two", x=TensorProto())), INVALID, unsupported
    )


def grpc_bytes() -> Iterator[BadInput]:
    """Bytes that are no PredictRequest."""
    good = good_request().SerializeToString()
    for length in (1, 5, len(good) // 2, len(good) - 1):
        call = GrpcCall(GRPC_PREDICT, good[:length])
        yield row(f"protobuf: broken off after {length} bytes", call, INVALID, TRUNCATED)
    bodies = {
        "only 0xff": b"\xff" * 100,
        "only zeros": bytes(100),
        "text": b"a prediction, please",
        "JSON": b'{"model_spec": {"name": "half_plus_two"}}',
        "a length of 2 GB": b"\x0a\xff\xff\xff\xff\x07",
        "a length beyond 64 bits": b"\x0a" + b"\xff" * 11,
        "field number 0": b"\x02\x01x",
        "wire type 7": b"\x0f\x01x",
        "an end of no group": b"\x0c",
        "100,000 open groups": b"\x0b" * 100_000,
        "100,000 open unknown groups": b"\xfb\x01" * 100_000,
    }
    for name, body in bodies.items():
        yield row(f"protobuf: {name}", GrpcCall(GRPC_PREDICT, body), INVALID, r"(?i)PredictRequest|protobuf|ModelSpec")
    number = GrpcCall(GRPC_PREDICT, b"\x08\x01")
    yield row("protobuf: a number as model_spec", number, INVALID, rf"{TRUNCATED}|Missing ModelSpec")
    name = GrpcCall(GRPC_PREDICT, b"\x0a\x04\x0a\x02\xff\xfe")
    yield row("protobuf: a name that is no UTF-8", name, (INVALID, StatusCode.NOT_FOUND), r"UTF-8|Latest")
    huge = GrpcCall(GRPC_PREDICT, good + b"\x7a" + _varint(70_000_000) + bytes(70_000_000))
    exhausted = StatusCode.RESOURCE_EXHAUSTED
    yield row("protobuf: a message beyond the server's budget", huge, exhausted, r"(?i)larg|limit|room")


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def grpc_other_calls() -> Iterator[BadInput]:
    """Metadata, status, reload, and calls that do not exist."""
    prediction, models = "/tensorflow.serving.PredictionService", "/tensorflow.serving.ModelService"

    def metadata(name: str | None, *fields: str) -> GrpcCall:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        if name is not None:
            request.model_spec.name = name
        return GrpcCall(f"{prediction}/GetModelMetadata", request.SerializeToString())

    def status(name: str, version: int | None = None) -> GrpcCall:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        return GrpcCall(f"{models}/GetModelStatus", request.SerializeToString())

    missing = exactly("GetModelMetadataRequest must specify at least one metadata_field")
    yield row("metadata: no field", metadata("half_plus_two"), INVALID, missing)
    field_ = exactly("Metadata field foo is not supported")
    yield row("metadata: unknown field", metadata("half_plus_two", "foo"), INVALID, field_)
    yield row("metadata: no model_spec", metadata(None, "signature_def"), INVALID, exactly("Missing ModelSpec"))
    unknown = exactly("Servable not found for request: Latest(nobody)")
    yield row("metadata: no such model", metadata("nobody", "signature_def"), StatusCode.NOT_FOUND, unknown)
    nobody = exactly("Could not find any versions of model nobody")
    yield row("status: no such model", status("nobody"), StatusCode.NOT_FOUND, nobody)
    version = exactly("Could not find version 99 of model half_plus_two")
    yield row("status: no such version", status("half_plus_two", 99), StatusCode.NOT_FOUND, version)
    empty = GrpcCall(f"{models}/GetModelStatus", b"")
    yield row("status: no model_spec", empty, INVALID, r"ModelSpec|model_spec")
    for call in (f"{prediction}/GetModelMetadata", f"{models}/GetModelStatus", f"{models}/HandleReloadConfigRequest"):
        yield row(f"protobuf: garbage for {call}", GrpcCall(call, b"\xff" * 50), INVALID, r"(?i)request|protobuf")
    reload = model_management_pb2.ReloadConfigRequest().SerializeToString()
    not_a_list = exactly(
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )
    yield row("reload: no list", GrpcCall(f"{models}/HandleReloadConfigRequest", reload), INVALID, not_a_list)
    unimplemented = StatusCode.UNIMPLEMENTED
    for call in (f"{prediction}/Nothing", "/tensorflow.serving.SessionService/SessionRun", "/nothing/Nothing"):
        yield row(f"grpc: unknown method {call}", GrpcCall(call, b""), unimplemented, re.escape(call))


def grpc_frames() -> Iterator[BadInput]:
    """gRPC messages whose framing, length or compression is wrong."""
    good = good_request().SerializeToString()
    packed = gzip.compress(good)
    gzipped = {"grpc_encoding": "gzip"}
    broken = (INVALID, StatusCode.INTERNAL)
    short = (INVALID, StatusCode.INTERNAL, StatusCode.CANCELLED, StatusCode.UNIMPLEMENTED)
    yield row("frame: no message at all", GrpcBytes(b""), short, r"(?i)bytes|message|end")
    yield row("frame: half a prefix", GrpcBytes(b"\0\0"), short, r"(?i)bytes|message|end")
    yield row("frame: fewer bytes than announced", GrpcBytes(frame(good, length=1000)), short, r"(?i)bytes|message|end")
    exhausted = StatusCode.RESOURCE_EXHAUSTED
    yield row("frame: 2 GB announced", GrpcBytes(frame(b"12345", length=2**31 - 1)), exhausted, r"(?i)larg|limit|room")
    yield row("frame: 4 GB announced", GrpcBytes(frame(b"12345", length=2**32 - 1)), exhausted, r"(?i)larg|limit|room")
    yield row("frame: two messages", GrpcBytes(frame(good) * 2), short, r"(?i)message|more|many")
    yield row("frame: bytes after the message", GrpcBytes(frame(good) + b"123"), short, r"(?i)message|more|many")
    yield row("frame: an unknown flag", GrpcBytes(frame(good, flag=7)), broken, r"(?i)flag|compress")
    yield row("frame: compressed, but not said how", GrpcBytes(frame(packed, flag=1)), broken, r"(?i)encod|compress")
    unknown = GrpcBytes(frame(good, flag=1), {"grpc_encoding": "snappy"})
    yield row("frame: an unknown compression", unknown, StatusCode.UNIMPLEMENTED, r"snappy")
    yield row("frame: not gzip at all", GrpcBytes(frame(good, flag=1), gzipped), broken, r"(?i)inflat|gzip|compress")
    cut = GrpcBytes(frame(packed[:-12], flag=1), gzipped)
    yield row("frame: gzip broken off", cut, broken, r"(?i)inflat|gzip|compress")
    content = b"\x12" + _varint(BOMB_BYTES)
    bombs = GrpcBytes(frame(bomb(content, b"\0"), flag=1), gzipped)
    yield row("frame: a gzip bomb", bombs, (INVALID, exhausted), r"(?i)larg|limit|room|inflat")
    get = GrpcBytes(b"", {"method": "GET"})
    yield row("frame: GET", get, (StatusCode.UNIMPLEMENTED, StatusCode.INTERNAL), r"GET|POST")
