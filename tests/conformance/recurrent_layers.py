"""Layers that the cases of gru_* and lstm_* run: sizes, directions, strides, values at the edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native import recurrent as packing
from edgekit.backends.native.records import ABSENT, Ref, Space
from edgekit.ops.recurrent import QuantizedWeights
from edgekit.tensors import Array

NUDGE = 2e-4  # of a level: more than the last bits of a hidden state can move it
FILLING = 7.0  # stands between the rows of an output
SIZES = (  # steps, rows, inputs, hidden
    (1, 1, 1, 1),
    (1, 1, 5, 7),
    (1, 3, 7, 17),
    (4, 1, 5, 17),
    (5, 3, 16, 16),
    (20, 3, 9, 33),
    (2, 18, 4, 5),
    (1, 1, 256, 256),
    (3, 1, 66, 256),
)


@dataclass(frozen=True)
class Layer:
    """Weights are float32, or int8 with scales; states: hidden, or hidden and cell. The rest is how it is called."""

    name: str
    x: Array
    states: tuple[Array, ...]
    weights: Array | QuantizedWeights
    recurrent: Array | QuantizedWeights
    bias: Array
    reverse: bool = False
    in_place: bool = True
    with_output: bool = True
    gap: int = 0  # floats between the rows of input and output


def random_layer(shape: tuple[int, int, int, int], *, gates: int, states: int, quantized: bool, seed: int = 0) -> Layer:
    """A layer with values of usual size. shape: steps, rows, inputs, hidden."""
    steps, rows, inputs, hidden = shape
    rng = np.random.default_rng([seed, *shape])

    def weights(count: int) -> Array | QuantizedWeights:
        if not quantized:
            return (rng.uniform(-1, 1, (gates * hidden, count)) * np.sqrt(3 / count)).astype(np.float32)
        levels = rng.integers(-128, 128, (gates * hidden, count)).astype(np.int8)
        return QuantizedWeights(levels, (rng.uniform(0.5, 1.5, gates * hidden) / (75 * np.sqrt(count))).astype("f4"))

    return Layer(
        "x".join(map(str, shape)),
        rng.normal(0, 1, (steps, rows, inputs)).astype(np.float32),
        tuple(rng.uniform(-1, 1, (rows, hidden)).astype(np.float32) for _ in range(states)),
        weights(inputs),
        weights(hidden),
        rng.normal(0, 0.1, 2 * gates * hidden).astype(np.float32),
    )


def layers(*, gates: int, states: int, quantized: bool) -> Iterator[Layer]:
    """Every size in both directions, in place and not, with gaps and without an output; then values at the edges."""
    for number, shape in enumerate(SIZES):
        layer = random_layer(shape, gates=gates, states=states, quantized=quantized)
        yield replace(layer, in_place=number % 2 == 0)
        yield replace(layer, name=f"{layer.name}-reverse", reverse=True, gap=3, in_place=number % 2 == 1)
        if number % 3 == 0:
            yield replace(layer, name=f"{layer.name}-last", with_output=False)
    yield from _edges(random_layer((3, 2, 40, 20), gates=gates, states=states, quantized=quantized))


def _edges(layer: Layer) -> Iterator[Layer]:
    zeros = tuple(np.zeros_like(state) for state in layer.states)
    yield replace(layer, name="zeros", x=np.zeros_like(layer.x), states=zeros)
    yield replace(layer, name="tiny", x=layer.x * np.float32(1e-38), states=zeros)
    yield replace(layer, name="huge", x=layer.x * np.float32(1e30))
    yield replace(layer, name="negative zero", x=np.full_like(layer.x, -0.0))
    nan = layer.x.copy()
    nan[1, 0, 3] = np.nan
    yield replace(layer, name="nan", x=nan)
    poisoned = layer.states[0].copy()
    poisoned[1, 19] = np.nan
    yield replace(layer, name="nan in the state", states=(poisoned, *layer.states[1:]))
    if isinstance(layer.weights, QuantizedWeights):
        yield from _quantized_edges(layer)


def _quantized_edges(layer: Layer) -> Iterator[Layer]:
    infinite = layer.x.copy()
    infinite[1, 0, 3] = -np.inf
    yield replace(layer, name="infinity", x=infinite)
    assert isinstance(layer.weights, QuantizedWeights)
    for weight in (-128, 127):
        levels = np.full_like(layer.weights.levels, weight)
        scale = np.full_like(layer.weights.scale, 0.5 / (128 * layer.x.shape[2]))
        for sign in (-1, 1):
            yield replace(
                layer,
                name=f"largest products {weight} {sign}",
                x=np.full_like(layer.x, 3 * sign),
                weights=QuantizedWeights(levels, scale),
            )
    yield _one_unit_shows(layer)


def _one_unit_shows(layer: Layer) -> Layer:
    """Sums that stay near zero and have so large a scale that one unit more or less is far outside of the tolerance."""
    rng = np.random.default_rng(1)
    x = rng.choice([-127.0, -1, 0, 1, 127], layer.x.shape).astype(np.float32)
    x[..., 0] = 127  # the scale is 1: every value is a level
    assert isinstance(layer.weights, QuantizedWeights)
    levels = rng.integers(-1, 2, layer.weights.levels.shape).astype(np.int8)
    levels[:, 0] = 0
    scale = np.full_like(layer.weights.scale, 1 / 512)
    return replace(layer, name="one unit shows", x=x, weights=QuantizedWeights(levels, scale))


def case_of(op: str, layer: Layer, *, module: ModuleType, attributes: dict[str, int] | None = None) -> Case:
    """The call of `op`, and what the reference of `module` gives. attributes: more of the op's, such as
    linear_before_reset."""
    layer, wanted = _away_from_ties(layer, module, attributes or {})
    memories, params = lay_out(layer, gates=module.GATES, attributes=attributes)
    arrays = {"output": _spread(wanted[0], layer.gap), "hidden_out": wanted[1], "cell_out": wanted[-1]}
    expected = [
        Expected(params[name], array.astype(np.float32), module.TOLERANCE_EPS)
        for name, array in arrays.items()
        if params.get(name, ABSENT) != ABSENT
    ]
    scratch = np.zeros(scratch_bytes(layer, module.GATES), np.uint8)
    expected.append(Expected(params["scratch"], scratch, np.inf))  # anything may stand there
    return Case(layer.name, op, params, memories.buffers(), tuple(expected), inputs=1)


def lay_out(layer: Layer, *, gates: int, attributes: dict[str, int] | None = None) -> tuple[Memories, dict[str, Any]]:
    """The memories of a call, and its parameters."""
    steps, rows, inputs = layer.x.shape
    hidden = layer.states[0].shape[1]
    memories = Memories()
    params: dict[str, Any] = {
        "input": memories.put(_spread(layer.x, layer.gap), Space.IO, offset=4),
        "output": ABSENT,
        **_constants(memories, layer, gates),
        "steps": steps,
        "rows": rows,
        "inputs": inputs,
        "hidden": hidden,
        "reverse": int(layer.reverse),
        **_strides(layer),
        **(attributes or {}),
    }
    if layer.with_output:
        room = _spread(np.full((steps, rows, hidden), FILLING, np.float32), layer.gap)
        params["output"] = memories.put(room, Space.IO + 1, offset=4)
    for name, state in zip(("hidden", "cell"), layer.states, strict=False):
        params[f"{name}_in"] = memories.put(state, Space.STATE, align=4)
        in_place = params[f"{name}_in"]
        params[f"{name}_out"] = in_place if layer.in_place else memories.room(state.nbytes, align=4)
    params["scratch"] = memories.room(scratch_bytes(layer, gates))
    return memories, params


def _strides(layer: Layer) -> dict[str, int]:
    rows, inputs, hidden = *layer.x.shape[1:], layer.states[0].shape[1]
    return {
        "input_stride": 4 * rows * (inputs + layer.gap),
        "input_row_stride": 4 * (inputs + layer.gap),
        "output_stride": 4 * rows * (hidden + layer.gap),
        "output_row_stride": 4 * (hidden + layer.gap),
    }


def _away_from_ties(layer: Layer, module: ModuleType, attributes: dict[str, int]) -> tuple[Layer, tuple[Array, ...]]:
    """The layer with the first biases for which no level of a hidden state is near a tie, and what its reference gives.

    There the last bits of the hidden state would decide on a level, and kernels may differ in them.
    """
    for seed in range(100):
        bias = np.random.default_rng(seed).normal(0, 0.1, layer.bias.shape).astype(np.float32)
        drawn = replace(layer, bias=bias)
        wanted, up, down = (_reference(drawn, module, attributes, nudge) for nudge in (0, NUDGE, -NUDGE))
        if all(_same(wanted, other) for other in (up, down)):
            return drawn, wanted
    raise AssertionError(f"{layer.name}: no biases that keep away from ties")


def _same(some: tuple[Array, ...], others: tuple[Array, ...]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(some, others, strict=True))


def _reference(layer: Layer, module: ModuleType, attributes: dict[str, int], nudge: float) -> tuple[Array, ...]:
    given = {"weights": layer.weights, "recurrent": layer.recurrent, "bias": layer.bias, "reverse": layer.reverse}
    given |= {name: bool(value) for name, value in attributes.items()}
    wanted: tuple[Array, ...] = module.reference(layer.x, *layer.states, **given, nudge=nudge)
    return wanted


def _spread(rows: Array, gap: int) -> Array:
    """`rows` with `gap` values after each."""
    return np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, gap)], constant_values=FILLING)


def _constants(memories: Memories, layer: Layer, gates: int) -> dict[str, Ref]:
    refs = {}
    for name, weights, bias in zip(
        ("weights", "recurrent"), (layer.weights, layer.recurrent), np.split(layer.bias, 2), strict=True
    ):
        if isinstance(weights, QuantizedWeights):
            refs[name] = memories.put(packing.pack_gates_s8(weights.levels, gates=gates), Space.CONSTANTS)
            scale = packing.pack_gate_lanes(weights.scale, gates=gates)
            refs[f"{name}_scale"] = memories.put(scale, Space.CONSTANTS)
        else:
            refs[name] = memories.put(packing.pack_gates_f32(weights, gates=gates), Space.CONSTANTS)
        prefix = "recurrent_" if name == "recurrent" else ""
        refs[f"{prefix}bias"] = memories.put(packing.pack_gate_lanes(bias, gates=gates), Space.CONSTANTS)
    return refs


def scratch_bytes(layer: Layer, gates: int) -> int:
    """Bytes of scratch that a call of `layer` takes."""
    steps, rows, inputs = layer.x.shape
    return packing.scratch_bytes(
        gates=gates,
        quantized=isinstance(layer.weights, QuantizedWeights),
        steps=steps,
        rows=rows,
        inputs=inputs,
        hidden=layer.states[0].shape[1],
    )
