"""simple-cnn: one small convolution on handwritten digits; the embedded default, trained in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.processing.image import prepare_images
from edgekit.processing.labels import best_class
from edgekit.recipes.data import DIGITS_INPUT, digit_pixels, digits
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.recipes.training import Training, trained
from edgekit.tensors import Array, Feeds, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from torch import nn


def untrained() -> nn.Module:
    """The network with random weights: (batch, 1, 12, 12) float32 -> (batch, 10) float32 scores."""
    from torch import nn

    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(1),
        nn.Linear(16 * 6 * 6, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )
    for layer in (network[0], network[4], network[6]):
        # torch starts smaller, and ten epochs then end about one point lower: arXiv:1502.01852, section 2.2.
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    return network


def build_model() -> nn.Module:
    """The trained network, in eval mode."""
    return trained("simple-cnn", untrained())


def calibration() -> Iterator[Feeds]:
    """256 images of the training split."""
    images, _ = digits("train")
    for image in images[:256]:
        yield {"image": image[None]}


def evaluation() -> Iterator[Sample]:
    """The whole test split: 450 images."""
    images, labels = digits("test")
    for image, label in zip(images, labels, strict=True):
        yield {"image": image[None]}, int(label)


def _unchanged(images: Array, _: np.random.Generator) -> Array:
    return images


training = Training(
    build=untrained,
    samples=lambda: digits("train"),
    test=lambda: digits("test"),
    augment=_unchanged,
    epochs=10,
    batch_size=32,
    learning_rate=0.001,
)

recipe = Recipe(
    name="simple-cnn",
    model=build_model,
    inputs={"image": TensorSpec("float32", ("batch", 1, 12, 12), ranges={"batch": (1, 64)})},
    outputs=("scores",),
    calibration=calibration,
    evaluation=evaluation,
    metric="top1",
    budget=Budget(max_drop=0.01),
    raw=lambda: digit_pixels("test")[0],
    preprocess=lambda pixels: {"image": prepare_images(pixels[None], DIGITS_INPUT)},
    postprocess=lambda outputs: best_class(outputs["scores"]),
)
