"""One call of a kernel with its memories and what it must give; run on every row, here and by kernels/tests/replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

import edgekit._native as native
from edgekit.backends.native.records import SLACK, Param, Ref, Space, pack_record
from edgekit.tensors import Array


@dataclass(frozen=True)
class Expected:
    """What must stand at `ref` afterwards.

    epsilons: allowed |error| in float32 epsilons of max(|expected|, floor); 0 is bit for bit.
    """

    ref: Ref
    array: Array
    epsilons: float = 0.0
    floor: float = 1.0


@dataclass(frozen=True)
class Case:
    """A call. buffers: uint8 arrays by space, slack included for arena, constants and state; inputs: how many of the
    I/O spaces are read-only inputs, which come first."""

    name: str
    op: str
    params: Mapping[str, Param]
    buffers: Mapping[int, Array]
    expected: tuple[Expected, ...]
    inputs: int = 0

    @property
    def record(self) -> bytes:
        return pack_record(self.op, self.params)


@dataclass
class Memories:
    """Lays arrays out in spaces while a case is written: `ref = memories.put(array)`."""

    parts: dict[int, bytearray] = field(default_factory=dict)
    inputs: int = 0

    def put(self, array: Array, space: int = Space.ARENA, *, align: int = 64, offset: int = 0) -> Ref:
        """Copy `array` behind what is in `space`; `offset` moves it off its alignment."""
        part = self.parts.setdefault(space, bytearray())
        part.extend(b"\xa5" * (-len(part) % align + offset))  # no zeros: what must not matter shall not look right
        ref = Ref(space, len(part))
        part.extend(np.ascontiguousarray(array).tobytes())
        return ref

    def room(self, nbytes: int, space: int = Space.ARENA, *, align: int = 64, offset: int = 0) -> Ref:
        """Space for an output of `nbytes`."""
        return self.put(np.full(nbytes, 0xC3, np.uint8), space, align=align, offset=offset)

    def buffers(self) -> dict[int, Array]:
        slack = {space: b"\x5a" * (SLACK if space < Space.IO else 0) for space in self.parts}
        return {space: np.frombuffer(bytes(part) + slack[space], np.uint8).copy() for space, part in self.parts.items()}


def run_case(case: Case, row: str) -> dict[int, Array]:
    """The memories after `row` of the kernel has run."""
    buffers = {space: buffer.copy() for space, buffer in case.buffers.items()}
    native.run_kernel(case.op, row, case.record, buffers, case.inputs)
    return buffers


def check_case(case: Case, buffers: Mapping[int, Array]) -> None:
    """Compare with what is expected, and see that nothing else was written."""
    untouched = {space: buffer.copy() for space, buffer in case.buffers.items()}
    for expected in case.expected:
        ref, nbytes = expected.ref, expected.array.nbytes
        part = buffers[ref.space][ref.offset : ref.offset + nbytes]
        got = np.frombuffer(part.tobytes(), expected.array.dtype).reshape(expected.array.shape)
        _compare(case.name, got, expected)
        untouched[ref.space][ref.offset : ref.offset + nbytes] = part
    for space, buffer in buffers.items():
        np.testing.assert_array_equal(buffer, untouched[space], err_msg=f"{case.name}: wrote outside of its outputs")


def _compare(name: str, got: Array, expected: Expected) -> None:
    if not expected.epsilons:
        np.testing.assert_array_equal(got, expected.array, err_msg=name)
        return
    finite = np.isfinite(expected.array)
    np.testing.assert_array_equal(got[~finite], expected.array[~finite], err_msg=name)
    got, wanted = got[finite].astype(np.float64), expected.array[finite].astype(np.float64)
    allowed = expected.epsilons * np.finfo(np.float32).eps * np.maximum(np.abs(wanted), expected.floor)
    np.testing.assert_array_less(np.abs(got - wanted), allowed + 1e-300, err_msg=name)
