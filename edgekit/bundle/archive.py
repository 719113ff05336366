"""The zip container of a bundle: where every byte of it goes, and a reader that takes nothing else.

Names, sizes and checksums of the entries fix all other bytes. So the reader parses no more than those out of
the central directory, lays the file out again and compares. docs/bundle-format.md specifies the layout; the
records and their fields are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import BundleFormatError, BundleIntegrityError

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Sequence

MANIFEST = "manifest.json"
MANIFEST_MAX_BYTES = 16 * 1024 * 1024
ALIGNMENT_BYTES = 64  # a cache line, and the widest vector register: payloads can be used where they lie
ZIP64_FROM = 0xFFFFFFFF  # sizes and offsets from here on move to a zip64 field
ZIP64_ENTRIES_FROM = 0xFFFF

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_SIGNATURE, _LOCATOR64_SIGNATURE = b"PK\x06\x06", b"PK\x06\x07"
_IN_ZIP64, _COUNT_IN_ZIP64 = 0xFFFFFFFF, 0xFFFF

_STORED, _ENCRYPTED_FLAG = 0, 1
_MADE_BY = 3 << 8 | 45  # Unix, zip 4.5
_NEEDS, _NEEDS_ZIP64 = 10, 45
_TIME, _DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00:00, the earliest that zip can say
_ATTRIBUTES = 0o100644 << 16  # a regular file, rw-r--r--
_ZIP64_FIELD, _ALIGNMENT_FIELD = (
    0x0001,
    0xD935,
)  # 0xD935 is the alignment field of Android's zipalign and apksigner

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_NAME_MAX_BYTES = 255
_REBUILD = "it was altered or packed by another tool: get the file again, or build it again"


@dataclass(frozen=True)
class Row:
    """What the central directory says of one entry; nothing is checked yet."""

    name: str
    flags: int
    method: int
    crc32: int
    stored_bytes: int
    size_bytes: int
    offset: int


@dataclass(frozen=True)
class Entry:
    """One entry in its place: `offset` is where its local header starts, in bytes from the file's start."""

    name: str
    size_bytes: int
    crc32: int
    offset: int

    @property
    def data_offset(self) -> int:
        """Where the entry's data starts: a multiple of `ALIGNMENT_BYTES`."""
        return self.offset + len(local_header(self))

    @property
    def end(self) -> int:
        """Where the next entry's header, or the directory, starts."""
        return self.data_offset + self.size_bytes


def check_names(names: Sequence[str]) -> None:
    """Refuse names that could leave a folder or that two systems read differently, and names that meet.

    Raises:
        BundleFormatError: a name is unsafe, or two are equal but for upper and lower case.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name) or len(name) > _NAME_MAX_BYTES:
            raise BundleFormatError(
                f"unsafe entry name {name!r}; a name is parts of A-Z a-z 0-9 . _ - joined by '/', "
                f"no part starts with '.' or '-', and it has at most {_NAME_MAX_BYTES} characters"
            )
        if (twin := seen.setdefault(name.lower(), name)) != name:
            raise BundleFormatError(f"entries {twin!r} and {name!r} differ in case only; rename one")
    if len(seen) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise BundleFormatError(f"entry {twice!r} is there twice; {_REBUILD}")


def place(files: Iterable[tuple[str, int, int]]) -> tuple[Entry, ...]:
    """Entries one right after another, from (name, size in bytes, CRC-32) in file order."""
    entries: list[Entry] = []
    offset = 0
    for name, size_bytes, crc32 in files:
        entries.append(Entry(name, size_bytes, crc32, offset))
        offset = entries[-1].end
    return tuple(entries)


def local_header(entry: Entry) -> bytes:
    """The bytes from `entry.offset` to its data, padded so that the data is aligned."""
    name, wide = entry.name.encode(), entry.size_bytes >= ZIP64_FROM
    extra = struct.pack("<2H2Q", _ZIP64_FIELD, 16, entry.size_bytes, entry.size_bytes) if wide else b""
    padding = -(entry.offset + _LOCAL.size + len(name) + len(extra) + 6) % ALIGNMENT_BYTES
    extra += struct.pack("<3H", _ALIGNMENT_FIELD, 2 + padding, ALIGNMENT_BYTES) + bytes(padding)
    size = _narrow(entry.size_bytes)
    # fmt: off
    fixed = _LOCAL.pack(
        _LOCAL_SIGNATURE, _NEEDS_ZIP64 if wide else _NEEDS, 0, _STORED, _TIME, _DATE,
        entry.crc32, size, size, len(name), len(extra),
    )
    # fmt: on
    return fixed + name + extra


def directory(entries: Sequence[Entry]) -> bytes:
    """The bytes that follow the last entry's data: the central directory and the end records."""
    rows = b"".join(map(_central_header, entries))
    return rows + _end_records(len(entries), len(rows), entries[-1].end)


def _central_header(entry: Entry) -> bytes:
    name = entry.name.encode()
    wide = [n for n in (entry.size_bytes, entry.size_bytes, entry.offset) if n >= ZIP64_FROM]
    extra = struct.pack(f"<2H{len(wide)}Q", _ZIP64_FIELD, 8 * len(wide), *wide) if wide else b""
    size = _narrow(entry.size_bytes)
    # fmt: off
    fixed = _CENTRAL.pack(
        _CENTRAL_SIGNATURE, _MADE_BY, _NEEDS_ZIP64 if wide else _NEEDS, 0, _STORED, _TIME, _DATE,
        entry.crc32, size, size, len(name), len(extra), 0, 0, 0, _ATTRIBUTES, _narrow(entry.offset),
    )
    # fmt: on
    return fixed + name + extra


def _end_records(count: int, size: int, offset: int) -> bytes:
    short = count if count < ZIP64_ENTRIES_FROM else _COUNT_IN_ZIP64
    end = _END.pack(_END_SIGNATURE, 0, 0, short, short, _narrow(size), _narrow(offset), 0)
    if short == count and size < ZIP64_FROM and offset < ZIP64_FROM:
        return end
    rest = _END64.size - 12  # APPNOTE 4.3.14.1: without the signature and this field
    end64 = _END64.pack(_END64_SIGNATURE, rest, _MADE_BY, _NEEDS_ZIP64, 0, 0, count, count, size, offset)
    return end64 + _LOCATOR64.pack(_LOCATOR64_SIGNATURE, 0, offset + size, 1) + end


def _narrow(number: int) -> int:
    return number if number < ZIP64_FROM else _IN_ZIP64


def read_rows(data: mmap.mmap) -> tuple[Row, ...]:
    """The central directory as it stands, parsed and not yet checked.

    Raises:
        BundleFormatError: not a zip file, truncated, or a directory that cannot be parsed.
    """
    if data[:4] != _LOCAL_SIGNATURE:
        raise BundleFormatError("not an edgekit bundle: a bundle is a zip file, and this does not start as one")
    count, at, end = _read_end(data)
    rows: list[Row] = []
    for _ in range(count):
        row, at = _read_row(data, at, end)
        rows.append(row)
    return tuple(rows)


def _read_end(data: mmap.mmap) -> tuple[int, int, int]:
    """The number of entries, and where the central directory starts and ends."""
    at = len(data) - _END.size
    if at < 0 or data[at : at + 4] != _END_SIGNATURE:
        raise BundleFormatError(
            "truncated, or something was appended: the file does not end with a zip end record; copy it again"
        )
    _, _, _, _, count, size, offset, _ = _END.unpack_from(data, at)
    if count == _COUNT_IN_ZIP64 or _IN_ZIP64 in (size, offset):
        at -= _LOCATOR64.size + _END64.size
        if at < 0 or data[at : at + 4] != _END64_SIGNATURE:
            raise BundleFormatError(f"the zip64 end record is not where it must be; {_REBUILD}")
        *_, count, size, offset = _END64.unpack_from(data, at)
    if offset + size != at:
        raise BundleFormatError(
            f"truncated or altered: the directory is declared at {offset} with {size} bytes, "
            f"and its end record is at {at}; get the file again"
        )
    return count, offset, at


def _read_row(data: mmap.mmap, at: int, end: int) -> tuple[Row, int]:
    """The row at `at`, and where the next one starts."""
    if at + _CENTRAL.size > end or data[at : at + 4] != _CENTRAL_SIGNATURE:
        raise BundleFormatError(f"the directory has no entry at byte {at}, where one must be; {_REBUILD}")
    fields = _CENTRAL.unpack_from(data, at)
    flags, method, crc32, stored, size = fields[3], fields[4], *fields[7:10]
    name_at = at + _CENTRAL.size
    extra_at = name_at + fields[10]
    comment_at = extra_at + fields[11]
    following = comment_at + fields[12]
    name = data[name_at:extra_at].decode("ascii", "backslashreplace")
    stored, size, offset = _widen(name, data[extra_at:comment_at], (stored, size, fields[16]))
    return Row(name, flags, method, crc32, stored, size, offset), following


def _widen(name: str, extra: bytes, numbers: tuple[int, int, int]) -> tuple[int, ...]:
    """`numbers` with those that did not fit 32 bits taken from the zip64 field."""
    count = numbers.count(_IN_ZIP64)
    if not count:
        return numbers
    if len(extra) < 4 + 8 * count or extra[:4] != struct.pack("<2H", _ZIP64_FIELD, 8 * count):
        raise BundleFormatError(f"entry {name!r} has no zip64 field for its size or offset; {_REBUILD}")
    wide = iter(struct.unpack_from(f"<{count}Q", extra, 4))
    return tuple(next(wide) if number == _IN_ZIP64 else number for number in numbers)


def read_manifest(data: mmap.mmap, rows: Sequence[Row]) -> bytes:
    """The bytes of `manifest.json`; they match their CRC-32, since no SHA-256 stands for them.

    Raises:
        BundleFormatError: it is not the first entry, or is larger than 16 MiB, compressed, or out of bounds.
        BundleIntegrityError: it does not match its CRC-32.
    """
    if not rows or rows[0].name != MANIFEST:
        found = repr(rows[0].name) if rows else "missing"
        raise BundleFormatError(f"not an edgekit bundle: its first entry is {found}; expected {MANIFEST!r}")
    row = rows[0]
    _check_row(row, len(data))
    if row.size_bytes > MANIFEST_MAX_BYTES:
        raise BundleFormatError(f"{MANIFEST} has {row.size_bytes} bytes; at most {MANIFEST_MAX_BYTES} are read")
    name_bytes, extra_bytes = _LOCAL.unpack_from(data, row.offset)[-2:]
    start = row.offset + _LOCAL.size + name_bytes + extra_bytes
    content = data[start : start + row.size_bytes]
    if zlib.crc32(content) != row.crc32:
        raise BundleIntegrityError(f"{MANIFEST} does not match its CRC-32: the file was altered; get it again")
    return content


def check_layout(data: mmap.mmap, rows: Sequence[Row]) -> tuple[Entry, ...]:
    """The entries, after every byte outside their data was found to be what the format prescribes.

    Raises:
        BundleFormatError: unsafe or duplicate names, compression, encryption, impossible sizes, overlaps,
            gaps, or any other byte that differs.
    """
    names = [row.name for row in rows]
    check_names(names)
    for row in rows:
        _check_row(row, len(data))
    if names[1:] != sorted(names[1:]):
        raise BundleFormatError(f"entries are not in the order of their names; {_REBUILD}")
    entries = place((row.name, row.size_bytes, row.crc32) for row in rows)
    for row, entry in zip(rows, entries, strict=True):
        _check_place(data, row, entry)
    if data[entries[-1].end :] != directory(entries):
        raise BundleFormatError(f"the directory differs from what the format prescribes; {_REBUILD}")
    return entries


def _check_row(row: Row, file_bytes: int) -> None:
    if row.flags & _ENCRYPTED_FLAG:
        raise BundleFormatError(f"entry {row.name!r} is encrypted; edgekit reads plain entries only")
    if row.method != _STORED:
        raise BundleFormatError(f"entry {row.name!r} is compressed; edgekit reads stored entries only: {_REBUILD}")
    if row.stored_bytes != row.size_bytes:
        raise BundleFormatError(
            f"entry {row.name!r} declares {row.size_bytes} bytes and stores {row.stored_bytes}; {_REBUILD}"
        )
    if row.offset + _LOCAL.size + row.size_bytes > file_bytes:
        raise BundleFormatError(
            f"entry {row.name!r} declares {row.size_bytes} bytes at {row.offset}, "
            f"and the file has {file_bytes}; truncated or altered: get it again"
        )


def _check_place(data: mmap.mmap, row: Row, entry: Entry) -> None:
    if row.offset < entry.offset:
        raise BundleFormatError(f"entry {row.name!r} overlaps the one before it; {_REBUILD}")
    if row.offset > entry.offset:
        raise BundleFormatError(f"{row.offset - entry.offset} stray bytes before entry {row.name!r}; {_REBUILD}")
    if data[entry.offset : entry.data_offset] != local_header(entry):
        raise BundleFormatError(f"the header of entry {row.name!r} differs from what the format prescribes; {_REBUILD}")
