"""resnet8: the image network of MLPerf Tiny on Fashion-MNIST, ten classes of clothing.

C. Banbury et al., "MLPerf Tiny Benchmark", 2021 (arXiv:2106.07597): three residual stacks of 16, 32 and 64
maps, the last two with stride 2 and a 1x1 convolution on the shortcut; here for one grey channel of 28 x 28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.processing.image import ImageInput, prepare_images
from edgekit.processing.labels import best_class
from edgekit.recipes.data import Split, fashion_mnist
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.recipes.training import Training, trained
from edgekit.tensors import Array, Feeds, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

INPUT = ImageInput(height=28, width=28, peak=255.0, mean=0.286, std=0.353)  # of the training images
SHIFT_PIXELS = 2


def untrained() -> nn.Module:
    """The network with random weights: (batch, 1, 28, 28) float32 -> (batch, 10) float32 scores."""
    from torch import nn

    class Residual(nn.Module):  # type: ignore[misc]
        """relu(shortcut(x) + two normalised convolutions of x)."""

        def __init__(self, maps_in: int, maps: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(*normalised(maps_in, maps, stride), nn.ReLU(), *normalised(maps, maps, stride=1))
            same = maps_in == maps and stride == 1
            self.shortcut = nn.Identity() if same else nn.Conv2d(maps_in, maps, 1, stride)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.relu(self.shortcut(x) + self.body(x))

    def normalised(maps_in: int, maps: int, stride: int) -> tuple[nn.Module, nn.Module]:
        return nn.Conv2d(maps_in, maps, 3, stride, padding=1, bias=False), nn.BatchNorm2d(maps)

    return nn.Sequential(
        *normalised(1, 16, stride=1),
        nn.ReLU(),
        Residual(16, 16, stride=1),
        Residual(16, 32, stride=2),
        Residual(32, 64, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(64, 10),
    )


def build_model() -> nn.Module:
    """The trained network, in eval mode."""
    return trained("resnet8", untrained())


def calibration() -> Iterator[Feeds]:
    """256 images of the training split."""
    pixels, _ = fashion_mnist("train")
    for image in pixels[:256]:
        yield {"image": prepare_images(image[None], INPUT)}


def evaluation() -> Iterator[Sample]:
    """The whole test split: 10,000 images."""
    images, labels = _prepared("test")
    for image, label in zip(images, labels, strict=True):
        yield {"image": image[None]}, int(label)


def _prepared(split: Split) -> tuple[Array, Array]:
    pixels, labels = fashion_mnist(split)
    return prepare_images(pixels, INPUT), labels


def shift_and_flip(pixels: Array, rng: np.random.Generator) -> Array:
    """Network input of a batch: images moved by up to two pixels each way, and half of them mirrored."""
    size, reach = pixels.shape[1], 2 * SHIFT_PIXELS + 1
    padded = np.pad(pixels, ((0, 0), (SHIFT_PIXELS, SHIFT_PIXELS), (SHIFT_PIXELS, SHIFT_PIXELS)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    down, right = rng.integers(0, reach, (2, len(pixels)))
    moved = windows[np.arange(len(pixels)), down, right]
    mirrored = rng.random(len(pixels)) < 0.5
    moved[mirrored] = moved[mirrored, :, ::-1]
    return prepare_images(moved, INPUT)


training = Training(
    build=untrained,
    samples=lambda: fashion_mnist("train"),
    test=lambda: _prepared("test"),
    augment=shift_and_flip,
    epochs=12,
    batch_size=128,
    learning_rate=0.005,
    one_cycle=True,
    weight_decay=0.05,
)

recipe = Recipe(
    name="resnet8",
    model=build_model,
    inputs={"image": TensorSpec("float32", ("batch", 1, 28, 28), ranges={"batch": (1, 8)})},
    outputs=("scores",),
    calibration=calibration,
    evaluation=evaluation,
    metric="top1",
    budget=Budget(max_drop=0.01),
    raw=lambda: fashion_mnist("test")[0],
    preprocess=lambda pixels: {"image": prepare_images(pixels[None], INPUT)},
    postprocess=lambda outputs: best_class(outputs["scores"]),
)
