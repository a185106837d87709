"""Writes SavedModels with TensorFlow itself, and says what TensorFlow answers. Needs TensorFlow; the tests do not.

What is random in a model comes from fixed seeds, so every run writes the same weights.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Outputs = dict[str, NDArray]

# ---------------------------------------------------------------------------------------------------------------------
# What TensorFlow answers
# ---------------------------------------------------------------------------------------------------------------------


def answer(folder: Path, signature: str, **inputs: object) -> Outputs:
    """Returns what TensorFlow answers for a SavedModel's signature."""
    # The loaded object owns the variables, so it has to outlive the call.
    loaded = tf.saved_model.load(str(folder))
    tensors = {alias: tf.constant(value) for alias, value in inputs.items()}
    outputs = loaded.signatures[signature](**tensors)
    return {alias: value.numpy() for alias, value in outputs.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Three classes of animals, as in the versioning lab
# ---------------------------------------------------------------------------------------------------------------------

ANIMALS_INPUT = "image"
ANIMALS_SHAPE = (150, 150, 3)
NUM_ANIMALS = 3


def save_animals(folder: Path, version: int) -> None:
    """Writes a small convolutional network, other weights for each version."""
    tf.keras.utils.set_random_seed(version)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input(ANIMALS_SHAPE, name=ANIMALS_INPUT),
            tf.keras.layers.Conv2D(8, 5, strides=3, activation="relu"),
            tf.keras.layers.MaxPooling2D(),
            tf.keras.layers.Conv2D(16, 3, activation="relu"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(NUM_ANIMALS, activation="softmax"),
        ]
    )
    tf.saved_model.save(model, str(folder))


# ---------------------------------------------------------------------------------------------------------------------
# The cover of forests, as in the logged requests
# ---------------------------------------------------------------------------------------------------------------------

NUM_BUCKETS = 64


class Covertype(tf.Module):
    """Whole numbers and words of one row each to probabilities: a hashed, a scaled and a dense layer."""

    def __init__(self, numbers: list[str], words: list[str], num_classes: int) -> None:
        super().__init__()
        random = np.random.default_rng(11)
        self.numbers, self.words = numbers, words
        num_features = len(numbers) + NUM_BUCKETS * len(words)
        self.weights = tf.Variable(random.normal(size=(num_features, num_classes)).astype(np.float32))
        # The logged numbers are distances and angles up to some thousands.
        self.scale = tf.constant(1 / 1000, tf.float32)

    def probabilities(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns a row of probabilities for each row."""
        numbers = tf.concat([tf.cast(inputs[name], tf.float32) for name in self.numbers], axis=1) * self.scale
        hashed = [tf.strings.to_hash_bucket_fast(inputs[name][:, 0], NUM_BUCKETS) for name in self.words]
        features = tf.concat([numbers, *(tf.one_hot(bucket, NUM_BUCKETS) for bucket in hashed)], axis=1)
        return {"probabilities": tf.nn.softmax(features @ self.weights)}


def save_covertype(folder: Path, numbers: list[str], words: list[str], num_classes: int) -> None:
    """Writes a model with an int64 or string input of shape [-1,1] for each name."""
    module = Covertype(numbers, words, num_classes)
    specs = {name: tf.TensorSpec((None, 1), tf.int64, name) for name in numbers}
    specs |= {name: tf.TensorSpec((None, 1), tf.string, name) for name in words}
    function = tf.function(module.probabilities).get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures=function)


# ---------------------------------------------------------------------------------------------------------------------
# A classifier of pictures, as in the autoscaling lab
# ---------------------------------------------------------------------------------------------------------------------

SIZE = 224
NUM_CLASSES = 1001
NUM_TOP = 5
# Spreads the logits over the classes about as a trained network's are.
LOGIT_SPREAD = 3.0
# How many blocks each of the four stages has, by the number of layers.
STAGES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
WIDTH = 64
EXPANSION = 4
EPSILON = 1e-5


class Normalisation(tf.Module):
    """Batch normalisation whose statistics are taken from one calling, then kept."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.mean, self.variance = tf.Variable(tf.zeros(num_channels)), tf.Variable(tf.ones(num_channels))

    def __call__(self, x: tf.Tensor, *, is_calibration: bool) -> tf.Tensor:
        """Normalises and cuts below zero."""
        if is_calibration:
            mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
            self.mean.assign(mean)
            self.variance.assign(variance)
        return tf.nn.relu(tf.nn.batch_normalization(x, self.mean, self.variance, None, None, EPSILON))


class Block(tf.Module):
    """A bottleneck of the second form: normalisation comes before each convolution."""

    def __init__(self, kernels: "Kernels", num_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norms = [Normalisation(count) for count in (num_channels, width, width)]
        self.reduce = kernels.make(1, num_channels, width)
        self.convolve = kernels.make(3, width, width)
        self.expand = kernels.make(1, width, EXPANSION * width)
        is_same = num_channels == EXPANSION * width
        self.shortcut = None if is_same else kernels.make(1, num_channels, EXPANSION * width)

    def __call__(self, x: tf.Tensor, *, is_calibration: bool) -> tf.Tensor:
        """Adds what the block sees to what it is given."""
        first, second, third = self.norms
        seen = first(x, is_calibration=is_calibration)
        if self.shortcut is not None:
            x = tf.nn.conv2d(seen, self.shortcut, self.stride, "SAME")
        seen = second(tf.nn.conv2d(seen, self.reduce, 1, "SAME"), is_calibration=is_calibration)
        seen = third(tf.nn.conv2d(seen, self.convolve, self.stride, "SAME"), is_calibration=is_calibration)
        return x + tf.nn.conv2d(seen, self.expand, 1, "SAME")


class Kernels:
    """Makes random kernels, the same in every run."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def make(self, size: int, num_in: int, num_out: int) -> tf.Variable:
        """Returns a kernel that keeps the spread of its input."""
        kernel = self.random.normal(size=(size, size, num_in, num_out), scale=np.sqrt(2 / (size * size * num_in)))
        return tf.Variable(kernel.astype(np.float32))


class Network(tf.Module):
    """A residual network up to its features."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        kernels = Kernels(depth)
        self.stem = kernels.make(7, 3, WIDTH)
        self.blocks, num_channels = [], WIDTH
        for stage, num_blocks in enumerate(STAGES[depth]):
            width = WIDTH << stage
            for number in range(num_blocks):
                stride = 2 if stage > 0 and number == 0 else 1
                self.blocks.append(Block(kernels, num_channels, width, stride))
                num_channels = EXPANSION * width
        self.norm = Normalisation(num_channels)

    def __call__(self, pictures: tf.Tensor, *, is_calibration: bool = False) -> tf.Tensor:
        """Returns the features of pictures of 0..1."""
        x = tf.nn.conv2d(2 * pictures - 1, self.stem, 2, "SAME")
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for block in self.blocks:
            x = block(x, is_calibration=is_calibration)
        return tf.reduce_mean(self.norm(x, is_calibration=is_calibration), axis=[1, 2])


class Classifier(tf.Module):
    """The lab's model: pictures as numbers, and pictures as files with the preparation inside.

    The statistics of normalisation are those of photographs, and the last layer is scaled so that their logits spread:
    without that all pictures would have the same answer, and differences would be rounding errors.
    """

    def __init__(self, depth: int, photographs: list[bytes]) -> None:
        super().__init__()
        self.network = Network(depth)
        pictures = tf.stack([self.prepare(file) for file in photographs])
        pictures = tf.cast(tf.concat([pictures, pictures[:, :, ::-1]], axis=0), tf.float32) / 255
        features = self.network(pictures, is_calibration=True).numpy()
        centre = features.mean(axis=0)
        weights = np.random.default_rng(depth).normal(size=(len(centre), NUM_CLASSES))
        weights *= LOGIT_SPREAD / ((features - centre) @ weights).std()
        self.weights = tf.Variable(weights.astype(np.float32))
        self.bias = tf.Variable((-centre @ weights).astype(np.float32))
        self.names = tf.constant(["background", *(f"class {number}" for number in range(1, NUM_CLASSES))])

    def logits(self, pictures: tf.Tensor) -> tf.Tensor:
        """Returns the logits of pictures of 0..1."""
        return self.network(pictures) @ self.weights + self.bias

    @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, "image")])
    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """The default signature."""
        return {"logits": self.logits(image)}

    @staticmethod
    def prepare(file: tf.Tensor | bytes) -> tf.Tensor:
        """Decodes a picture, cuts out its centre square, resizes that and cuts values to whole numbers."""
        picture = tf.io.decode_jpeg(file, channels=3)
        height, width = tf.shape(picture)[0], tf.shape(picture)[1]
        side = tf.minimum(height, width)
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        square = tf.image.crop_to_bounding_box(picture, top, left, side, side)
        return tf.cast(tf.image.resize(square, (SIZE, SIZE), "bilinear"), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def preprocess(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature for files of pictures."""
        spec = tf.TensorSpec((SIZE, SIZE, 3), tf.uint8)
        pictures = tf.map_fn(self.prepare, image_bytes, fn_output_signature=spec)
        probabilities = tf.nn.softmax(self.logits(tf.cast(pictures, tf.float32) / 255))
        top = tf.math.top_k(probabilities, NUM_TOP)
        return {"labels": tf.gather(self.names, top.indices), "probabilities": top.values}


def save_classifier(folder: Path, depth: int, photographs: list[bytes]) -> None:
    """Writes the classifier with both signatures."""
    module = Classifier(depth, photographs)
    signatures = {"serving_default": module.predict, "serving_preprocess": module.preprocess}
    tf.saved_model.save(module, str(folder), signatures=signatures)
