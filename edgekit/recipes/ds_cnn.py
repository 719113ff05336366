"""ds-cnn: the keyword network of MLPerf Tiny on spoken digits, one second as 49 frames of 10 numbers.

Y. Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017 (arXiv:1711.07128), size S, with the
stride of
MLPerf Tiny (arXiv:2106.07597): a 10x4 convolution with stride 2, then four depthwise-separable blocks of 64
maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.processing.audio import Mfcc, fit_length, mfcc, prepare_clips, to_float
from edgekit.processing.labels import best_class
from edgekit.recipes.data import Split, spoken_digits
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.recipes.training import Training, trained
from edgekit.tensors import Array, Feeds, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Mean and standard deviation of each coefficient over the training clips.
FEATURES = Mfcc(
    mean=(-34.22, 2.45, 0.73, -0.32, -1.19, -0.70, -0.41, -0.21, -0.33, -0.15),
    std=(14.17, 4.75, 2.83, 2.17, 2.46, 1.98, 1.34, 1.10, 1.03, 0.97),
)
SHIFT_SAMPLES = 1000
GAIN_DB = 12.0
NOISE_DB = (-50.0, -20.0)


def untrained() -> nn.Module:
    """The network with random weights: (batch, 1, 49, 10) float32 -> (batch, 10) float32 scores."""
    from torch import nn

    def normalised(convolution: nn.Module) -> tuple[nn.Module, ...]:
        return convolution, nn.BatchNorm2d(64), nn.ReLU()

    def separable() -> tuple[nn.Module, ...]:
        depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        return *normalised(depthwise), *normalised(nn.Conv2d(64, 64, 1, bias=False))

    return nn.Sequential(
        *normalised(nn.Conv2d(1, 64, (10, 4), stride=2, padding=(5, 1), bias=False)),
        nn.Dropout(0.2),
        *separable(),
        *separable(),
        *separable(),
        *separable(),
        nn.Dropout(0.4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(64, 10),
    )


def build_model() -> nn.Module:
    """The trained network, in eval mode."""
    return trained("ds-cnn", untrained())


def calibration() -> Iterator[Feeds]:
    """256 recordings of the training split, drawn with a fixed seed: the data set is sorted by digit."""
    clips, _ = spoken_digits().split("train")
    for index in np.random.default_rng(0).permutation(len(clips))[:256]:
        yield {"features": prepare_clips([clips[index]], FEATURES)}


def evaluation() -> Iterator[Sample]:
    """The official test split: takes 0 to 4, 300 recordings."""
    features, labels = _prepared("test")
    for feature, label in zip(features, labels, strict=True):
        yield {"features": feature[None]}, int(label)


def _prepared(split: Split) -> tuple[Array, Array]:
    clips, labels = spoken_digits().split(split)
    return prepare_clips(clips, FEATURES), labels


def _waves(split: Split) -> tuple[Array, Array]:
    clips, labels = spoken_digits().split(split)
    return np.stack([fit_length(to_float(clip), FEATURES.clip_samples) for clip in clips]), labels


def disturb(waves: Array, rng: np.random.Generator) -> Array:
    """Features of a batch of clips, each moved in time, made louder or softer, and mixed with white noise.

    waves: (n, samples) float32. Noise is given in decibels of the clip's own peak.
    """
    moved = np.stack([np.roll(wave, rng.integers(-SHIFT_SAMPLES, SHIFT_SAMPLES + 1)) for wave in waves])
    noise_db = rng.uniform(*NOISE_DB, (len(waves), 1))
    peak = np.abs(moved).max(axis=1, keepdims=True)
    noisy = moved + peak * 10 ** (noise_db / 20) * rng.standard_normal(moved.shape)
    gain_db = rng.uniform(-GAIN_DB, GAIN_DB, (len(waves), 1))
    return mfcc(noisy * 10 ** (gain_db / 20), FEATURES)[:, None]


training = Training(
    build=untrained,
    samples=lambda: _waves("train"),
    test=lambda: _prepared("test"),
    augment=disturb,
    epochs=20,
    batch_size=64,
    learning_rate=0.005,
    one_cycle=True,
    weight_decay=0.05,
)

recipe = Recipe(
    name="ds-cnn",
    model=build_model,
    inputs={"features": TensorSpec("float32", ("batch", 1, 49, 10), ranges={"batch": (1, 8)})},
    outputs=("scores",),
    calibration=calibration,
    evaluation=evaluation,
    metric="top1",
    budget=Budget(max_drop=0.01),
    raw=lambda: spoken_digits().split("test")[0],
    preprocess=lambda clip: {"features": prepare_clips([clip], FEATURES)},
    postprocess=lambda outputs: best_class(outputs["scores"]),
)
