"""Records of a plan: where tensors lie, and the parameters of an op as the kernel's own struct."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import edgekit._native as native
from edgekit.errors import BackendError


class Space(IntEnum):
    """The memories of a run, as kernels/common/params.h numbers them; inputs, then outputs, follow from `IO`."""

    NONE = 0
    ARENA = 1
    CONSTANTS = 2
    STATE = 3
    IO = 4


SLACK = 64  # bytes behind arena, constants and state that a kernel may read


class Ref(NamedTuple):
    """Where a tensor lies: `offset` bytes from the start of `space`."""

    space: int
    offset: int


ABSENT = Ref(Space.NONE, 0)
Param = Ref | int | float


@cache
def fields(op: str) -> tuple[tuple[str, str], ...]:
    """(name, "ref", "i32" or "f32") of each parameter of `op`, in the order of its record."""
    return tuple(native.op_fields(op))


def pack_record(op: str, params: Mapping[str, Param]) -> bytes:
    """The record of one call of `op`.

    Raises:
        BackendError: a parameter is missing, unknown, or does not fit its field.
    """
    layout = fields(op)
    names = [name for name, _ in layout]
    if set(names) != set(params):
        lacking, unknown = sorted(set(names) - set(params)), sorted(set(params) - set(names))
        raise BackendError(f"op {op!r}: parameters {lacking} are missing, {unknown} are unknown; expected {names}")
    try:
        return b"".join(_packed(kind, params[name]) for name, kind in layout)
    except (struct.error, TypeError) as error:
        raise BackendError(f"op {op!r}: a parameter of {dict(params)} does not fit its field: {error}") from error


def unpack_record(op: str, record: bytes) -> dict[str, Param]:
    """The parameters of a record, by name."""
    found: dict[str, Param] = {}
    position = 0
    for name, kind in fields(op):
        if kind == "ref":
            found[name] = Ref(*struct.unpack_from("<II", record, position))
        else:
            found[name] = struct.unpack_from("<i" if kind == "i32" else "<f", record, position)[0]
        position += 8 if kind == "ref" else 4
    return found


def _packed(kind: str, value: Param) -> bytes:
    if kind == "ref":
        space, offset = value  # type: ignore[misc]
        return struct.pack("<II", space, offset)
    return struct.pack("<i", value) if kind == "i32" else struct.pack("<f", value)
