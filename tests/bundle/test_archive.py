"""The zip layout: files that other tools made, hostile directories, and zip64."""

from __future__ import annotations

import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from small_bundle import MODEL, assemble, canonical, contents, disassemble, manifest, nothing_left_behind, put, refused

from edgekit.bundle import archive, open_bundle, verify_bundle, write_bundle
from edgekit.errors import BundleError, BundleFormatError


def test_another_zip_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as other:
        other.writestr("word/document.xml", "<w/>")
    refused(tmp_path / "x", BundleFormatError, "its first entry is 'word/document.xml'; expected 'manifest.json'")


UNSAFE = [
    "../x",
    "a/../x",
    "/etc/x",
    "a\\b",
    "C:/x",
    "c:x",
    "",
    ".",
    "./x",
    "a/./x",
    "a//x",
    "a/",
    "x\0y",
    ".x",
]
UNSAFE += ["-rf", "na\u00efve", "a b", "a\nb", "x" * 256]


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_are_refused(path: Path, name: str) -> None:
    with nothing_left_behind(path), pytest.raises(BundleFormatError, match="unsafe entry name"):
        write_bundle(path, manifest(), contents() | {name: b"x"})
    put(path, assemble(disassemble(path) | {name: b"x"}))
    refused(path, BundleFormatError, "unsafe entry name")


def test_duplicate_names_are_refused(path: Path) -> None:
    files = disassemble(path)
    with zipfile.ZipFile(path, "w") as other:
        for name in files:
            other.writestr(name, files[name])
        with pytest.warns(UserWarning, match="Duplicate name"):
            other.writestr(MODEL, files[MODEL])
    refused(path, BundleFormatError, f"entry {MODEL!r} is there twice")


def test_names_that_differ_in_case_only_are_refused(path: Path) -> None:
    put(path, assemble(disassemble(path) | {MODEL.upper(): b"x"}))
    refused(path, BundleFormatError, "differ in case only")


def test_compressed_entries_are_refused(path: Path) -> None:
    files = disassemble(path)
    for squeezed in ("manifest.json", MODEL):
        with zipfile.ZipFile(path, "w") as other:
            for name, data in files.items():
                other.writestr(name, data, zipfile.ZIP_DEFLATED if name == squeezed else zipfile.ZIP_STORED)
        refused(path, BundleFormatError, f"entry {squeezed!r} is compressed")


def test_bundle_repacked_by_another_tool_is_refused(path: Path) -> None:
    files = disassemble(path)
    with zipfile.ZipFile(path, "w") as other:
        for name, data in files.items():
            other.writestr(name, data)
    refused(path, BundleFormatError, "differs from what the format prescribes")


def patch_row(path: Path, name: str, at: int, form: str, value: int) -> None:
    """Write `value` at byte `at` of the central directory's row for `name`."""
    data = bytearray(path.read_bytes())
    row = data.rindex(name.encode()) - 46
    assert data[row : row + 4] == b"PK\x01\x02"
    struct.pack_into(form, data, row + at, value)
    put(path, data)


FLAGS, STORED_SIZE, SIZE, OFFSET = 8, 20, 24, 42


def test_encrypted_entries_are_refused(path: Path) -> None:
    patch_row(path, MODEL, FLAGS, "<H", 1)
    refused(path, BundleFormatError, "is encrypted")


@pytest.mark.parametrize("name", ["manifest.json", MODEL])
@pytest.mark.parametrize("size", [100_000, 0xFFFFFFFE])
def test_sizes_beyond_the_file_are_refused(path: Path, name: str, size: int) -> None:
    patch_row(path, name, SIZE, "<I", size)
    refused(path, BundleFormatError, f"declares {size} bytes and stores")
    patch_row(path, name, STORED_SIZE, "<I", size)
    refused(path, BundleFormatError, f"declares {size} bytes at")


def test_offsets_beyond_the_file_are_refused(path: Path) -> None:
    patch_row(path, MODEL, OFFSET, "<I", 0xFFFFFFF0)
    refused(path, BundleFormatError, "bytes at 4294967280")


def test_missing_zip64_field_is_refused(path: Path) -> None:
    patch_row(path, MODEL, SIZE, "<I", 0xFFFFFFFF)
    refused(path, BundleFormatError, "has no zip64 field")


def test_overlapping_entries_are_refused(path: Path) -> None:
    patch_row(path, MODEL, OFFSET, "<I", 0)
    refused(path, BundleFormatError, f"entry {MODEL!r} overlaps the one before it")


def test_stray_bytes_between_entries_are_refused(path: Path) -> None:
    patch_row(path, MODEL, OFFSET, "<I", 2000)
    refused(path, BundleFormatError, f"stray bytes before entry {MODEL!r}")


def test_wrong_order_of_entries_is_refused(path: Path) -> None:
    files = disassemble(path)
    names = ["manifest.json", *sorted(files.keys() - {"manifest.json"}, reverse=True)]
    put(path, assemble({name: files[name] for name in names}))
    refused(path, BundleFormatError, "not in the order of their names")


def test_manifest_that_is_not_first_is_refused(path: Path) -> None:
    put(path, assemble(dict(reversed(disassemble(path).items()))))
    refused(path, BundleFormatError, "expected 'manifest.json'")


def test_oversized_manifest_is_refused(path: Path) -> None:
    put(path, assemble(disassemble(path) | {"manifest.json": b" " * (16 * 1024 * 1024 + 1)}))
    refused(path, BundleFormatError, "manifest.json has 16777217 bytes; at most 16777216 are read")


def test_number_of_entries_must_be_that_of_the_directory(path: Path) -> None:
    sound = path.read_bytes()
    for count, says in [
        (0, "its first entry is missing"),
        (1, "the directory differs"),
        (3, "the directory differs"),
        (5, "the directory has no entry at byte"),
        (60_000, "the directory has no entry at byte"),
        (0xFFFF, "the zip64 end record is not where it must be"),
    ]:
        put(path, sound[:-14] + struct.pack("<2H", count, count) + sound[-10:])
        with pytest.raises(BundleError, match=says):
            open_bundle(path)


def test_bytes_lost_in_the_middle_are_told_from_a_broken_directory(path: Path) -> None:
    sound = path.read_bytes()
    put(path, sound[:300] + sound[310:])
    refused(path, BundleFormatError, "truncated or altered: the directory is declared at")


def hostile_directory(path: Path, extra: bytes, comment_bytes: int, disks: bytes) -> None:
    """A file of one 5-byte start and a directory with one row, whose size is said to be in a zip64 field or not."""
    size = 0xFFFFFFFF if extra else 0
    fixed = (b"PK\x01\x02", 0, 0, 0, 0, 0, 0, 0, size, 0, 1, len(extra), comment_bytes, 0, 0, 0, 0)
    row = archive._CENTRAL.pack(*fixed) + b"x" + extra
    end = b"PK\x05\x06" + disks + struct.pack("<2H2IH", 2, 2, len(row), 5, 0)
    put(path, b"PK\x03\x04x" + row + end)


def test_row_that_lies_over_the_end_record_is_refused(path: Path) -> None:
    hostile_directory(path, b"", comment_bytes=4, disks=b"PK\x01\x02")
    refused(path, BundleFormatError, "the directory has no entry at byte 56")


@pytest.mark.parametrize("extra", [b"\1", b"\1\0\x08\0", b"\1\0\x08\0" + bytes(7), b"\2\0\x08\0" + bytes(8)])
def test_short_or_foreign_zip64_field_is_refused(path: Path, extra: bytes) -> None:
    hostile_directory(path, extra, comment_bytes=0, disks=bytes(4))
    refused(path, BundleFormatError, "has no zip64 field")


@pytest.mark.parametrize("limit", [1, 100, 1500])
def test_zip64_round_trip_with_a_lowered_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(archive, "ZIP64_FROM", limit)
    monkeypatch.setattr(archive, "ZIP64_ENTRIES_FROM", 3)
    opened = write_bundle(tmp_path / "x", manifest(), contents())
    assert b"PK\x06\x06" in opened.path.read_bytes()
    assert {name: verify_bundle(opened.path).read(name) for name in contents()} == contents()
    assert disassemble(opened.path).items() >= contents().items()
    with zipfile.ZipFile(opened.path) as other:
        assert other.testzip() is None
    monkeypatch.undo()
    refused(opened.path, BundleFormatError, "differs from what the format prescribes")


@pytest.mark.skipif(sys.platform == "win32", reason="files with holes need a file system that keeps them small")
def test_entries_beyond_4_gib_are_placed_and_found(path: Path) -> None:
    """5 GiB of zeros in a hole; the directory and headers are real, the SHA-256 is not computed."""
    files, size = disassemble(path), 5 * 2**30
    document = json.loads(files["manifest.json"])
    document["files"]["a/large"] = {"sha256": "0" * 64, "size_bytes": size}
    files["manifest.json"] = canonical(document)
    sizes = {name: (len(data), zlib.crc32(data)) for name, data in files.items()} | {"a/large": (size, 0)}
    names = ["manifest.json", *sorted(sizes.keys() - {"manifest.json"})]
    entries = archive.place((name, *sizes[name]) for name in names)
    with path.open("wb") as out:
        for entry in entries:
            out.seek(entry.offset)
            out.write(archive.local_header(entry) + files.get(entry.name, b""))
        out.seek(entries[-1].end)
        out.write(archive.directory(entries))
    assert path.stat().st_blocks * 512 < 2**20
    opened = open_bundle(path)
    assert opened.manifest.files["a/large"].size_bytes == size
    assert opened.read(MODEL) == b"not really a model"
    with zipfile.ZipFile(path) as other:
        assert other.getinfo("a/large").file_size == size
        assert other.read(MODEL) == b"not really a model"
        assert other.getinfo(MODEL).header_offset > size
