"""Writes the cases of every op to a file that kernels/tests/replay reads; kernels/tests/cases.h describes it.

python tests/conformance/dump_cases.py build/cases.bin
"""

from __future__ import annotations

import importlib
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from case import Case, Expected

import edgekit._native as native

MAGIC = b"EDGECASE"
VERSION = 1
DTYPES = {"float32": 1, "uint8": 2}


def every_case() -> Iterator[Case]:
    """The cases of all ops that the kernel library has."""
    for op in sorted(native.op_ids()):
        yield from importlib.import_module(f"cases_{op}").cases()


def case_file(cases: Iterable[Case]) -> bytes:
    """The file of `cases`."""
    packed = [_case(case) for case in cases]
    return MAGIC + struct.pack("<II", VERSION, len(packed)) + b"".join(packed)


def _case(case: Case) -> bytes:
    buffers = [struct.pack("<I", space) + _bytes(buffer.tobytes()) for space, buffer in case.buffers.items()]
    expected = [_expected(expected) for expected in case.expected]
    return b"".join(
        [
            _bytes(case.name.encode()),
            _bytes(case.op.encode()),
            struct.pack("<I", case.inputs),
            _bytes(case.record),
            struct.pack("<I", len(buffers)),
            *buffers,
            struct.pack("<I", len(expected)),
            *expected,
        ]
    )


def _expected(expected: Expected) -> bytes:
    dtype = DTYPES.get(expected.array.dtype.name, DTYPES["uint8"])  # other integers are compared byte for byte
    numbers = struct.pack("<IIIff", *expected.ref, dtype, expected.epsilons, expected.floor)
    return numbers + _bytes(expected.array.tobytes())


def _bytes(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(case_file(every_case()))
