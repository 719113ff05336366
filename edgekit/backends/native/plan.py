"""A plan as Python sees it before it is written: tensors, calls in order, and the memory that they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgekit.backends.native.records import Param
from edgekit.tensors import Array


@dataclass(frozen=True)
class PlanTensor:
    """An input or output. dtype: as numpy names it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlanState:
    """An input that is an earlier output; offset: where in the state memory it is kept, None if an op keeps it."""

    input: str
    output: str
    offset: int | None


@dataclass(frozen=True)
class PlanCall:
    """A call of a kernel. label: the nodes of the graph that it computes."""

    op: str
    label: str
    params: Mapping[str, Param]


@dataclass(frozen=True)
class NativePlan:
    """All that a plan file holds."""

    inputs: Sequence[PlanTensor]
    outputs: Sequence[PlanTensor]
    calls: Sequence[PlanCall]
    constants: bytes | Array
    arena_bytes: int
    state_bytes: int = 0
    states: Sequence[PlanState] = field(default_factory=tuple)
