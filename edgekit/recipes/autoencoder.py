"""autoencoder: the anomaly detector of MLPerf Tiny on spoken digits; a voice it was not trained on is the anomaly.

C. Banbury et al., "MLPerf Tiny Benchmark", 2021 (arXiv:2106.07597): ten dense layers, 640-128x4-8-128x4-640, over 5
frames of 128 log-mel bands, each 64 ms every 32 ms; here without its BatchNorm. What it reconstructs badly is unlike
what it was trained on.

A speaker is left out and not a digit, since a fault in a machine is another source of sound and not another message,
and a new word is made of sounds that the known words have. All recordings of `STRANGER` are left out of training. Who
that is decides how easy the task is. Each was left out in turn of a training on takes 10 to 49 and judged on takes 5 to
9: george gives an AUC of 0.999, yweweler 0.958, jackson 0.952, lucas 0.943, nicolas 0.895, theo 0.889. Lucas, the lower
of the two in the middle, was taken; the test split was not looked at.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.processing.audio import LogMel, log_mel, to_float
from edgekit.recipes.data import SPEAKERS, spoken_digits
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.recipes.training import Training, trained
from edgekit.tensors import Array, Feeds, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor, nn

# The log floor lies below the noise of these microphones, which is a part of how a voice sounds.
FRAMES = LogMel(window_samples=512, hop_samples=256, fft_size=1024, mel_bands=128, log_floor=1e-6)
STACKED_FRAMES = 5
VALUES = STACKED_FRAMES * FRAMES.mel_bands
EXCERPT_SAMPLES = FRAMES.window_samples + (STACKED_FRAMES - 1) * FRAMES.hop_samples  # 192 ms
EXCERPTS = 4
STD = 2.97  # of the training excerpts' log energies around their mean
STRANGER = SPEAKERS.index("lucas")
TEST_TAKES = 5


def untrained() -> nn.Module:
    """The network with random weights: (batch, 640) float32 -> its reconstruction, the same."""
    from torch import nn

    sizes = (VALUES, 128, 128, 128, 128, 8, 128, 128, 128, 128, VALUES)
    layers: list[nn.Module] = []
    for size_in, size in pairwise(sizes):
        layer = nn.Linear(size_in, size)
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def build_model() -> nn.Module:
    """The trained network, in eval mode."""
    return trained("autoencoder", untrained())


def network_input(excerpts: Array) -> Array:
    """Log-mel frames without the excerpt's own level: (n, 1536) float -> (n, 640) float32.

    The mean over an excerpt is subtracted, so that neither loudness nor distance makes an anomaly.
    """
    frames: Array = log_mel(excerpts, FRAMES).reshape(-1, VALUES)
    return np.asarray((frames - frames.mean(axis=1, keepdims=True)) / np.float32(STD))


def excerpts_of(clip: Array, starts: Iterable[int] | None = None) -> Array:
    """Stretches of 192 ms: (samples,) int16 or float32 -> (n, 1536) float32.

    starts: the first sample of each; if None, of four that are spread evenly over the clip. A clip that is shorter than
        one gets zeros at its end.
    """
    wave = to_float(clip)
    wave = np.pad(wave, (0, max(0, EXCERPT_SAMPLES - len(wave))))
    if starts is None:
        starts = np.linspace(0, len(wave) - EXCERPT_SAMPLES, EXCERPTS).astype(int)
    return np.stack([wave[start : start + EXCERPT_SAMPLES] for start in starts])


def calibration() -> Iterator[Feeds]:
    """256 excerpts, each of another training recording."""
    rng = np.random.default_rng(0)
    for index in rng.permutation(_training_recordings())[:256]:
        yield {"frames": _recording(index)[rng.integers(EXCERPTS)][None]}


def evaluation() -> Iterator[Sample]:
    """250 pairs: a recording of the test split by a known speaker, and the stranger saying the same digit.

    Feeds: frames (8, 640), four excerpts of the known speaker's recording, then four of the stranger's. Target: the
    same frames, for what matters is how far the reconstruction is from them. No recording is in two pairs.
    """
    for frames in _pairs():
        yield {"frames": frames}, frames


def stranger_stands_out(outputs: Mapping[str, Array], target: Any) -> float:
    """1 if the stranger's recording is reconstructed worse than the known speaker's, 0 if better, 0.5 if alike.

    A recording's error is the mean square over its excerpts. The mean over pairs is the AUC: the chance that an anomaly
    has a higher score than a normal sample (J. Hanley and B. McNeil, Radiology 143, 1982), here of the same digit.
    Since the pairs share no recording, they are independent samples, and both errors come from the model that is
    judged: a model that is off by as much on all recordings has lost nothing.

    outputs: "reconstruction" (8, 640) float. target: (8, 640), as `evaluation` gives it.
    """
    error = np.square(outputs["reconstruction"].astype(np.float64) - target).mean(axis=1)
    known, stranger = error[:EXCERPTS].mean(), error[EXCERPTS:].mean()
    return 0.5 if known == stranger else float(stranger > known)


def _training_recordings() -> Array:
    """Indices of the known speakers' recordings in the training split."""
    spoken = spoken_digits()
    return np.flatnonzero((spoken.take >= TEST_TAKES) & (spoken.speaker != STRANGER))


def _pairs() -> Array:
    """Network input of every pair: (250, 8, 640) float32. The stranger's takes 0 to 24 of a digit meet 5 x 5 others."""
    spoken = spoken_digits()
    tested = spoken.take < TEST_TAKES
    pairs: list[tuple[int, int]] = []
    for digit in range(10):
        known = np.flatnonzero(tested & (spoken.digit == digit) & (spoken.speaker != STRANGER))
        theirs = np.flatnonzero((spoken.digit == digit) & (spoken.speaker == STRANGER))
        by_take = theirs[np.argsort(spoken.take[theirs])]
        pairs.extend(zip(known, by_take[: len(known)], strict=True))
    return np.stack([np.concatenate([_recording(index) for index in pair]) for pair in pairs])


def _recording(index: int) -> Array:
    """Network input of a recording's four excerpts: (4, 640) float32."""
    return network_input(excerpts_of(spoken_digits().clips[index]))


def _raw() -> Iterator[Array]:
    """Excerpts of the pairs' known recordings, (1536,) float32 each, as a microphone gives them."""
    spoken = spoken_digits()
    for index in np.flatnonzero((spoken.take < TEST_TAKES) & (spoken.speaker != STRANGER)):
        yield from excerpts_of(spoken.clips[index])


def _training_excerpts() -> tuple[Array, Array]:
    """Network input, one excerpt every 16 ms of each training recording, and labels that nothing reads."""
    inputs = []
    for index in _training_recordings():
        clip = spoken_digits().clips[index]
        starts = range(0, max(1, len(clip) - EXCERPT_SAMPLES + 1), FRAMES.hop_samples // 2)
        inputs.append(network_input(excerpts_of(clip, starts)))
    joined = np.concatenate(inputs)
    return joined, np.zeros(len(joined), np.uint8)


def _test_pairs() -> tuple[Array, Array]:
    pairs = _pairs()
    return pairs, np.zeros(len(pairs), np.uint8)


def _unchanged(inputs: Array, _: np.random.Generator) -> Array:
    return inputs


def reconstruction_loss(network: nn.Module, inputs: Tensor, _: Tensor) -> Tensor:
    """Mean squared difference of a batch (n, 640) and its reconstruction."""
    from torch.nn.functional import mse_loss

    return mse_loss(network(inputs), inputs)


def auc_of_pairs(network: nn.Module, pairs: Array, _: Array) -> float:
    """The mean of `stranger_stands_out` over pairs (n, 8, 640); leaves the network in eval mode."""
    import torch

    network.eval()
    with torch.inference_mode():
        reconstructed = network(torch.from_numpy(pairs)).numpy()
    outputs = ({"reconstruction": reconstruction} for reconstruction in reconstructed)
    return float(np.mean([stranger_stands_out(out, pair) for out, pair in zip(outputs, pairs, strict=True)]))


training = Training(
    build=untrained,
    samples=_training_excerpts,
    test=_test_pairs,
    augment=_unchanged,
    epochs=40,
    batch_size=256,
    learning_rate=0.003,
    loss=reconstruction_loss,
    score=auc_of_pairs,
    score_name="AUC",
    one_cycle=True,
    weight_decay=0.01,
)

recipe = Recipe(
    name="autoencoder",
    model=build_model,
    inputs={"frames": TensorSpec("float32", ("batch", VALUES), ranges={"batch": (1, 8)})},
    outputs=("reconstruction",),
    calibration=calibration,
    evaluation=evaluation,
    metric=stranger_stands_out,
    budget=Budget(max_drop=0.02),
    raw=_raw,
    preprocess=lambda excerpt: {"frames": network_input(excerpt[None])},
)
