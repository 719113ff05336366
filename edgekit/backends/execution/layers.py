"""Executed layers as the runtimes report them: counted, rendered, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edgekit.errors import BackendError

UNKNOWN = "unknown"
KINDS = ("layer", "reorder", "convert", "other")
WEIGHTS = " weights"  # "int4 weights": kept in four bits, whatever they are multiplied in


@dataclass(frozen=True)
class ExecutedLayer:
    """One node of the graph as the runtime executes it.

    name: the nodes of the ONNX graph that it stands for, as far as the runtime still knows, joined with commas; empty
        for one that the runtime put in. OpenVINO calls a node that gives an output of the graph by the output's name.
    op: its type in the runtime's words.
    precision: what it multiplies in, for a layer: "f32", "bf16", "f16" or "int8"; for any other node what its first
        input is in, or as the runtime says it. "unknown" where the runtime does not tell.
    kind: "layer" multiplies in bulk (convolution, matrix product, recurrent layer, attention); "reorder" changes the
        order in memory; "convert" changes the number format; "other" is the rest, from Softmax to Reshape.
    kernel: the runtime's implementation; empty where it does not tell.
    time_us: mean over the timed calls by the runtime's own profiler; None where it does not tell, which for OpenVINO
        is below one microsecond.
    weights: what constant weights are kept in if that is not `precision`: "int4" or "int8"; else empty.
    """

    name: str
    op: str
    precision: str
    kind: str
    kernel: str = ""
    time_us: float | None = None
    weights: str = ""


@dataclass(frozen=True)
class Execution:
    """All that a backend executes for one run of a model, in the order in which it does."""

    backend: str
    layers: tuple[ExecutedLayer, ...]


@dataclass(frozen=True)
class Summary:
    """Counts over an execution.

    layers: number of layers (kind "layer") by precision, the most frequent first; weights in fewer bits are named,
        "f32 (int4 weights)".
    time_share: share of the time of all layers by the same names; empty where no time was told.
    reorders, conversions: number of nodes that compute nothing.
    overhead_share: their share of the time of all nodes; None where no time of theirs was told.
    """

    layers: Mapping[str, int]
    time_share: Mapping[str, float]
    reorders: int
    conversions: int
    overhead_share: float | None


def summary(execution: Execution) -> Summary:
    """Count layers by precision, and what is executed between them."""
    heavy = [layer for layer in execution.layers if layer.kind == "layer"]
    overhead = [layer for layer in execution.layers if layer.kind in ("reorder", "convert")]
    counts = Counter(_label(layer) for layer in heavy)
    times = {label: _time(layer for layer in heavy if _label(layer) == label) for label in counts}
    all_time, layer_time, overhead_time = _time(execution.layers), sum(times.values()), _time(overhead)
    return Summary(
        layers=dict(counts.most_common()),
        time_share={label: time / layer_time for label, time in times.items()} if layer_time else {},
        reorders=sum(layer.kind == "reorder" for layer in overhead),
        conversions=sum(layer.kind == "convert" for layer in overhead),
        overhead_share=overhead_time / all_time if overhead_time else None,
    )


def _label(layer: ExecutedLayer) -> str:
    return f"{layer.precision} ({layer.weights}{WEIGHTS})" if layer.weights else layer.precision


def _time(layers: Iterable[ExecutedLayer]) -> float:
    return sum(layer.time_us or 0.0 for layer in layers)


def fell_back(execution: Execution, wanted: str) -> tuple[ExecutedLayer, ...]:
    """Layers that are known not to have executed as `wanted`; one whose precision is unknown is not among them.

    wanted: a precision such as "int8", or "int4 weights" for what the weights are to be kept in.
    """
    return tuple(
        layer
        for layer in execution.layers
        if layer.kind == "layer" and wanted not in _fulfilled(layer) and _is_known(layer, wanted)
    )


def _fulfilled(layer: ExecutedLayer) -> tuple[str, str]:
    return layer.precision, f"{layer.weights or layer.precision}{WEIGHTS}"


def _is_known(layer: ExecutedLayer, wanted: str) -> bool:
    return layer.precision != UNKNOWN or (wanted.endswith(WEIGHTS) and bool(layer.weights))


def describe(execution: Execution) -> str:
    """One line for a table: "9 of 10 int8, 1 f32; 4 reorders, 3 conversions (12 % of the profiled time)"."""
    found = summary(execution)
    total = sum(found.layers.values())
    counts = [f"{count} {label}" for label, count in found.layers.items()]
    layers = ", ".join(counts).replace(" ", f" of {total} ", 1) or "no layers"
    overhead = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((found.reorders, "reorder"), (found.conversions, "conversion"))
        if count
    ]
    share = "" if found.overhead_share is None else f" ({100 * found.overhead_share:.0f} % of the profiled time)"
    return "; ".join(filter(None, (layers, ", ".join(overhead) + share)))


def execution_to_json(execution: Execution) -> dict[str, Any]:
    """A JSON-ready form that `execution_from_json` reads back."""
    return {"backend": execution.backend, "layers": [asdict(layer) for layer in execution.layers]}


def execution_from_json(data: Mapping[str, Any]) -> Execution:
    """The inverse of `execution_to_json`.

    Raises:
        BackendError: a key is missing or unknown, or a kind is not one of `KINDS`.
    """
    try:
        layers = tuple(ExecutedLayer(**layer) for layer in data["layers"])
        execution = Execution(data["backend"], layers)
    except (KeyError, TypeError) as error:
        keys = ", ".join(field.name for field in fields(ExecutedLayer))
        raise BackendError(f"not an execution: {error}; expected backend and layers, each with {keys}") from error
    if wrong := [layer.kind for layer in layers if layer.kind not in KINDS]:
        raise BackendError(f"not an execution: unknown kind {wrong[0]!r}; expected one of {', '.join(KINDS)}")
    return execution
