"""What an explanation holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# A layer is bad whose own noise is above a tenth of the outputs' amplitude. Quantized alone, layers of the shipped
# recipes stand at 36 dB and more; the one that is spoilt by a channel a thousand times the others, by a softmax of huge
# logits, or by a LayerNorm of tiny variance, at 3, 4 and 8 dB: docs/quantizing.md.
BAD_DB = 20.0


@dataclass(frozen=True)
class LayerFacts:
    """One layer of the float graph, or what else was compressed, and what became of it.

    output: name of the tensor with its result; an activation that the quantizer took into the layer is part of it.
    compressed: whether any of it is, by the graph that was compiled; None where there is no ONNX form of that.
    precision, kernel: as the runtime executed it; empty where the runtime does not tell.
    time_us, float_time_us: by the runtime's profiler, of it and all that is fused with it, and of the float graph's.
    alone_db: signal to noise of the model's outputs where this layer alone is compressed, as it is in this variant, in
        decibels; None where nothing of it is, or that could not be looked at.
    so_far_db: signal to noise of `output` in the compressed model, with what all layers before it have added; None
        where the compressed model has no such tensor.
    """

    layer: str
    op: str
    output: str
    compressed: bool | None
    precision: str
    kernel: str
    time_us: float | None
    float_time_us: float | None
    alone_db: float | None
    so_far_db: float | None


@dataclass(frozen=True)
class WorstSample:
    """A sample on which the compressed model disagrees with float. index: its position in the data that it is from.

    expected, got: the answers of float and of the compressed model; the largest score's place, or the first values.
    target: what the recipe says it should be; empty without evaluation data.
    float_score, score: what the recipe's metric gives the two answers; None without evaluation data.
    """

    index: int
    sqnr_db: float
    expected: str
    got: str
    target: str = ""
    float_score: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Reproduction:
    """One layer as ONNX of its own, in `folder`.

    index: the sample that its inputs are from.
    outputs_db: what `reproduce.py` prints for the compressed layer: signal to noise by tensor, that of the layer first,
        and then, where it is another one, the tensor at which the noise begins to show.
    """

    layer: str
    folder: Path
    index: int
    outputs_db: Mapping[str, float]


@dataclass(frozen=True)
class Explanation:
    """Of one compressed variant.

    variant: its name. samples: what was looked at, in words.
    executed, float_executed: counts of the layers that the runtime executes, in words; empty where it does not tell.
    worst: the samples with the most noise. lost: those that lose most of the metric; lost_count: how many lose any.
    first_bad: the first layer, in the graph's order, that spoils the outputs by itself; empty if none does.
    notes: what could not be had, and why.
    """

    subject: str
    variant: str
    samples: str
    executed: str
    float_executed: str
    layers: tuple[LayerFacts, ...]
    worst: tuple[WorstSample, ...]
    lost: tuple[WorstSample, ...]
    lost_count: int
    bad_db: float
    first_bad: str
    reproduction: Reproduction | None = None
    notes: tuple[str, ...] = ()


def first_bad(layers: Sequence[LayerFacts], bad_db: float) -> str:
    """The first layer whose own noise leaves less than `bad_db`; empty if there is none."""
    return next((each.layer for each in layers if each.alone_db is not None and each.alone_db < bad_db), "")


def explanation_to_json(found: Explanation) -> dict[str, Any]:
    """A JSON-ready form. JSON has no infinity: no noise at all is "inf", an output that is not finite "-inf"."""
    plain: dict[str, Any] = _plain(asdict(found))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
