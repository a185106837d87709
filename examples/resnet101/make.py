#!/usr/bin/env python3
"""Writes ResNet101 as ONNX: about 178 MB of random weights, for measurements with a model of real size.

The weights are drawn with a fixed seed. The statistics of every batch normalisation are set by one pass in
training mode over varied pictures, so that signals keep a sane scale through all 101 layers and the logits
differ from picture to picture. The answers mean nothing, but two engines must agree on them.

    image float [-1,224,224,3] (RGB, 0..1) -> logits float [-1,1000]

    pip install -r ../digits/requirements.txt && python make.py [FOLDER]

Writes FOLDER/resnet101/1/model.onnx; FOLDER is `models` beside this file unless given (git ignores it).
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
SEED = 101
SIZE = 224
OPSET = 17
NUM_CALIBRATION_PICTURES = 16

Floats = NDArray[np.float32]


def make_pictures(count: int, seed: int) -> Floats:
    """Returns smooth random pictures, each of another grain, colour and contrast."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        grain = int(random.choice([2, 4, 8, 16, 32, 56]))
        coarse = random.normal(size=(grain, grain, 3)) * random.uniform(0.1, 0.5) + random.uniform(0.2, 0.8, 3)
        pictures.append(tf.image.resize(coarse, (SIZE, SIZE), "bicubic").numpy())
    return np.clip(np.stack(pictures), 0, 1).astype(np.float32)


def build() -> keras.Model:
    """Returns ResNet101 with random weights and calibrated normalisation."""
    model = keras.applications.ResNet101(weights=None, input_shape=(SIZE, SIZE, 3), classifier_activation=None)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(make_pictures(NUM_CALIBRATION_PICTURES, SEED), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return model


def export(model: keras.Model, file: Path) -> None:
    """Writes `model` as one ONNX file."""
    spec = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="image")

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": model(image, training=False)}

    function = tf.function(predict, input_signature=[spec])
    proto, _ = tf2onnx.convert.from_function(function, input_signature=[spec], opset=OPSET)
    proto.graph.name = "resnet101"
    proto.graph.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, file)


def verify(model: keras.Model, file: Path) -> None:
    """Compares the file's logits with Keras's on pictures that calibration has not seen, and prints their scale."""
    pictures = make_pictures(4, SEED + 1)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"image": pictures})[0]
    wanted = model.predict(pictures, verbose=0)
    largest = float(np.abs(wanted).max())
    error = float(np.abs(logits - wanted).max()) / largest
    print(f"logits: largest {largest:.2f}, spread {wanted.std():.2f}, between pictures {wanted.std(axis=0).mean():.2f}")
    print(f"best class of each picture: {logits.argmax(axis=1).tolist()}")
    print(f"largest difference between ONNX Runtime and Keras: {error:.1e} of the largest logit")
    assert logits.shape == (4, 1000), logits.shape
    assert error < 1e-4, error


def main() -> None:
    """Builds, exports and checks."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "models"
    file = folder / "resnet101/1/model.onnx"
    keras.utils.set_random_seed(SEED)
    model = build()
    export(model, file)
    verify(model, file)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
