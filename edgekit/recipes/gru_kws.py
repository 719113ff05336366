"""gru-kws: spoken digits heard as they come, a 10 ms frame a step, by two recurrent layers of 256; decided at the end.

K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014 (arXiv:1406.1078), the gated recurrent
unit, with the reset gate behind the recurrent product, as torch and cuDNN compute it. 802,570 weights.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.processing.audio import LogMel, fit_length, log_mel, to_float
from edgekit.recipes.data import Split, spoken_digits
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.recipes.training import Training, trained
from edgekit.tensors import Array, Feeds, State, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor, nn

FRAMES = LogMel(window_samples=200, hop_samples=80, fft_size=256, mel_bands=40)  # 25 ms every 10 ms
MEAN, STD = -5.16, 2.53  # of the training clips' log energies
CLIP_SAMPLES, STEPS = 5240, 64  # what is longer, one clip in twenty, loses its ends
LAYERS, HIDDEN = 2, 256
SHIFT_STEPS = 12
GAIN_DB = 12.0
CALIBRATION_CLIPS, STEPS_A_CLIP = 32, 8


def untrained() -> nn.Module:
    """The network with random weights.

    forward: features (steps, batch, 40) and hidden (2, batch, 256), float32 -> scores (batch, 10) after the last step,
        and the hidden state there (2, batch, 256). Exported with one step and a batch of one.
    """
    import torch
    from torch import nn

    class KeywordGru(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(FRAMES.mel_bands, HIDDEN)
            self.gru = nn.GRU(HIDDEN, HIDDEN, LAYERS)
            self.head = nn.Linear(HIDDEN, 10)

        def forward(self, features: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
            heard, hidden_out = self.gru(torch.relu(self.embed(features)), hidden)
            return self.head(heard[-1]), hidden_out

    return KeywordGru()


def build_model() -> nn.Module:
    """The trained network, in eval mode."""
    return trained("gru-kws", untrained())


def frames_of(clips: Iterable[Array]) -> Array:
    """Log-mel frames of clips of any length, fitted to 0.655 s: each (samples,) -> (n, 64, 40) float32."""
    return log_mel(np.stack([fit_length(to_float(clip), CLIP_SAMPLES) for clip in clips]), FRAMES)


def standardised(frames: Array) -> Array:
    """Log-mel frames as the network takes them: near zero, spread near one; any shape, float32."""
    return (frames - np.float32(MEAN)) / np.float32(STD)


def calibration() -> Iterator[Feeds]:
    """256 single steps: 8 of each of 32 training clips, with the hidden state that the float network has there.

    None is of the silence before a clip, where all clips are alike.
    """
    yield from _real_steps()


@lru_cache(maxsize=1)
def _real_steps() -> tuple[Feeds, ...]:
    import torch

    network, rng = build_model(), np.random.default_rng(0)
    clips, _ = spoken_digits().split("train")
    chosen = rng.permutation(len(clips))[:CALIBRATION_CLIPS]
    feeds: list[Feeds] = []
    for features in standardised(frames_of(clips[index] for index in chosen)):
        begins = int(np.argmax(np.ptp(features, axis=1) > 0))  # in silence all bands are at the floor
        steps = set(rng.choice(np.arange(begins, STEPS), STEPS_A_CLIP, replace=False).tolist())
        hidden = torch.zeros(LAYERS, 1, HIDDEN)
        for step in range(STEPS):
            feature = features[None, step : step + 1]
            if step in steps:
                feeds.append({"features": feature, "hidden": hidden.numpy()})
            with torch.inference_mode():
                _, hidden = network(torch.from_numpy(feature), hidden)
    return tuple(feeds)


def evaluation() -> Iterator[Sample]:
    """The official test split: takes 0 to 4, 300 recordings of 64 steps.

    Feeds: features (64, 1, 1, 40) float32. Target: the digit.
    """
    features, labels = _prepared("test")
    for feature, label in zip(features, labels, strict=True):
        yield {"features": feature[:, None, None]}, int(label)


def top1_at_the_end(outputs: Mapping[str, Array], target: Any) -> float:
    """1 if the largest score of the last step is the target's, else 0.

    outputs: "scores" (steps, 1, 10) float. target: the digit.
    """
    return float(outputs["scores"].reshape(-1, 10)[-1].argmax() == target)


def _prepared(split: Split) -> tuple[Array, Array]:
    clips, labels = spoken_digits().split(split)
    return standardised(frames_of(clips)), labels


def _training_frames() -> tuple[Array, Array]:
    clips, labels = spoken_digits().split("train")
    return frames_of(clips), labels


def shift_and_gain(frames: Array, rng: np.random.Generator) -> Array:
    """Network input of a batch: clips moved by up to 0.12 s each way, and made up to 12 dB louder or softer.

    frames: (n, 64, 40) float32 log energies. What moves in is silence, and nothing becomes softer than that.
    """
    silence = np.float32(np.log(FRAMES.log_floor))
    padded = np.pad(frames, ((0, 0), (SHIFT_STEPS, SHIFT_STEPS), (0, 0)), constant_values=silence)
    starts = rng.integers(0, 2 * SHIFT_STEPS + 1, len(frames))
    moved = padded[np.arange(len(frames))[:, None], starts[:, None] + np.arange(STEPS)]
    gain_db = rng.uniform(-GAIN_DB, GAIN_DB, (len(frames), 1, 1)).astype(np.float32)
    return standardised(np.maximum(moved + gain_db * np.float32(np.log(10) / 10), silence))


def _scores(network: nn.Module, inputs: Tensor) -> Tensor:
    """(batch, 64, 40) -> (batch, 10) after the last step, from a hidden state of zeros."""
    scores, _ = network(inputs.transpose(0, 1), inputs.new_zeros(LAYERS, len(inputs), HIDDEN))
    return scores


def loss_at_the_end(network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the last step's scores, in nats. inputs: (batch, 64, 40). labels: (batch,) integers."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(_scores(network, inputs), labels.long())


def accuracy_at_the_end(network: nn.Module, inputs: Array, labels: Array) -> float:
    """Share of clips whose highest score at the last step is their label; leaves the network in eval mode."""
    import torch

    network.eval()
    with torch.inference_mode():
        chosen = _scores(network, torch.from_numpy(inputs)).argmax(1)
    return float((chosen.numpy() == labels).mean())


training = Training(
    build=untrained,
    samples=_training_frames,
    test=lambda: _prepared("test"),
    augment=shift_and_gain,
    epochs=12,
    batch_size=64,
    learning_rate=0.003,
    loss=loss_at_the_end,
    score=accuracy_at_the_end,
    float16=True,
    one_cycle=True,
    weight_decay=0.05,
)

recipe = Recipe(
    name="gru-kws",
    model=build_model,
    inputs={
        "features": TensorSpec("float32", (1, 1, FRAMES.mel_bands)),
        "hidden": TensorSpec("float32", (LAYERS, 1, HIDDEN)),
    },
    outputs=("scores", "hidden_out"),
    calibration=calibration,
    evaluation=evaluation,
    metric=top1_at_the_end,
    budget=Budget(max_drop=0.01),
    state={"hidden": State("hidden_out")},
)
