"""The networks of `quantize.py`: some that are only timed, some built to break int8, and one with large activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.processing.image import prepare_images
from edgekit.recipes import load_recipe, resnet8
from edgekit.recipes.data import fashion_mnist
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.tensors import Array, Feeds, TensorSpec

SEED = 20261126
CALIBRATION_SAMPLES, EVALUATION_SAMPLES = 128, 64
COSINE_BUDGET = 0.01
THOUSAND = 1000.0


# ---- Nets that are timed. Their weights are random, which a latency does not notice. ----


def conv(maps_in: int, maps: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    kernel = nn.Conv2d(maps_in, maps, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(kernel, nn.BatchNorm2d(maps))


class InvertedResidual(nn.Module):
    def __init__(self, maps_in: int, maps: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = maps_in * expansion
        widen = [conv(maps_in, hidden, 1), nn.ReLU6()] if expansion > 1 else []
        self.body = nn.Sequential(
            *widen, conv(hidden, hidden, 3, stride, groups=hidden), nn.ReLU6(), conv(hidden, maps, 1)
        )
        self.residual = stride == 1 and maps_in == maps

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    """M. Sandler et al., "MobileNetV2", 2018: its layers at width 1.0, 224 x 224."""

    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(3, 32, 3, 2), nn.ReLU6()]
        maps = 32
        for expansion, wider, repeats, stride in self.STAGES:
            for repeat in range(repeats):
                layers.append(InvertedResidual(maps, wider, stride if repeat == 0 else 1, expansion))
                maps = wider
        self.body = nn.Sequential(
            *layers, conv(maps, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)


class Attention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.output = nn.Linear(hidden, hidden)
        self.heads, self.width = heads, hidden // heads

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        logits = query @ key.transpose(-1, -2) / math.sqrt(self.width)
        mixed = torch.softmax(logits if mask is None else logits + mask, -1) @ value
        return self.output(mixed.transpose(1, 2).reshape(x.shape))

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.width).transpose(1, 2)


class EncoderLayer(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.widen, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.narrow(functional.gelu(self.widen(x))))


class Encoder(nn.Module):
    """Six layers as in MiniLM-L6 (hidden 384, 12 heads), over a vocabulary of 8,192; the mean over the tokens."""

    VOCABULARY, TOKENS, HIDDEN, HEADS, LAYERS = 8192, 128, 384, 12, 6

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(self.VOCABULARY, self.HIDDEN), nn.Embedding(self.TOKENS, self.HIDDEN)
        self.norm = nn.LayerNorm(self.HIDDEN)
        self.layers = nn.ModuleList(EncoderLayer(self.HIDDEN, self.HEADS) for _ in range(self.LAYERS))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.places.weight)
        hidden = (1.0 - mask[:, None, None, :].float()) * -10000.0
        for layer in self.layers:
            x = layer(x, hidden)
        weights = mask[:, :, None].float()
        return (x * weights).sum(1) / weights.sum(1)


class WaveNet(nn.Module):
    """Twenty gated, dilated convolutions of 64 channels over 800 samples."""

    CHANNELS, LAYERS, CYCLE, SAMPLES = 64, 20, 8, 800

    def __init__(self) -> None:
        super().__init__()
        maps = self.CHANNELS
        self.first, self.last = nn.Conv1d(1, maps, 1), nn.Conv1d(maps, 256, 1)
        self.dilations = [2 ** (layer % self.CYCLE) for layer in range(self.LAYERS)]
        self.gates = nn.ModuleList(nn.Conv1d(maps, 2 * maps, 2, dilation=dilation) for dilation in self.dilations)
        self.mixers = nn.ModuleList(nn.Conv1d(maps, 2 * maps, 1) for _ in self.dilations)

    def forward(self, audio: Tensor) -> Tensor:
        x, skipped = self.first(audio), torch.zeros(())
        for dilation, gate, mixer in zip(self.dilations, self.gates, self.mixers, strict=True):
            value, opening = gate(functional.pad(x, (dilation, 0))).chunk(2, 1)
            residual, skip = mixer(torch.tanh(value) * torch.sigmoid(opening)).chunk(2, 1)
            x, skipped = x + residual, skipped + skip
        return self.last(functional.relu(skipped))


class Lstm(nn.Module):
    """Two layers of 128 units over 50 steps, and a class at the end."""

    STEPS, FEATURES, HIDDEN = 50, 64, 128

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(self.FEATURES, self.HIDDEN, 2, batch_first=True)
        self.last = nn.Linear(self.HIDDEN, 12, bias=False)

    def forward(self, steps: Tensor) -> Tensor:
        return self.last(self.cells(steps)[0][:, -1])


def cosine(outputs: Mapping[str, Array], target: Array) -> float:
    """Cosine of the angle between an output and the float network's."""
    (output,) = outputs.values()
    x, y = output.ravel().astype(np.float64), target.ravel().astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def timed(name: str, network: Callable[[], nn.Module], inputs: dict[str, TensorSpec], feeds: Callable[..., Feeds]):
    """A recipe of random weights and random inputs, both the same in every run, judged by `cosine`."""

    @cache
    def built() -> nn.Module:
        torch.manual_seed(SEED)
        net = network()
        _settle(net, feeds)
        return net.eval()

    def samples(count: int, seed: int) -> Iterator[Feeds]:
        draw = np.random.default_rng(seed)
        return (feeds(draw) for _ in range(count))

    @cache
    def evaluation() -> list[Sample]:
        with torch.inference_mode():
            return [
                (sample, built()(*map(torch.from_numpy, sample.values())).numpy())
                for sample in samples(EVALUATION_SAMPLES, SEED + 1)
            ]

    return Recipe(
        name=name,
        model=built,
        inputs=inputs,
        outputs=("y",),
        calibration=lambda: samples(CALIBRATION_SAMPLES, SEED),
        evaluation=evaluation,
        metric=cosine,
        budget=Budget(COSINE_BUDGET),
    )


def _settle(net: nn.Module, feeds: Callable[..., Feeds]) -> None:
    """Give BatchNorm the statistics of a few random batches, or activations would vanish or explode."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        return
    draw = np.random.default_rng(SEED)
    net.train()
    with torch.no_grad():
        for _ in range(8):
            (batch,) = zip(*(feeds(draw).values() for _ in range(4)), strict=True)
            net(torch.from_numpy(np.concatenate(batch)))


def _normal(name: str, *shape: int) -> Callable[[np.random.Generator], Feeds]:
    return lambda draw: {name: draw.standard_normal(shape).astype(np.float32)}


def _sentence(draw: np.random.Generator) -> Feeds:
    """Between a quarter of the tokens and all of them; the rest is masked."""
    tokens = Encoder.TOKENS
    ids = draw.integers(0, Encoder.VOCABULARY, (1, tokens))
    return {"ids": ids, "mask": (np.arange(tokens) < draw.integers(tokens // 4, tokens + 1))[None].astype(np.int64)}


TOKENS = TensorSpec("int64", (1, Encoder.TOKENS))
TIMED: dict[str, Recipe] = {
    "mobilenet-v2": timed(
        "mobilenet-v2",
        MobileNetV2,
        {"image": TensorSpec("float32", (1, 3, 224, 224))},
        _normal("image", 1, 3, 224, 224),
    ),
    "encoder": timed("encoder", Encoder, {"ids": TOKENS, "mask": TOKENS}, _sentence),
    "wavenet": timed(
        "wavenet",
        WaveNet,
        {"audio": TensorSpec("float32", (1, 1, WaveNet.SAMPLES))},
        _normal("audio", 1, 1, WaveNet.SAMPLES),
    ),
    "lstm": timed(
        "lstm",
        Lstm,
        {"steps": TensorSpec("float32", (1, Lstm.STEPS, Lstm.FEATURES))},
        _normal("steps", 1, Lstm.STEPS, Lstm.FEATURES),
    ),
}
TRANSFORMERS = ("encoder", "softmax", "layer-norm")  # nncf wants to be told


# ---- Nets built to break int8. Each computes, in real numbers, what a trained net computes: the labels are real. ----


class VisionLayer(nn.Module):
    """A transformer's layer with the norms first."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.widen, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))


class Vision(nn.Module):
    """A small transformer for Fashion-MNIST: two convolutions make 49 patches; two layers, hidden 128, 4 heads."""

    HIDDEN, HEADS, LAYERS, PATCHES = 128, 4, 2, 49

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Sequential(
            nn.Conv2d(1, 32, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(32, self.HIDDEN, 3, 2, padding=1)
        )
        self.places = nn.Parameter(0.02 * torch.randn(1, self.PATCHES, self.HIDDEN))
        self.layers = nn.Sequential(*(VisionLayer(self.HIDDEN, self.HEADS) for _ in range(self.LAYERS)))
        self.norm, self.last = nn.LayerNorm(self.HIDDEN), nn.Linear(self.HIDDEN, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2) + self.places
        return self.last(self.norm(self.layers(x)).mean(1))


def train_vision(weights: Path, *, images: int = 20_000, epochs: int = 3) -> None:
    """Train `Vision` on a third of the training images, in some minutes, and save it; nothing if that is done."""
    if weights.exists():
        return
    torch.manual_seed(SEED)
    net, draw = Vision(), np.random.default_rng(SEED)
    pixels, labels = (array[:images] for array in fashion_mnist("train"))
    prepared = prepare_images(pixels, resnet8.INPUT)
    batches = images // 128
    adam = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=2e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        for chosen in np.array_split(draw.permutation(images)[: batches * 128], batches):
            loss = functional.cross_entropy(
                net(torch.from_numpy(prepared[chosen])), torch.from_numpy(labels[chosen].astype(np.int64))
            )
            adam.zero_grad()
            loss.backward()
            adam.step()
            rates.step()
        print(f"vision transformer: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
    weights.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), weights)


def one_loud_channel(_weights: Path) -> nn.Module:
    """resnet8, where a channel between two convolutions is a thousand times as large, and is read as much smaller.

    A ReLU lets a positive factor through, so nothing changes in real numbers.
    """
    net = resnet8.build_model()
    first, norm, _, second, _ = net[5].body  # the last residual stack
    with torch.no_grad():
        # The channel that the second convolution hears most.
        channel = int((second.weight.abs().sum((0, 2, 3)) * norm.weight.abs()).argmax())
        norm.weight[channel] *= THOUSAND
        norm.bias[channel] *= THOUSAND
        second.weight[:, channel] /= THOUSAND
    assert first.out_channels == second.in_channels
    return net.eval()


def huge_logits(weights: Path) -> nn.Module:
    """`Vision`, where the first layer's keys have a large common part: logits of tens of thousands.

    A softmax takes no notice of what is added to all of its logits. Qwen2.5's keys have such a bias.
    """
    net = _vision(weights)
    draw = np.random.default_rng(SEED)
    with torch.no_grad():
        net.layers[0].attention.key.bias += torch.from_numpy(
            THOUSAND * draw.standard_normal(Vision.HIDDEN).astype(np.float32)
        )
    return net


def faint_variance(weights: Path) -> nn.Module:
    """`Vision`, where what the last LayerNorm of the first layer reads varies little about a large mean.

    What is added to all of a LayerNorm's inputs alike is taken away with their mean. It comes out of a layer here: each
    row of its weights has a large vector in common with the others.
    """
    net = _vision(weights)
    draw = np.random.default_rng(SEED)
    layer = net.layers[0].attention.output
    common = torch.from_numpy(draw.standard_normal(Vision.HIDDEN).astype(np.float32))
    with torch.no_grad():
        layer.weight += 0.3 * THOUSAND * layer.weight.std() * common
    return net


def _vision(weights: Path) -> Vision:
    net = Vision()
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net.eval()


BROKEN: dict[str, Callable[[Path], nn.Module]] = {
    "channel": one_loud_channel,
    "softmax": huge_logits,
    "layer-norm": faint_variance,
}


def broken(name: str, weights: Path) -> Recipe:
    """resnet8's recipe with another network: real images, their labels, and a budget of one point of top-1."""
    shipped = load_recipe("resnet8")
    return Recipe(
        name=f"broken-{name}",
        model=lambda: BROKEN[name](weights),
        inputs={"image": TensorSpec("float32", (1, 1, 28, 28))},
        outputs=("scores",),
        calibration=shipped.calibration,
        evaluation=shipped.evaluation,
        metric="top1",
        budget=Budget(0.01),
    )


# ---- A net whose activations are large, for the memory that calibration takes. ----


class Wide(nn.Module):
    """Two convolutions of 64 maps, 16 MB an activation at 256 x 256 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 1)
        self.last = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = functional.relu(self.second(functional.relu(self.first(image))))
        return self.last(x.mean((2, 3)))

    @staticmethod
    def built() -> nn.Module:
        torch.manual_seed(SEED)
        return Wide().eval()
