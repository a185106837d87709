#!/usr/bin/env python3
"""Trains the digits model and writes everything that this example serves.

The data are scikit-learn's bundled handwritten digits: 1,797 pictures of 8 x 8 pixels with values of 0 to 16.
A pixel becomes a grey level of 0 to 255 by `round(value * 255 / 16)`, so that a digit is an ordinary
greyscale picture, and the model takes these grey levels as they are: it divides by 255 itself.

Writes, relative to this file:
    models/digits/1/model.onnx        image float [-1,8,8,1] -> probabilities float [-1,10]
    saved_models/digits/1/            the same model as a SavedModel (not kept in git)
    digits/0.png ... 9.png            one picture of each digit, taken from the test split

    pip install -r requirements.txt && python train.py
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
ONNX_FILE = HERE / "models/digits/1/model.onnx"
SAVED_MODEL_DIR = HERE / "saved_models/digits/1"
PICTURES_DIR = HERE / "digits"

SEED = 7
TEST_SHARE = 0.2
EPOCHS = 40
OPSET = 17
MAX_ONNX_BYTES = 300_000
MIN_ACCURACY = 0.98
# Keras and ONNX Runtime add up the same products in another order.
TOLERANCE = 1e-5

Floats = NDArray[np.float32]


def load_data() -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Returns training pictures, test pictures, training labels and test labels."""
    digits = load_digits()
    pictures = np.rint(digits.images * 255 / 16).astype(np.float32)[..., np.newaxis]
    labels = digits.target.astype(np.int64)
    return train_test_split(pictures, labels, test_size=TEST_SHARE, random_state=SEED, stratify=labels)


def build() -> keras.Model:
    """Returns the network without its training."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(48, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    x = keras.layers.Dropout(0.3)(x)
    probabilities = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(image, probabilities, name="digits")


def train(model: keras.Model, pictures: Floats, labels: NDArray[np.int64]) -> None:
    """Trains with small shifts and turns, so that 1,437 pictures are enough."""
    augment = keras.Sequential(
        [
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant", seed=SEED),
            keras.layers.RandomRotation(0.03, fill_mode="constant", seed=SEED + 1),
        ]
    )
    batches = (
        tf.data.Dataset.from_tensor_slices((pictures, labels))
        .shuffle(len(pictures), seed=SEED)
        .batch(32)
        .map(lambda image, label: (augment(image, training=True), label))
    )
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(batches))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(batches, epochs=EPOCHS, verbose=2)


def export(model: keras.Model) -> None:
    """Writes the SavedModel and the ONNX file, both with the same names."""
    spec = tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(image, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", predict, input_signature=[spec])
    archive.write_out(str(SAVED_MODEL_DIR), verbose=False)
    function = tf.function(predict, input_signature=[spec])
    proto, _ = tf2onnx.convert.from_function(function, input_signature=[spec], opset=OPSET)
    name_batch_axis(proto)
    onnx.checker.check_model(proto, full_check=True)
    ONNX_FILE.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, ONNX_FILE)


def name_batch_axis(proto: onnx.ModelProto) -> None:
    """Replaces the names that the converter invents, which differ from run to run."""
    proto.graph.name = "digits"
    proto.graph.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def verify(model: keras.Model, pictures: Floats) -> Floats:
    """Returns the ONNX file's answers for `pictures`, once they are known to be Keras's own."""
    session = onnxruntime.InferenceSession(ONNX_FILE, providers=["CPUExecutionProvider"])
    (image,), (output,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape[1:]) == ("image", "tensor(float)", [8, 8, 1]), image
    assert (output.name, output.shape[1:]) == ("probabilities", [10]), output
    answers = session.run(None, {"image": pictures})[0]
    difference = float(np.abs(answers - model.predict(pictures, verbose=0)).max())
    print(f"largest difference between ONNX Runtime and Keras: {difference:.1e}")
    assert difference < TOLERANCE, difference
    alone = session.run(None, {"image": pictures[:1]})[0]
    assert np.abs(alone - answers[:1]).max() < TOLERANCE
    return answers


def write_pictures(pictures: Floats, labels: NDArray[np.int64], answers: Floats) -> None:
    """Writes the first test picture of each digit that the model reads rightly."""
    PICTURES_DIR.mkdir(exist_ok=True)
    for digit in range(10):
        right = np.flatnonzero((labels == digit) & (answers.argmax(axis=1) == digit))
        levels = pictures[right[0], :, :, 0].astype(np.uint8)
        Image.fromarray(levels).save(PICTURES_DIR / f"{digit}.png", optimize=True)


def main() -> None:
    """Trains, exports, checks and prints what was reached."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    train_pictures, test_pictures, train_labels, test_labels = load_data()
    model = build()
    train(model, train_pictures, train_labels)
    export(model)
    answers = verify(model, test_pictures)
    write_pictures(test_pictures, test_labels, answers)
    num_right = int((answers.argmax(axis=1) == test_labels).sum())
    accuracy = num_right / len(test_labels)
    num_bytes = ONNX_FILE.stat().st_size
    print(f"test accuracy: {accuracy:.4f} ({num_right} of {len(test_labels)} pictures)")
    print(f"{ONNX_FILE.relative_to(HERE)}: {num_bytes} bytes, {model.count_params()} parameters")
    assert accuracy >= MIN_ACCURACY, accuracy
    assert num_bytes < MAX_ONNX_BYTES, num_bytes


if __name__ == "__main__":
    main()
