"""Lays tensors out in one arena: two that are never alive at the same time may share memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Lifetime:
    """A tensor of `nbytes` that is alive from call `first` to call `last`, both included."""

    nbytes: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both are alive at some time."""
        return self.first <= other.last and other.first <= self.last


def place(tensors: Sequence[Lifetime]) -> tuple[list[int], int]:
    """The offset of each tensor, and the size of the arena.

    Greedy by size: the largest first, each at the lowest offset that is free for as long as it lives (Y. Pisarchyk
    and J. Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, arXiv:2001.03288).
    """
    offsets = [0] * len(tensors)
    placed: list[int] = []
    for index in sorted(range(len(tensors)), key=lambda i: (-tensors[i].nbytes, tensors[i].first, i)):
        neighbours = sorted(
            (offsets[other], offsets[other] + tensors[other].nbytes)
            for other in placed
            if tensors[other].meets(tensors[index])
        )
        offsets[index] = _lowest_gap(neighbours, tensors[index].nbytes)
        placed.append(index)
    size = max((offsets[i] + tensors[i].nbytes for i in range(len(tensors))), default=0)
    return offsets, _aligned(size)


def _lowest_gap(taken: Sequence[tuple[int, int]], nbytes: int) -> int:
    offset = 0
    for start, end in taken:
        if offset + nbytes <= start:
            break
        offset = max(offset, _aligned(end))
    return offset


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
