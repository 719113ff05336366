"""The tiny and streaming networks of `native.py`, with random weights: the architectures that LiteRT is good at.

Each has one form that edgekit is given, and may have others of the same inputs and outputs: what an exporter would
also write, in which another runtime may be faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from quantize_models import SEED, MobileNetV2, conv
from torch import Tensor, nn
from torch.nn import functional

from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, Feeds, State, TensorSpec

CALIBRATION_SAMPLES = 32
SETTLING_BATCH = 32
HIDDEN, LAYERS = 256, 2


def conv_relu(maps_in: int, maps: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv(maps_in, maps, size, stride, groups), nn.ReLU())


class Autoencoder(nn.Module):
    """MLPerf Tiny's anomaly detection: 640-128x4-8-128x4-640."""

    SIZES = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip(self.SIZES, self.SIZES[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, frame: Tensor) -> Tensor:
        return self.body(frame)


class DsCnn(nn.Module):
    """MLPerf Tiny's keyword spotting: 64 maps, four depthwise-separable blocks, 12 classes."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2d(1, 64, (10, 4), 2, (4, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU())
        blocks = [nn.Sequential(conv_relu(64, 64, 3, groups=64), conv_relu(64, 64, 1)) for _ in range(4)]
        self.body = nn.Sequential(first, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))

    def forward(self, features: Tensor) -> Tensor:
        return functional.softmax(self.body(features), -1)


class Residual(nn.Module):
    def __init__(self, maps_in: int, maps: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = conv_relu(maps_in, maps, 3, stride), conv(maps, maps)
        self.shortcut = nn.Conv2d(maps_in, maps, 1, stride) if stride != 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet8(nn.Module):
    """MLPerf Tiny's image classification, 32 x 32."""

    def __init__(self) -> None:
        super().__init__()
        stacks = [Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2)]
        self.body = nn.Sequential(conv_relu(3, 16), *stacks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, image: Tensor) -> Tensor:
        return functional.softmax(self.body(image), -1)


class WakeWords(nn.Module):
    """MLPerf Tiny's visual wake words: MobileNetV1 at a quarter of its width, 96 x 96, two classes."""

    BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_relu(3, 8, 3, 2)]
        maps = 8
        for wider, stride in self.BLOCKS:
            layers += [conv_relu(maps, maps, 3, stride, groups=maps), conv_relu(maps, wider, 1)]
            maps = wider
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps, 2))

    def forward(self, image: Tensor) -> Tensor:
        return functional.softmax(self.body(image), -1)


class GruStep(nn.Module):
    """A step of two layers of 256 units."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(HIDDEN, HIDDEN, LAYERS)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self.layers(x, hidden)


class GruCells(GruStep):
    """The same, written as matrix products."""

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        x, states = x[0], []
        for layer in range(LAYERS):
            inner, before = _gates(self.layers, layer, x, hidden[layer])
            (reset, update, new), (h_reset, h_update, h_new) = inner.chunk(3, 1), before.chunk(3, 1)
            keep = torch.sigmoid(update + h_update)
            new = torch.tanh(new + torch.sigmoid(reset + h_reset) * h_new)
            x = new + keep * (hidden[layer] - new)
            states.append(x)
        return x[None], torch.stack(states)


class LstmStep(nn.Module):
    """A step of two layers of 256 units."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LSTM(HIDDEN, HIDDEN, LAYERS)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (hidden_out, cell_out) = self.layers(x, (hidden, cell))
        return y, hidden_out, cell_out


class LstmCells(LstmStep):
    """The same, written as matrix products."""

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, hiddens, cells = x[0], [], []
        for layer in range(LAYERS):
            inner, before = _gates(self.layers, layer, x, hidden[layer])
            opening, forgetting, new, showing = (inner + before).chunk(4, 1)
            kept = torch.sigmoid(forgetting) * cell[layer] + torch.sigmoid(opening) * torch.tanh(new)
            x = torch.sigmoid(showing) * torch.tanh(kept)
            hiddens.append(x)
            cells.append(kept)
        return x[None], torch.stack(hiddens), torch.stack(cells)


def _gates(layers: nn.RNNBase, layer: int, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    named = dict(layers.named_parameters())
    weights, recurrent = named[f"weight_ih_l{layer}"], named[f"weight_hh_l{layer}"]
    return (
        functional.linear(x, weights, named[f"bias_ih_l{layer}"]),
        functional.linear(hidden, recurrent, named[f"bias_hh_l{layer}"]),
    )


class WaveNetStep(nn.Module):
    """One sample through 30 gated layers of 64 channels; the caller keeps the past of each layer."""

    LEVELS, MAPS, DILATIONS = 256, 64, tuple(2**power for power in range(10)) * 3

    def __init__(self) -> None:
        super().__init__()
        maps = self.MAPS
        self.embedding = nn.Embedding(self.LEVELS, maps)
        self.gates = nn.ModuleList(nn.Linear(2 * maps, 2 * maps) for _ in self.DILATIONS)
        self.mixes = nn.ModuleList(nn.Linear(maps, 2 * maps) for _ in self.DILATIONS)
        self.hidden, self.logits = nn.Linear(maps, self.LEVELS), nn.Linear(self.LEVELS, self.LEVELS)

    def forward(self, sample: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        x, entered, skips = self.embedding(sample), [], []
        for layer, (gate, mix) in enumerate(zip(self.gates, self.mixes, strict=True)):
            entered.append(x)
            value, opening = gate(torch.cat([past[layer], x], -1)).chunk(2, -1)
            residual, skip = mix(torch.tanh(value) * torch.sigmoid(opening)).chunk(2, -1)
            skips.append(skip)
            x = x + residual
        total = sum(skips[1:], skips[0])
        return self.logits(functional.relu(self.hidden(functional.relu(total)))), torch.stack(entered)


# ---- Recipes: module attributes, so that a torch arm can name them ----


def _recipe(
    name: str,
    network: Callable[[], nn.Module],
    inputs: Mapping[str, TensorSpec],
    *,
    outputs: tuple[str, ...] = ("y",),
    state: Mapping[str, State] | None = None,
) -> Recipe:
    """A recipe of random weights and random inputs, both the same in every run."""

    @cache
    def built() -> nn.Module:
        torch.manual_seed(SEED)
        return _settled(network(), inputs).eval()

    def samples() -> Iterator[Feeds]:
        rng = np.random.default_rng(SEED)
        return (_feeds(inputs, rng) for _ in range(CALIBRATION_SAMPLES))

    return Recipe(name=name, model=built, inputs=inputs, outputs=outputs, calibration=samples, state=state or {})


def _feeds(inputs: Mapping[str, TensorSpec], rng: np.random.Generator) -> dict[str, Array]:
    drawn: dict[str, Array] = {}
    for name, spec in inputs.items():
        shape = spec.shape_at({})
        if spec.dtype == "int64":
            drawn[name] = rng.integers(0, WaveNetStep.LEVELS, shape)
        else:
            drawn[name] = rng.standard_normal(shape).astype(np.float32)
    return drawn


def _settled(net: nn.Module, inputs: Mapping[str, TensorSpec]) -> nn.Module:
    """`net` with BatchNorm's statistics from a random batch, or activations would vanish or explode."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return net
    (spec,) = inputs.values()
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(SETTLING_BATCH, *spec.shape_at({})[1:]))
    return net


def _floats(*shape: int) -> TensorSpec:
    return TensorSpec("float32", shape)


_hidden = {"hidden": _floats(LAYERS, 1, HIDDEN)}
_gru: dict[str, Any] = {
    "inputs": {"x": _floats(1, 1, HIDDEN), **_hidden},
    "outputs": ("y", "hidden_out"),
    "state": {"hidden": State("hidden_out")},
}
_lstm: dict[str, Any] = {
    "inputs": {**_gru["inputs"], "cell": _floats(LAYERS, 1, HIDDEN)},
    "outputs": (*_gru["outputs"], "cell_out"),
    "state": {**_gru["state"], "cell": State("cell_out")},
}
_layers = len(WaveNetStep.DILATIONS)

autoencoder = _recipe("autoencoder", Autoencoder, {"frame": _floats(1, 640)})
ds_cnn = _recipe("ds-cnn", DsCnn, {"features": _floats(1, 1, 49, 10)})
resnet8 = _recipe("resnet8", ResNet8, {"image": _floats(1, 3, 32, 32)})
vww = _recipe("vww", WakeWords, {"image": _floats(1, 3, 96, 96)})
mobilenet_v2 = _recipe("mobilenet-v2", MobileNetV2, {"image": _floats(1, 3, 224, 224)})
gru = _recipe("gru", GruStep, **_gru)
gru_cells = _recipe("gru-cells", GruCells, **_gru)
lstm = _recipe("lstm", LstmStep, **_lstm)
lstm_cells = _recipe("lstm-cells", LstmCells, **_lstm)
wavenet = _recipe(
    "wavenet",
    WaveNetStep,
    {"sample": TensorSpec("int64", (1,)), "past": _floats(_layers, 1, WaveNetStep.MAPS)},
    outputs=("logits", "entered"),
    state={"past": State("entered", WaveNetStep.DILATIONS)},
)

NETS: dict[str, tuple[Recipe, ...]] = {
    forms[0].name: forms
    for forms in (
        (autoencoder,),
        (ds_cnn,),
        (resnet8,),
        (vww,),
        (mobilenet_v2,),
        (gru, gru_cells),
        (lstm, lstm_cells),
        (wavenet,),
    )
}
"""The form that edgekit is given, then others, by name."""


def reference_of(recipe: Recipe) -> str:
    """How a worker process names `recipe`."""
    return f"{__file__}:{recipe.name.replace('-', '_')}"
