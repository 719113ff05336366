"""The files that the kernel library's own tests read hold what the cases say."""

from __future__ import annotations

import struct
from itertools import groupby

import numpy as np
import pytest
from case import Case
from dump_cases import case_file, every_case

import edgekit._native as native

CASES = {op: list(cases) for op, cases in groupby(every_case(), key=lambda case: case.op)}


class Reader:
    """Takes a file of cases apart, as kernels/tests/cases.h describes it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, count: int) -> bytes:
        self.position += count
        assert self.position <= len(self.data)
        return self.data[self.position - count : self.position]

    def number(self) -> int:
        return struct.unpack("<I", self.take(4))[0]

    def counted(self) -> bytes:
        return self.take(self.number())


def assert_holds(reader: Reader, case: Case) -> None:
    assert (reader.counted().decode(), reader.counted().decode()) == (case.name, case.op)
    assert reader.number() == case.inputs
    assert reader.counted() == case.record
    buffers = {reader.number(): reader.counted() for _ in range(reader.number())}
    assert buffers == {space: buffer.tobytes() for space, buffer in case.buffers.items()}
    assert reader.number() == len(case.expected)
    for expected in case.expected:
        assert (reader.number(), reader.number()) == expected.ref
        assert reader.number() == (1 if expected.array.dtype == np.float32 else 2)  # whole numbers go as bytes
        numbers = np.frombuffer(reader.take(8), np.float32)
        np.testing.assert_array_equal(numbers, np.array([expected.epsilons, expected.floor], np.float32))
        assert reader.counted() == expected.array.tobytes()


@pytest.mark.parametrize("op", sorted(native.op_ids()))
def test_file_of_cases_holds_every_case(op: str):
    cases = CASES[op]
    reader = Reader(case_file(cases))
    assert reader.take(8) == b"EDGECASE"
    assert (reader.number(), reader.number()) == (1, len(cases))
    for case in cases:
        assert_holds(reader, case)
    assert reader.position == len(reader.data)
