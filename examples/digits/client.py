#!/usr/bin/env python3
"""Asks a server which digit a picture shows.

Over REST it needs only Python's standard library:

    python client.py digits/7.png

Over gRPC it needs `grpcio` and the stubs of `tensorflow-serving-api`:

    python client.py --grpc digits/7.png
"""

import argparse
import json
import struct
import sys
import urllib.error
import urllib.request
import zlib
from pathlib import Path

MODEL = "digits"
SIZE = 8
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_pixels(file: str) -> list[list[int]]:
    """Returns a picture's rows of grey levels from 0 (black) to 255 (white)."""
    try:
        from PIL import Image
    except ImportError:
        rows = read_png(file)
    else:
        with Image.open(file) as picture:
            grey = picture.convert("L")
            levels, width = grey.tobytes(), grey.width
        rows = [list(levels[start : start + width]) for start in range(0, len(levels), width)]
    if len(rows) != SIZE or len(rows[0]) != SIZE:
        raise ValueError(f"{file}: is {len(rows[0])} x {len(rows)} pixels; the model wants {SIZE} x {SIZE}")
    return rows


def read_png(file: str) -> list[list[int]]:
    """Reads a PNG of 8-bit grey levels; install Pillow for any other picture."""
    data = Path(file).read_bytes()
    if not data.startswith(PNG_SIGNATURE):
        raise ValueError(f"{file}: is not a PNG; install Pillow to read other pictures")
    chunks: dict[bytes, bytes] = {}
    position = len(PNG_SIGNATURE)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks[kind] = chunks.get(kind, b"") + data[position + 8 : position + 8 + length]
        position += length + 12
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if form != [8, 0, 0, 0, 0]:
        raise ValueError(f"{file}: is not a plain 8-bit greyscale PNG; install Pillow to read it")
    return unfilter(zlib.decompress(chunks[b"IDAT"]), width, height)


def unfilter(data: bytes, width: int, height: int) -> list[list[int]]:
    """Undoes PNG's prediction of each level from its neighbours to the left and above."""
    above = [0] * width
    rows = []
    for y in range(height):
        kind, *row = data[y * (width + 1) : (y + 1) * (width + 1)]
        for x in range(width):
            a, b, c = (row[x - 1], above[x], above[x - 1]) if x else (0, above[x], 0)
            nearest = min((a, b, c), key=lambda level: abs(a + b - c - level))
            row[x] = (row[x] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        rows.append(row)
        above = row
    return rows


def predict_rest(server: str, pictures: list[list[list[int]]]) -> list[list[float]]:
    """Returns ten probabilities for each picture, by JSON over HTTP."""
    instances = [[[[level] for level in row] for row in rows] for rows in pictures]
    request = urllib.request.Request(
        f"http://{server}/v1/models/{MODEL}:predict", data=json.dumps({"instances": instances}).encode()
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["predictions"]
    except urllib.error.HTTPError as error:
        raise OSError(json.load(error)["error"]) from error


def predict_grpc(server: str, pictures: list[list[list[int]]]) -> list[list[float]]:
    """Returns ten probabilities for each picture, by TensorFlow Serving's gRPC API."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    levels = [level for rows in pictures for row in rows for level in row]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    image = request.inputs["image"]
    image.dtype = 1  # DT_FLOAT
    for size in (len(pictures), SIZE, SIZE, 1):
        image.tensor_shape.dim.add(size=size)
    image.tensor_content = struct.pack(f"<{len(levels)}f", *levels)
    with grpc.insecure_channel(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            values = stub.Predict(request, timeout=20.0).outputs["probabilities"].float_val
        except grpc.RpcError as error:
            raise OSError(error.details()) from error
    return [list(values[start : start + 10]) for start in range(0, len(values), 10)]


def main() -> int:
    """Prints one line for each picture."""
    parser = argparse.ArgumentParser(description="Asks a server which digit a picture shows.")
    parser.add_argument("picture", nargs="+", help="a greyscale picture of 8 x 8 pixels, white on black")
    parser.add_argument("--grpc", action="store_true", help="use gRPC instead of REST")
    parser.add_argument("--server", help="host:port (default: localhost:8501, or localhost:8500 with --grpc)")
    options = parser.parse_args()
    predict, port = (predict_grpc, 8500) if options.grpc else (predict_rest, 8501)
    try:
        pictures = [read_pixels(file) for file in options.picture]
        answers = predict(options.server or f"localhost:{port}", pictures)
    except (ImportError, OSError, ValueError) as error:
        print(f"client.py: {error}", file=sys.stderr)
        return 1
    for file, probabilities in zip(options.picture, answers, strict=True):
        digit = max(range(10), key=probabilities.__getitem__)
        print(f"{file}: {digit} (probability {probabilities[digit]:.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
