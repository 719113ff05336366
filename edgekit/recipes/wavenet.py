"""wavenet: spoken digits as 8 kHz mu-law samples, the chances of each next one told from the samples before it.

A. van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016 (arXiv:1609.03499): 30 gated layers of 64
channels, dilations 1, 2, 4 to 512 three times over, 843,776 weights. The network has two forms over the same weights:
one step with every layer's past given, which is exported, and a whole clip at once, which is trained.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.processing.audio import mu_law_encode, to_float
from edgekit.recipes.data import spoken_digits
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.recipes.training import Training, trained
from edgekit.tensors import Array, Feeds, State, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor, nn

LEVELS = 256
CHANNELS = 64
DILATIONS = tuple(2**power for power in range(10)) * 3
CROP_STEPS = 2048
EVALUATION_STEPS = 3000
CALIBRATION_CLIPS, STEPS_A_CLIP = 32, 8
PADDING = -100  # as a target, torch's cross-entropy leaves it out


def untrained() -> Any:
    """The network with random weights.

    forward: sample (1,) int64, past (30, 1, 64) float32 -> logits of the next sample (1, 256), and what is to be past:
        what entered each layer (30, 1, 64).
    sequence: samples (batch, steps) int64 -> logits (batch, steps, 256), and what entered each layer: 30 of
        (batch, steps, 64). The past is zero before the first step.
    """
    import torch
    from torch import nn
    from torch.nn.functional import pad, relu

    class WaveNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(LEVELS, CHANNELS)
            self.gates = nn.ModuleList(nn.Linear(2 * CHANNELS, 2 * CHANNELS) for _ in DILATIONS)
            self.mixes = nn.ModuleList(nn.Linear(CHANNELS, 2 * CHANNELS) for _ in DILATIONS)
            self.hidden = nn.Linear(CHANNELS, LEVELS)
            self.logits = nn.Linear(LEVELS, LEVELS)

        def forward(self, sample: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
            logits, entered = self.layers(sample, lambda index, _: past[index])
            return logits, torch.stack(entered)

        def sequence(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
            return self.layers(samples, lambda i, x: pad(x, (0, 0, DILATIONS[i], 0))[:, : x.shape[1]])

        def layers(self, samples: Tensor, past: Callable[[int, Tensor], Tensor]) -> tuple[Tensor, list[Tensor]]:
            x, entered, skips = self.embedding(samples), [], []
            for index, (gate, mix) in enumerate(zip(self.gates, self.mixes, strict=True)):
                entered.append(x)
                a, b = gate(torch.cat([past(index, x), x], -1)).chunk(2, -1)
                residual, skip = mix(torch.tanh(a) * torch.sigmoid(b)).chunk(2, -1)
                skips.append(skip)
                x = x + residual
            return self.logits(relu(self.hidden(relu(sum(skips[1:], skips[0]))))), entered

    return WaveNet()


def build_model() -> nn.Module:
    """The trained network, in eval mode."""
    return trained("wavenet", untrained())


def levels(clip: Array) -> Array:
    """A clip as the network takes it: (samples,) int16 -> (samples,) int64 from 0 to 255."""
    return mu_law_encode(to_float(clip)).astype(np.int64)


def calibration() -> Iterator[Feeds]:
    """256 single steps: 8 of each of 32 training clips, with the past that the float network has there."""
    yield from _real_steps()


@lru_cache(maxsize=1)
def _real_steps() -> tuple[Feeds, ...]:
    import torch

    network, rng = build_model(), np.random.default_rng(0)
    feeds: list[Feeds] = []
    clips, _ = spoken_digits().split("train")
    for index in rng.permutation(len(clips))[:CALIBRATION_CLIPS]:
        samples = levels(clips[index])[:EVALUATION_STEPS]
        with torch.inference_mode():
            entered = torch.stack(network.sequence(torch.from_numpy(samples[None]))[1])[:, 0].numpy()
        steps = rng.integers(0, len(samples), STEPS_A_CLIP)
        feeds.extend({"sample": samples[step : step + 1], "past": past_at(entered, step)} for step in steps)
    return tuple(feeds)


def past_at(entered: Array, step: int) -> Array:
    """What the step form is given at `step`: (30, steps, 64) of the sequence form -> (30, 1, 64)."""
    past = np.zeros((len(DILATIONS), 1, CHANNELS), np.float32)
    for layer, delay in enumerate(DILATIONS):
        if step >= delay:
            past[layer, 0] = entered[layer, step - delay]
    return past


def evaluation() -> Iterator[Sample]:
    """The first 3,000 steps of 60 clips of the test split: take 0 of each digit by each speaker.

    Feeds: sample (steps, 1) int64. Target: the sample after each of them, (steps,) int64.
    """
    for samples in _test_clips()[0]:
        yield {"sample": samples[:-1, None]}, samples[1:]


def negative_bits_per_sample(outputs: Mapping[str, Array], target: Any) -> float:
    """The mean of log2 p(next sample) over a clip's steps: minus what an ideal coder would spend on each.

    outputs: "logits" (steps, 1, 256) float. target: (steps,) int64.
    """
    logits = outputs["logits"].reshape(-1, LEVELS).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(target)), target]
    return float((chosen - np.log(np.exp(logits).sum(axis=1))).mean() / math.log(2))


def _test_clips() -> tuple[Array, Array]:
    """Samples of each clip of `evaluation`, (60,) of up to 3,001 each, and its digit (60,)."""
    spoken = spoken_digits()
    chosen = np.flatnonzero(spoken.take == 0)
    return _ragged(levels(spoken.clips[index])[: EVALUATION_STEPS + 1] for index in chosen), spoken.digit[chosen]


def _training_clips() -> tuple[Array, Array]:
    clips, digits = spoken_digits().split("train")
    return _ragged(map(levels, clips)), digits


def _ragged(arrays: Iterable[Array]) -> Array:
    """Arrays of different lengths as one array of objects."""
    items = list(arrays)
    ragged = np.empty(len(items), object)
    ragged[:] = items
    return ragged


def crop(clips: Array, rng: np.random.Generator) -> Array:
    """A stretch of each clip, from anywhere in it: (batch, up to 2,049) int64; what is shorter ends in `PADDING`."""
    longest = min(CROP_STEPS + 1, max(map(len, clips)))
    batch = np.full((len(clips), longest), PADDING, np.int64)
    for row, clip in zip(batch, clips, strict=True):
        start = rng.integers(0, max(0, len(clip) - longest) + 1)
        part = clip[start : start + longest]
        row[: len(part)] = part
    return batch


def next_sample_loss(network: Any, samples: Tensor, _: Tensor) -> Tensor:
    """Mean cross-entropy of every sample of the crops but the first, given those before it, in nats.

    In bfloat16 with float32 weights, sums and loss: twice as fast where the CPU multiplies bfloat16.
    """
    import torch
    from torch.nn.functional import cross_entropy

    with torch.autocast("cpu", torch.bfloat16):
        logits, _entered = network.sequence(samples[:, :-1].clamp(min=0))
    return cross_entropy(logits.float().flatten(0, 1), samples[:, 1:].flatten(), ignore_index=PADDING)


def bits_per_sample(network: Any, clips: Iterable[Array], _: Array) -> float:
    """Mean over the clips of what a sample costs, in bits, given those before it; float32 throughout."""
    import torch

    network.eval()
    scores = []
    for clip in clips:
        with torch.inference_mode():
            logits, _entered = network.sequence(torch.from_numpy(clip[None, :-1]))
        scores.append(negative_bits_per_sample({"logits": logits.numpy()}, clip[1:]))
    return -float(np.mean(scores))


training = Training(
    build=untrained,
    samples=_training_clips,
    test=_test_clips,
    augment=crop,
    epochs=9,
    batch_size=2,
    learning_rate=0.003,
    loss=next_sample_loss,
    score=bits_per_sample,
    score_name="bits per sample",
    float16=True,
    one_cycle=True,
    weight_decay=0.01,
)

recipe = Recipe(
    name="wavenet",
    model=build_model,
    inputs={
        "sample": TensorSpec("int64", (1,)),
        "past": TensorSpec("float32", (len(DILATIONS), 1, CHANNELS)),
    },
    outputs=("logits", "push"),
    calibration=calibration,
    evaluation=evaluation,
    metric=negative_bits_per_sample,
    budget=Budget(max_drop=0.05),
    state={"past": State("push", delay=DILATIONS)},
)
