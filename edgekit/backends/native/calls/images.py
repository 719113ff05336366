"""Calls of the kernels that go over images without weights: pooling, sums, tables, frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.calls.call import UNLIMITED, Clamp, OneToOne, Window, levels_of, size_of, strides_of
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.records import ABSENT, Param
from edgekit.tensors import Array


@dataclass
class Pool(OneToOne):
    """pool_u8: average or maximum."""

    window: Window
    maximum: bool
    op: str = "pool_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        source, target = levels_of(self.source), levels_of(self.target)
        taps = 1 if self.maximum else self.window.kernel[0] * self.window.kernel[1]
        return {
            **size_of(self.target),
            **self.window.steps(self.source),
            "maximum": int(self.maximum),
            "input_zero_point": source.zero_point,
            "scale": source.scale / target.scale / taps,
            **UNLIMITED.levels(target),
            **strides_of(self.target),
        }


@dataclass
class Sum:
    """add_u8."""

    label: str
    a: Buffer
    b: Buffer
    target: Buffer
    clamp: Clamp = UNLIMITED
    op: str = "add_u8"

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return (self.a, self.b)

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return (self.target,)

    def params(self, constants: Constants) -> Mapping[str, Param]:
        a, b, target = levels_of(self.a), levels_of(self.b), levels_of(self.target)
        return {
            **size_of(self.target),
            **strides_of(self.a, "a"),
            **strides_of(self.b, "b"),
            "a_zero_point": a.zero_point,
            "b_zero_point": b.zero_point,
            "a_scale": a.scale / target.scale,
            "b_scale": b.scale / target.scale,
            **self.clamp.levels(target),
            **strides_of(self.target),
        }


@dataclass
class Lookup(OneToOne):
    """lookup_u8: any function of a level, by its 256 results; without a table, a copy.

    first: of the target's channels, where the source's go.
    """

    table: Array | None = None
    first: int = 0
    op: str = "lookup_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        start = self.target.at()
        return {
            **size_of(self.source),
            **strides_of(self.source, "input"),
            "table": ABSENT if self.table is None else constants.put(self.table),
            **strides_of(self.target),
            "output": start._replace(offset=start.offset + self.first),
        }


@dataclass
class Border:
    """border_u8: the frame of an image, filled with its zero point."""

    label: str
    target: Buffer
    op: str = "border_u8"

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return ()

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return (self.target,)

    def params(self, constants: Constants) -> Mapping[str, Param]:
        target, pads = self.target, self.target.pads
        return {
            "output": target.start,
            "rows": target.rows,
            "columns": target.columns,
            "pixel_bytes": target.column_stride,
            "top": pads.top,
            "bottom": pads.bottom,
            "left": pads.left,
            "right": pads.right,
            "row_stride": target.row_stride,
            "value": levels_of(target).zero_point,
        }
