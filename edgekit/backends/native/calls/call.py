"""What all calls of kernels share: how they look to the planner, windows, clamps, and parameters that many have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edgekit.backends.native.buffers import Buffer, Grid, Pads
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.records import Param
from edgekit.tensors import Array


class Call(Protocol):
    """What the memory planner and the writer ask of a call."""

    @property
    def op(self) -> str:
        """The kernel's op."""

    @property
    def label(self) -> str:
        """The nodes of the graph that it computes."""

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """Buffers that must live until it has run."""

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """Buffers that begin to live with it."""

    def params(self, constants: Constants) -> Mapping[str, Param]:
        """The parameters of its record; every buffer has its place by now."""


@dataclass(frozen=True)
class Clamp:
    """The real range that an activation leaves: ReLU is (0, inf)."""

    low: float = -np.inf
    high: float = np.inf

    def levels(self, grid: Grid) -> dict[str, Param]:
        """Zero point and ends as an integer kernel takes them."""
        return {"zero_point": grid.zero_point, "low": grid.level(self.low), "high": grid.level(self.high)}


UNLIMITED = Clamp()


@dataclass
class OneToOne:
    """A call that reads one buffer and writes one. label: the nodes of the graph that it computes."""

    label: str
    source: Buffer
    target: Buffer

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """What it takes."""
        return (self.source,)

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """What it gives."""
        return (self.target,)


@dataclass(frozen=True)
class Window:
    """How a filter walks over an image."""

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: Pads = field(default_factory=Pads)

    def output_size(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the output."""
        padded = (rows + self.pads.top + self.pads.bottom, columns + self.pads.left + self.pads.right)
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        down, right = ((p - r) // s + 1 for p, r, s in zip(padded, reach, self.strides, strict=True))
        return down, right

    def steps(self, source: Buffer) -> dict[str, Param]:
        """Where the first tap lies, and how far apart output pixels and taps are, in bytes of `source`."""
        row, column = source.row_stride, source.column_stride
        return {
            "input": source.at(-self.pads.top, -self.pads.left),
            "input_row_stride": self.strides[0] * row,
            "input_column_stride": self.strides[1] * column,
            "taps_y": self.kernel[0],
            "taps_x": self.kernel[1],
            "tap_y_stride": self.dilations[0] * row,
            "tap_x_stride": self.dilations[1] * column,
        }


@dataclass(frozen=True)
class Weights:
    """s8 weights (outputs, ...) with a scale for each output, and an int32 bias with the scale of input and weight."""

    values: Array
    scale: Array
    bias: Array


def strides_of(target: Buffer, name: str = "output") -> dict[str, Param]:
    """Where an image begins, and how far apart its rows and columns are."""
    return {
        name: target.at(),
        f"{name}_row_stride": target.row_stride,
        f"{name}_column_stride": target.column_stride,
    }


def size_of(target: Buffer) -> dict[str, Param]:
    """The size of an image without its frame."""
    return {"rows": target.rows, "columns": target.columns, "channels": target.channels}


def levels_of(buffer: Buffer) -> Grid:
    """The grid of a quantized buffer."""
    assert buffer.grid is not None  # noqa: S101 - integer calls are made of quantized buffers alone
    return buffer.grid
