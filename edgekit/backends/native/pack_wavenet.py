"""Weights of a WaveNet in the layout that kernels/wavenet reads: see kernels/wavenet/weights.h."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgekit.backends.native.packing import BLOCK_OUTPUTS, pack_weights, round_up
from edgekit.errors import BackendError
from edgekit.ops.wavenet import QuantizedWavenet, WavenetWeights, bf16_bits, quantized
from edgekit.tensors import Array

PAIR_OUTPUTS = 32
STATE_HEADER = 64
MAX_LAYERS, MAX_CHANNELS, MAX_HIDDEN, MAX_CLASSES = 64, 256, 1024, 1024
OPS = {"i8": "wavenet_i8", "f32": "wavenet_f32", "bf16": "wavenet_bf16"}


@dataclass(frozen=True)
class PackedWavenet:
    """Constants of a WaveNet op, and the fields of its record that follow from the weights.

    embedding, dilations, layers, head: to be put in the constants, each aligned to 64 bytes; their refs have the same
    names. layers, head: uint8. state_bytes: what `state` takes of the state memory.
    """

    op: str
    embedding: Array
    dilations: Array
    layers: Array
    head: Array
    fields: Mapping[str, int]
    state_bytes: int


def pack_wavenet(weights: WavenetWeights, *, kind: str) -> PackedWavenet:
    """Constants for wavenet_<kind>: "i8", "f32" or "bf16". Hidden outputs are filled up to a multiple of 32.

    Raises:
        BackendError: shapes that disagree, or that no kernel takes.
    """
    if kind not in OPS:
        raise BackendError(f"a WaveNet of {kind!r}; expected one of {sorted(OPS)}")
    _check(weights)
    padded = _padded(weights)
    channels, slots = weights.embedding.shape[1], sum(weights.dilations)
    layers, head = _parts_i8(quantized(padded)) if kind == "i8" else _parts_float(padded, kind)
    return PackedWavenet(
        op=OPS[kind],
        embedding=np.ascontiguousarray(weights.embedding, np.float32),
        dilations=np.array(weights.dilations, np.int32),
        layers=_joined(layers),
        head=_joined(head),
        fields={
            "layer_count": len(weights.dilations),
            "channels": channels,
            "levels": len(weights.embedding),
            "hidden": len(padded.hidden),
            "classes": len(weights.logits),
        },
        state_bytes=STATE_HEADER + slots * (channels + 4 if kind == "i8" else 4 * channels),
    )


def _check(weights: WavenetWeights) -> None:
    layers, channels = len(weights.dilations), weights.embedding.shape[1]
    hidden, classes = len(weights.hidden), len(weights.logits)
    expected = {
        "gates": (layers, 2 * channels, 2 * channels),
        "gate_bias": (layers, 2 * channels),
        "mixes": (layers, 2 * channels, channels),
        "mix_bias": (layers, 2 * channels),
        "hidden": (hidden, channels),
        "hidden_bias": (hidden,),
        "logits": (classes, hidden),
        "logits_bias": (classes,),
    }
    for name, shape in expected.items():
        if getattr(weights, name).shape != shape:
            raise BackendError(f"WaveNet: {name} has shape {getattr(weights, name).shape}; expected {shape}")
    if channels % 16 or channels > MAX_CHANNELS:
        raise BackendError(f"WaveNet: {channels} channels; the kernels take multiples of 16 up to {MAX_CHANNELS}")
    if not (1 <= layers <= MAX_LAYERS and hidden <= MAX_HIDDEN and classes <= MAX_CLASSES):
        raise BackendError(
            f"WaveNet: {layers} layers, {hidden} hidden, {classes} classes; at most {MAX_LAYERS}, {MAX_HIDDEN}, "
            f"{MAX_CLASSES}"
        )


def _padded(weights: WavenetWeights) -> WavenetWeights:
    """Hidden outputs and classes filled up with zeros; relu of a zero adds nothing."""
    hidden = round_up(len(weights.hidden), PAIR_OUTPUTS) - len(weights.hidden)
    classes = round_up(len(weights.logits), PAIR_OUTPUTS) - len(weights.logits)
    return replace(
        weights,
        hidden=np.pad(weights.hidden, ((0, hidden), (0, 0))),
        hidden_bias=np.pad(weights.hidden_bias, (0, hidden)),
        logits=np.pad(weights.logits, ((0, classes), (0, hidden))),
        logits_bias=np.pad(weights.logits_bias, (0, classes)),
    )


def _parts_i8(net: QuantizedWavenet) -> tuple[list[Array], list[Array]]:
    channels = net.embedding.shape[1]
    order = _gate_order(channels)
    layers: list[Array] = []
    for index in range(len(net.dilations)):
        gate, mix = net.gates[index][order], net.mixes[index]
        past, x = gate[:, :channels], gate[:, channels:]
        layers += [_offset(past), pack_weights(past), _offset(x), pack_weights(x)]
        layers += [net.gate_scale[index][order], net.gate_bias[index][order]]
        layers += [_offset(mix) + net.mix_bias[index], net.mix_scale[index], pack_weights(mix)]
    head = [net.hidden_scale, net.hidden_bias, pack_weights(net.hidden)]
    return layers, [*head, net.logits_scale, net.logits_bias, pack_weights(net.logits)]


def _parts_float(weights: WavenetWeights, kind: str) -> tuple[list[Array], list[Array]]:
    channels = weights.embedding.shape[1]
    order = _gate_order(channels)
    layers: list[Array] = []
    for index in range(len(weights.dilations)):
        gate = weights.gates[index][order]
        layers += [weights.gate_bias[index][order].astype(np.float32)]
        layers += [_pack_float(gate[:, :channels], kind), _pack_float(gate[:, channels:], kind)]
        layers += [weights.mix_bias[index].astype(np.float32), _pack_float(weights.mixes[index], kind)]
    head = [weights.hidden_bias.astype(np.float32), _pack_float(weights.hidden, kind)]
    return layers, [*head, weights.logits_bias.astype(np.float32), _pack_float(weights.logits, kind)]


def _gate_order(channels: int) -> Array:
    """16 outputs of tanh, then the 16 of sigmoid for the same channels, and so on."""
    tanh = np.arange(channels).reshape(-1, 16)
    return np.stack([tanh, tanh + channels], axis=1).ravel()


def _offset(weights: Array) -> Array:
    """What takes back the 128 that are added to every level: int32 (outputs,)."""
    sums: Array = -128 * weights.astype(np.int32).sum(axis=1, dtype=np.int32)
    return sums


def _pack_float(weights: Array, kind: str) -> Array:
    """(outputs, inputs) in blocks of 64 outputs, each [inputs][outputs]; bf16: 32 outputs as 0, 16, 1, 17, ..."""
    blocks = [weights[first : first + BLOCK_OUTPUTS].T for first in range(0, len(weights), BLOCK_OUTPUTS)]
    if kind == "f32":
        return np.concatenate([block.astype(np.float32).ravel() for block in blocks])
    return np.concatenate(
        [bf16_bits(block).reshape(len(block), -1, 2, 16).transpose(0, 1, 3, 2).ravel() for block in blocks]
    )


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([np.ascontiguousarray(part).view(np.uint8).ravel() for part in parts])
