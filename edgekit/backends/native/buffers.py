"""The tensors of a plan while it is made: where each lies is decided once all calls are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.backends.native.records import Ref, Space
from edgekit.tensors import Array

ITEM_BYTES = {"u8": 1, "f32": 4}


@dataclass(frozen=True)
class Grid:
    """The values that a level stands for: (level - zero_point) * scale, levels from 0 to 255."""

    scale: float
    zero_point: int

    def values(self) -> Array:
        """What each of the 256 levels stands for."""
        return np.asarray((np.arange(256) - self.zero_point) * self.scale)

    def levels(self, values: Array) -> Array:
        """uint8 levels nearest to finite `values`, within 0 to 255."""
        return np.asarray(np.clip(np.rint(values / self.scale) + self.zero_point, 0, 255), np.uint8)

    def level(self, value: float) -> int:
        """The level nearest to `value`, within 0 to 255; infinities give the ends."""
        if np.isinf(value):
            return 255 if value > 0 else 0
        return int(np.clip(np.rint(value / self.scale) + self.zero_point, 0, 255))


@dataclass(frozen=True)
class Pads:
    """Rows and columns of memory around an image."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def at_least(self, other: Pads) -> Pads:
        """The least frame that holds both."""
        return Pads(
            max(self.top, other.top),
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )


@dataclass(eq=False)
class Buffer:
    """Levels of an image, rows x columns x channels with channels last; or `channels` float32 values in graph order.

    grid: of "u8"; None for "f32". pads: the frame that its readers need, filled with the zero point.
    space, offset: where it lies; an offset in the arena is found last. parent: the buffer that it is a part of, from
        byte `inside` on.
    """

    name: str
    dtype: str
    rows: int
    columns: int
    channels: int
    grid: Grid | None = None
    space: int = Space.ARENA
    offset: int = 0
    pads: Pads = field(default_factory=Pads)
    parent: Buffer | None = None
    inside: int = 0

    @property
    def root(self) -> Buffer:
        """The buffer that has memory of its own."""
        return self.parent.root if self.parent else self

    @property
    def start(self) -> Ref:
        """The first byte, frame included."""
        if self.parent is None:
            return Ref(self.space, self.offset)
        space, offset = self.parent.start
        return Ref(space, offset + self.inside)

    @property
    def column_stride(self) -> int:
        """Bytes from a pixel to the next."""
        return self.channels * ITEM_BYTES[self.dtype]

    @property
    def row_stride(self) -> int:
        """Bytes from a row to the next."""
        return (self.pads.left + self.columns + self.pads.right) * self.column_stride

    @property
    def nbytes(self) -> int:
        """With its frame."""
        return (self.pads.top + self.rows + self.pads.bottom) * self.row_stride

    @property
    def elements(self) -> int:
        """Without its frame."""
        return self.rows * self.columns * self.channels

    @property
    def contiguous(self) -> bool:
        """Whether nothing lies between its pixels."""
        return self.pads == Pads() or self.row_stride * self.rows == self.nbytes == self.elements

    def at(self, row: int = 0, column: int = 0) -> Ref:
        """The first byte of a pixel; rows and columns of the frame have negative numbers."""
        inside = (self.pads.top + row) * self.row_stride + (self.pads.left + column) * self.column_stride
        space, offset = self.start
        return Ref(space, offset + inside)

    def need(self, pads: Pads) -> None:
        """Ask for a frame."""
        self.pads = self.pads.at_least(pads)
