"""wavenet_i8, wavenet_f32, wavenet_bf16: an autoregressive WaveNet; kernels/wavenet/wavenet.h has the formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from edgekit.ops.exact import fma
from edgekit.ops.rounding import requantize
from edgekit.tensors import Array

TOLERANCE_EPS = {"i8": 0.0, "f32": 64.0, "bf16": 64.0}  # of logits and of what enters a layer; floor 1
DOMAIN = "finite; |x| < 1e38; codes beyond the embedding are clamped"

Step = Callable[[int, Array], tuple[Array, Array]]  # code, past (layers, C) -> logits (classes,), push (layers, C)


@dataclass(frozen=True)
class WavenetWeights:
    """float32. L layers, C channels, H hidden.

    embedding: (levels, C). gates: (L, 2C, 2C), as torch's Linear of [past; x], tanh's outputs first; gate_bias (L, 2C).
    mixes: (L, 2C, C), outputs added to x first, then those of skip; mix_bias (L, 2C).
    hidden: (H, C), hidden_bias (H,). logits: (classes, H), logits_bias (classes,). dilations: L of them.
    """

    embedding: Array
    gates: Array
    gate_bias: Array
    mixes: Array
    mix_bias: Array
    hidden: Array
    hidden_bias: Array
    logits: Array
    logits_bias: Array
    dilations: tuple[int, ...]


@dataclass(frozen=True)
class QuantizedWavenet(WavenetWeights):
    """Weights that are int8, each with the scale of its output; mix_bias is int32, in units of mix_scale.

    gate_scale: (L, 2C) float32. mix_scale: (L, 2C), that of z (1 / 127) in it. hidden_scale, logits_scale likewise.
    """

    gate_scale: Array
    mix_scale: Array
    hidden_scale: Array
    logits_scale: Array


def quantized(weights: WavenetWeights) -> QuantizedWavenet:
    """Weights rounded to 255 levels for each output."""
    gates, gate_scale = _levels(weights.gates)
    mixes, scale = _levels(weights.mixes, least=127 * np.abs(weights.mix_bias) / 2**22)  # so that the bias fits int32
    mix_scale = (scale / np.float32(127)).astype(np.float32)
    hidden, hidden_scale = _levels(weights.hidden)
    logits, logits_scale = _levels(weights.logits)
    return QuantizedWavenet(
        embedding=weights.embedding.astype(np.float32),
        gates=gates,
        gate_bias=weights.gate_bias.astype(np.float32),
        mixes=mixes,
        mix_bias=np.rint(weights.mix_bias / mix_scale).astype(np.int32),
        hidden=hidden,
        hidden_bias=weights.hidden_bias.astype(np.float32),
        logits=logits,
        logits_bias=weights.logits_bias.astype(np.float32),
        dilations=weights.dilations,
        gate_scale=gate_scale,
        mix_scale=mix_scale,
        hidden_scale=hidden_scale,
        logits_scale=logits_scale,
    )


def as_bf16(weights: WavenetWeights) -> WavenetWeights:
    """Weights of products rounded to bfloat16 (nearest, ties to even), in float32; the rest as it is."""
    products = ("gates", "mixes", "hidden", "logits")
    rounded: dict[str, Any] = {name: bf16_bits_as_float(bf16_bits(getattr(weights, name))) for name in products}
    return replace(weights, **rounded)


def bf16_bits(values: Array) -> Array:
    """uint16: finite float32 values rounded to bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded: Array = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return rounded.astype(np.uint16)


def bf16_bits_as_float(bits: Array) -> Array:
    """float32 values of bfloat16 bits."""
    widened: Array = bits.astype(np.uint32) << np.uint32(16)
    return widened.view(np.float32)


def reference(weights: WavenetWeights) -> Step:
    """One step in float64."""
    w = {item.name: np.asarray(getattr(weights, item.name), np.float64) for item in fields(weights)}
    channels = weights.embedding.shape[1]

    def step(code: int, past: Array) -> tuple[Array, Array]:
        x, skip, push = w["embedding"][code], np.zeros(channels), []
        for layer in range(len(weights.dilations)):
            push.append(x)
            gate = w["gates"][layer] @ np.concatenate([past[layer], x]) + w["gate_bias"][layer]
            z = np.tanh(gate[:channels]) / (1 + np.exp(-np.maximum(gate[channels:], -700)))
            mix = w["mixes"][layer] @ z + w["mix_bias"][layer]
            x, skip = x + mix[:channels], skip + mix[channels:]
        hidden = w["hidden"] @ np.maximum(skip, 0) + w["hidden_bias"]
        return w["logits"] @ np.maximum(hidden, 0) + w["logits_bias"], np.stack(push)

    return step


def reference_i8(net: QuantizedWavenet) -> Step:
    """One step with the roundings of wavenet_i8: float32, bit for bit."""
    channels = net.embedding.shape[1]
    zeros = np.zeros(channels, np.float32)

    def step(code: int, past: Array) -> tuple[Array, Array]:
        x, skip, push, past = net.embedding[code], zeros, [], past.astype(np.float32)
        for layer in range(len(net.dilations)):
            push.append(x)
            before, before_scale = activation_levels(past[layer])
            levels, scale = activation_levels(x)
            both = fma(
                _dot(net.gates[layer, :, channels:], levels),
                float(scale),
                _dot(net.gates[layer, :, :channels], before) * before_scale,
            )
            value = fma(both, net.gate_scale[layer], net.gate_bias[layer])
            z = np.rint(gate(value[:channels], value[channels:]) * np.float32(127))
            sums = _dot(net.mixes[layer], z, net.mix_bias[layer])
            x = fma(sums[:channels], net.mix_scale[layer, :channels], x)
            skip = fma(sums[channels:], net.mix_scale[layer, channels:], skip)
        hidden = _dense(skip, net.hidden, net.hidden_scale, net.hidden_bias)
        return _dense(hidden, net.logits, net.logits_scale, net.logits_bias), np.stack(push)

    return step


def activation_levels(x: Array) -> tuple[Array, np.float32]:
    """int8 levels of a float32 vector, and their scale: max|x| / 127."""
    most = np.maximum(np.abs(x).max(), np.float32(1e-30))
    return np.rint(x * (np.float32(127) / most)).astype(np.int8), most / np.float32(127)


def run(step: Step, dilations: tuple[int, ...], *, channels: int) -> Callable[[int], tuple[Array, Array]]:
    """`step` with its delay lines: call it with one code after another; the past is zero before the first."""
    rings = [np.zeros((dilation, channels)) for dilation in dilations]
    count = 0

    def advance(code: int) -> tuple[Array, Array]:
        nonlocal count
        logits, push = step(code, np.stack([ring[count % len(ring)] for ring in rings]))
        for ring, entered in zip(rings, push, strict=True):
            ring[count % len(ring)] = entered
        count += 1
        return logits, push

    return advance


def generate(
    advance: Callable[[int], tuple[Array, Array]],
    codes: list[int],
    steps: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[tuple[Array, Array, int]]:
    """Logits, push and drawn code of each of `steps` steps: `codes` are taken first, then what was drawn last."""
    drawn = 0
    for count in range(steps):
        logits, push = advance(codes[count] if count < len(codes) else drawn)
        drawn = sample(logits, temperature=temperature, seed=seed, step=count)
        yield logits, push, drawn


def gate(a: Array, b: Array) -> Array:
    """tanh(a) * sigmoid(b) of float32 values, as kernels/wavenet/gate.h computes it: bit for bit."""
    one = np.float32(1)
    e = _exp2(np.clip(a, -10, 10).astype(np.float32) * np.float32(-2.88539008))
    f = _exp2(np.clip(b, -40, 40).astype(np.float32) * np.float32(-1.44269504))
    product: Array = (one - e) / ((one + e) * (one + f))
    return product


def sample(logits: Array, *, temperature: float, seed: int, step: int) -> int:
    """The code that is drawn from logits, as kernels/wavenet/sample.h draws it."""
    logits = logits.astype(np.float32)
    if not temperature > 1e-6:
        return int(logits.argmax())
    factor = np.float32(1.44269504) / np.float32(temperature)
    t = np.maximum((logits - logits.max()) * factor, np.float32(-30))
    whole = np.rint(t)
    f, p = t - whole, np.float32(_EXP2[0])
    for coefficient in (*_EXP2[1:], 1.0):
        p = p * f + np.float32(coefficient)
    scaled = np.ldexp(p, whole.astype(np.int32)) * np.float32(2**21)
    sums = np.floor(scaled + np.float32(0.5)).astype(np.int64).cumsum()
    wanted = random_bits(seed, step) * int(sums[-1]) >> 32
    return int(np.searchsorted(sums, wanted, side="right"))


def random_bits(seed: int, step: int) -> int:
    """32 bits that are a function of the seed and of the steps so far (SplitMix64's finalizer, twice)."""
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    return _mixed(_mixed((seed + golden) & mask) + (step + 1) * golden & mask) >> 32


def _mixed(bits: int) -> int:
    mask = 2**64 - 1
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & mask
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & mask
    return bits ^ bits >> 31


_EXP2 = (0.00132647273, 0.00967151299, 0.0555073358, 0.240222424, 0.693147004)


def _exp2(t: Array) -> Array:
    whole = np.rint(t)
    f, p = t - whole, np.full_like(t, _EXP2[0])
    for coefficient in (*_EXP2[1:], 1.0):
        p = fma(p, f, float(np.float32(coefficient)))
    power: Array = np.ldexp(p, whole.astype(np.int32))
    return power


def _levels(weights: Array, *, least: Array | float = 0.0) -> tuple[Array, Array]:
    """int8 levels and their float32 scale for each output: the last axis is summed over."""
    scale = np.maximum(np.maximum(np.abs(weights).max(axis=-1) / 127, least), 1e-30).astype(np.float32)
    return np.clip(np.rint(weights / scale[..., None]), -127, 127).astype(np.int8), scale


def _dot(weights: Array, levels: Array, bias: Array | int = 0) -> Array:
    """The int32 sums as float32."""
    sums: Array = weights.astype(np.int64) @ levels.astype(np.int64) + bias
    return sums.astype(np.float32)


def _dense(x: Array, weights: Array, scale: Array, bias: Array) -> Array:
    """relu(x), quantized to 256 levels, through a dense layer."""
    positive = np.maximum(x, np.float32(0))
    most = np.maximum(positive.max(), np.float32(1e-30))
    levels = requantize(positive * (np.float32(255) / most), zero_point=0)
    return fma(_dot(weights, levels) * (most / np.float32(255)), scale, bias)
