"""What is explained, wherever it comes from: a compressed variant that runs here, beside its float graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.building.variants import Variant
from edgekit.explaining.disagreeing import Judged
from edgekit.explaining.facts import BAD_DB
from edgekit.tensors import Feeds, TensorSpec


@dataclass(frozen=True)
class Look:
    """What is asked for.

    bad_db: a layer is bad if the outputs keep less than this, in decibels, where it alone is compressed.
    extract: a folder for one layer as ONNX of its own, see `edgekit.explaining.reproduce`; None for none.
    layer: the name of that one; the first bad layer if empty.
    """

    bad_db: float = BAD_DB
    extract: Path | None = None
    layer: str = ""


PLAIN_LOOK = Look()


@dataclass(frozen=True)
class Signal:
    """Inputs that noise is measured on, by their position in the data that they are from. kind: what data that is."""

    kind: str
    samples: Mapping[int, Feeds]

    def thinned(self, count: int) -> Signal:
        """At most `count` of them, evenly spaced."""
        positions = list(self.samples)[:: -(-len(self.samples) // count)]
        return Signal(self.kind, {position: self.samples[position] for position in positions})


@dataclass(frozen=True)
class Subject:
    """A variant, what runs for it, and what to run it on.

    floats: the float ONNX file. compressed: the ONNX file that `files`, which run, were compiled from; None where there
        is none, and then `alone_db` has the noise of single layers as far as it is known.
    """

    name: str
    variant: Variant
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    threads: int
    floats: Path
    files: Mapping[str, Path]
    compressed: Path | None
    signal: Signal
    judged: Judged
    alone_db: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
