"""What an explanation holds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

# A layer whose own noise is above a tenth of the outputs' amplitude is bad. Layers of the shipped recipes, each
# quantized alone, stand at 36 dB and more; one that a channel a thousand times the others spoils, at -14 dB.
BAD_DB = 20.0


@dataclass(frozen=True)
class LayerFacts:
    """One layer of the float graph, and what became of it.

    output: name of the tensor that it computes.
    precision, kernel: as the runtime executed it; empty where the runtime does not tell.
    time_us, float_time_us: by the runtime's profiler, of it and all that is fused with it, and of the float graph's.
    alone_db: signal to noise of the model's outputs where this layer alone is quantized, in decibels; None where that
        was not looked at.
    so_far_db: signal to noise of this layer's own output in the compressed model, with what all layers before it have
        added; None where the compressed model has no such tensor.
    """

    layer: str
    op: str
    output: str
    precision: str
    kernel: str
    time_us: float | None
    float_time_us: float | None
    alone_db: float | None
    so_far_db: float | None


@dataclass(frozen=True)
class WorstSample:
    """A sample on which the compressed model disagrees with float. index: its position in the data that was looked at.

    expected, got: the answers of float and of the compressed model; the largest score's place, or the first values.
    target: what the recipe says it should be; empty without evaluation data.
    """

    index: int
    sqnr_db: float
    expected: str
    got: str
    target: str


@dataclass(frozen=True)
class Explanation:
    """Of one compressed variant.

    variant: its name. samples: what was looked at, in words.
    first_bad: the first layer, in the graph's order, that spoils the outputs by itself; empty if none does.
    notes: what could not be had, and why.
    """

    subject: str
    variant: str
    samples: str
    layers: tuple[LayerFacts, ...]
    worst: tuple[WorstSample, ...]
    bad_db: float
    first_bad: str
    notes: tuple[str, ...] = ()


def first_bad(layers: tuple[LayerFacts, ...], bad_db: float) -> str:
    """The first layer whose own noise leaves less than `bad_db`; empty if there is none."""
    return next((each.layer for each in layers if each.alone_db is not None and each.alone_db < bad_db), "")


def explanation_to_json(found: Explanation) -> dict[str, Any]:
    """A JSON-ready form; JSON has no infinity: what has no noise at all, or nothing but noise, has null decibels."""

    def finite(fields: dict[str, Any]) -> dict[str, Any]:
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}

    rows = {"layers": [finite(asdict(x)) for x in found.layers], "worst": [finite(asdict(x)) for x in found.worst]}
    return asdict(found) | rows
