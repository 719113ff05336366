"""The bundle: what is written comes back, the same bytes every time, and nothing that was touched passes."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import bundle as bundles
from edgekit.bundle import (
    Manifest,
    Payload,
    RecipeRecord,
    TargetEntry,
    archive,
    golden_input_entry,
    npy_bytes,
    open_bundle,
    verify_bundle,
    write_bundle,
    writer,
)
from edgekit.errors import BundleError, BundleFormatError, BundleIntegrityError, TensorError
from edgekit.target import Peak, Target
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENT = Path(__file__).parent.parent / "docs" / "bundle-format.md"
TARGET = Target(
    name="cpu-avx2",
    description="a test target",
    device="cpu",
    arch="x86_64",
    isa=("sse4.2", "avx2"),
    precisions=("f32", "int8"),
    backends=("onnxruntime",),
    memory_bytes=4096,
    peak=Peak(f32_gmacs=1.5, source="made up for a test"),
)
MODEL = "cpu-avx2/onnxruntime-f32/model.onnx"
GOLDEN = "cpu-avx2/onnxruntime-f32/golden/0/output-0.npy"
X = np.array([[1, 2, 3, 4]], np.float32)
Y = np.array([[10.0]], np.float32)


def payload(name: str = "onnxruntime-f32", **changes: Any) -> Payload:
    plain = Payload(
        name=name,
        backend="onnxruntime",
        precision="f32",
        method="float",
        files={"model": MODEL},
        golden_outputs=({"y": GOLDEN},),
        golden_tolerance={"y": 1e-5},
        reason="the only one",
        latency={"p50_ns": 4000.5},
    )
    return replace(plain, **changes)


def manifest(**changes: Any) -> Manifest:
    plain = Manifest(
        edgekit="0.1.0",
        created_by={"onnxruntime": "1.20.0"},
        recipe=RecipeRecord(name="tiny", metric="top1", max_drop=0.01),
        inputs=(TensorSpec("float32", ("batch", 4), ranges={"batch": (1, 2)}, name="x"),),
        outputs=(TensorSpec("float32", ("batch", 1), ranges={"batch": (1, 2)}, name="y"),),
        source={"weights_sha256": "0" * 64},
        golden_samples=1,
        targets=(TargetEntry(TARGET, (payload(),), ({"name": "openvino-int8", "verdict": "slower"},)),),
    )
    return replace(plain, **changes)


def contents() -> dict[str, bytes | Path]:
    return {MODEL: b"not really a model", GOLDEN: npy_bytes(Y), golden_input_entry(0, 0): npy_bytes(X)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small sound bundle, alone in its folder."""
    (tmp_path / "out").mkdir()
    return write_bundle(tmp_path / "out" / "tiny.edgekit", manifest(), contents()).path


def assemble(files: dict[str, bytes]) -> bytes:
    """A zip of `files` in the given order, laid out as the format says but with nothing checked."""
    entries = archive.place((name, len(data), zlib.crc32(data)) for name, data in files.items())
    body = b"".join(archive.local_header(entry) + files[entry.name] for entry in entries)
    return body + archive.directory(entries)


def put(path: Path, data: bytes | bytearray) -> None:
    """Make `data` the content of an existing file, in place: truncating first waits for the disk."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def disassemble(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist()}


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def rewrite_manifest(path: Path, change: Callable[[Any], Any]) -> None:
    """Put a changed manifest into an otherwise sound file."""
    files = disassemble(path)
    document = json.loads(files["manifest.json"])
    changed = change(document)
    files["manifest.json"] = canonical(document if changed is None else changed)
    put(path, assemble(files))


def read_all(path: Path) -> dict[str, bytes]:
    opened = open_bundle(path)
    return {name: opened.read(name) for name in opened.manifest.files}


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "a.edgekit", manifest(), contents())
    opened = open_bundle(str(tmp_path / "a.edgekit"))
    assert opened == written
    assert replace(opened.manifest, files={}) == manifest()
    assert {name: opened.read(name) for name in opened.manifest.files} == contents()
    assert {name: bytes(opened.view(name)) for name in opened.manifest.files} == contents()
    assert opened.manifest.files[MODEL].sha256 == hashlib.sha256(b"not really a model").hexdigest()
    assert verify_bundle(written.path) == written


def test_golden_arrays_come_back_by_name(path: Path) -> None:
    opened = open_bundle(path)
    (inputs, outputs) = (
        opened.golden_inputs(0),
        opened.golden_outputs(opened.manifest.targets[0].payloads[0], 0),
    )
    assert inputs.keys() == {"x"}
    assert outputs.keys() == {"y"}
    np.testing.assert_array_equal(inputs["x"], X)
    np.testing.assert_array_equal(outputs["y"], Y)
    assert inputs["x"].dtype == np.float32


@pytest.mark.parametrize("sample", [-1, 1])
def test_golden_sample_that_is_not_there_is_refused(path: Path, sample: int) -> None:
    opened = open_bundle(path)
    with pytest.raises(BundleError, match=f"no golden sample {sample}"):
        opened.golden_inputs(sample)
    with pytest.raises(BundleError, match=f"no golden sample {sample}"):
        opened.golden_outputs(opened.manifest.targets[0].payloads[0], sample)


def test_several_targets_and_payloads_share_files(tmp_path: Path) -> None:
    other = replace(TARGET, name="cpu-avx512-vnni")
    both = (payload(), payload("onnxruntime-int8", precision="int8"))
    targets = (TargetEntry(TARGET, both), TargetEntry(other, (payload(),)))
    opened = write_bundle(tmp_path / "a.edgekit", manifest(targets=targets), contents())
    assert opened.manifest.targets == targets


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"not really a model")
    reordered = dict(reversed(contents().items())) | {MODEL: tmp_path / "model"}
    first = write_bundle(tmp_path / "a.edgekit", manifest(), contents())
    second = write_bundle(tmp_path / "b.edgekit", manifest(), reordered)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256


def test_identity_changes_with_any_payload(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a.edgekit", manifest(), contents())
    second = write_bundle(tmp_path / "b.edgekit", manifest(), contents() | {MODEL: b"another model"})
    assert first.sha256 != second.sha256


def test_every_entry_is_aligned_stored_and_readable_by_zipfile(tmp_path: Path) -> None:
    extra = {f"extra/{size}": bytes(range(size)) for size in range(0, 130, 3)}
    opened = write_bundle(tmp_path / "a.edgekit", manifest(), contents() | extra)
    with zipfile.ZipFile(opened.path) as other:
        assert other.testzip() is None
        infos = other.infolist()
    assert [info.filename for info in infos] == ["manifest.json", *sorted(contents() | extra)]
    assert {(info.compress_type, info.date_time, info.external_attr) for info in infos} == {
        (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 0o100644 << 16)
    }
    for name, data in (contents() | extra).items():
        array = np.frombuffer(opened.view(name), np.uint8)
        assert array.tobytes() == data
        assert array.ctypes.data % 64 == 0 or not data


def test_view_outlives_its_bundle_and_the_file(path: Path) -> None:
    view = open_bundle(path).view(MODEL)
    path.unlink()
    assert bytes(view) == b"not really a model"
    assert view.readonly


def test_written_file_has_the_usual_permissions(path: Path) -> None:
    plain = path.with_name("plain")
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


# --- the document -------------------------------------------------------------------------------------------


def fenced(tag: str) -> str:
    """The block of the document that is fenced with this tag."""
    return DOCUMENT.read_text(encoding="utf-8").split(f"```{tag}\n")[1].split("```")[0]


def undump(text: str, blocks: dict[str, bytes]) -> bytes:
    """The bytes of an annotated dump: lines of `offset  bytes  # meaning`.

    Among the bytes: hexadecimal pairs, `00*12` for a run, "text" in ASCII, and <name> for one of `blocks`.
    """
    data = b""
    for line in text.splitlines():
        offset, shown = line.split("#")[0].split(maxsplit=1)
        assert int(offset, 16) == len(data), line
        for quoted, block, byte, count in re.findall(r'"([^"]*)"|<([^>]+)>|(\w\w)(?:\*(\d+))?', shown):
            data += blocks[block] if block else quoted.encode() + bytes.fromhex(byte) * int(count or 1)
    return data


def test_document_shows_the_bytes_that_are_written(tmp_path: Path) -> None:
    files = {
        "model.txt": b"hello, edge\n",
        "golden/0/input-0.npy": npy_bytes(X[:, :1]),
        "y.npy": npy_bytes(Y),
    }
    small = payload(files={"model": "model.txt"}, golden_outputs=({"y": "y.npy"},))
    one = TensorSpec("float32", (1, 1), name="x")
    example = manifest(inputs=(one,), outputs=(replace(one, name="y"),), targets=(TargetEntry(TARGET, (small,)),))
    opened = write_bundle(tmp_path / "example.edgekit", example, files)
    written = opened.path.read_bytes()
    shown = canonical(json.loads(fenced("json")))
    assert undump(fenced("text dump"), {"manifest.json": shown}) == written
    document = DOCUMENT.read_text(encoding="utf-8")
    assert f"`{hashlib.sha256(written).hexdigest()}`" in document
    assert f"`{opened.sha256}`" in document


# --- damage -------------------------------------------------------------------------------------------------


def test_every_flipped_byte_is_found(path: Path) -> None:
    sound, content = path.read_bytes(), read_all(path)
    for at, mask in [(at, mask) for at in range(len(sound)) for mask in (0x01, 0x20, 0xFF)]:
        put(path, sound[:at] + bytes([sound[at] ^ mask]) + sound[at + 1 :])
        with pytest.raises(BundleError):
            verify_bundle(path)
        try:
            assert read_all(path) == content, f"byte {at} was flipped with {mask:#x} and other content came back"
        except BundleError:
            continue


def test_every_truncation_is_found(path: Path) -> None:
    sound = path.read_bytes()
    for length in range(len(sound)):
        put(path, sound[:length])
        with pytest.raises(BundleFormatError):
            open_bundle(path)


@pytest.mark.parametrize("tail", [b"\0", b"PK\x05\x06" + bytes(18), b"more" * 100])
def test_appended_bytes_are_found(path: Path, tail: bytes) -> None:
    put(path, path.read_bytes() + tail)
    with pytest.raises(BundleFormatError):
        open_bundle(path)


def test_random_damage_raises_nothing_but_bundle_errors(path: Path) -> None:
    dice, sound = random.Random(7), path.read_bytes()  # noqa: S311 - not for secrets
    for _ in range(3000):
        damaged = bytearray(sound)
        for _ in range(dice.randint(2, 12)):
            near_the_end = dice.random() < 0.5
            at = dice.randrange(len(sound) - 500 if near_the_end else 0, len(sound))
            damaged[at] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        if bytes(damaged) == sound:
            continue
        put(path, damaged)
        with pytest.raises(BundleError):
            verify_bundle(path)


def test_altered_payload_is_found_even_with_a_matching_crc(path: Path) -> None:
    put(path, assemble(disassemble(path) | {MODEL: b"not really a MODEL"}))
    opened = open_bundle(path)
    for access in (opened.read, opened.view, lambda _: verify_bundle(path)):
        with pytest.raises(BundleIntegrityError, match=r"model\.onnx does not match its SHA-256"):
            access(MODEL)
    assert opened.read(GOLDEN) == npy_bytes(Y)


def test_altered_manifest_is_found_by_its_crc(path: Path) -> None:
    put(path, path.read_bytes().replace(b"the only one", b"the best one"))
    with pytest.raises(BundleIntegrityError, match=r"manifest\.json does not match its CRC-32"):
        open_bundle(path)


# --- refusals: the file -------------------------------------------------------------------------------------


def refused(path: Path, kind: type[BundleError], says: str) -> None:
    """Opening raises exactly `kind`, and the message names the file and holds `says`."""
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "not an edgekit bundle"),
        (b"\x7fELF" + bytes(100), "not an edgekit bundle"),
        (b"PK\x03\x04", "truncated"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "x").write_bytes(data)
    refused(tmp_path / "x", BundleFormatError, says)


def test_another_zip_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as other:
        other.writestr("word/document.xml", "<w/>")
    refused(tmp_path / "x", BundleFormatError, "its first entry is 'word/document.xml'; expected 'manifest.json'")


def test_paths_that_cannot_be_read_are_refused(tmp_path: Path, path: Path) -> None:
    refused(tmp_path / "none.edgekit", BundleError, "no bundle at")
    refused(tmp_path, BundleError, "is not a file")
    refused(path / "inside", BundleError, "cannot read")
    refused(Path(os.devnull), BundleError, "is not a file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_neither_waited_for_nor_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", BundleError, "is not a file")
    with pytest.raises(BundleError, match="is not a file"):
        write_bundle(tmp_path / "pipe", manifest(), contents())
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_file_without_permission_is_refused(path: Path) -> None:
    path.chmod(0)
    refused(path, BundleError, "permissions")


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


# --- refusals: the manifest ---------------------------------------------------------------------------------


def test_newer_format_is_refused_whatever_else_it_holds(path: Path) -> None:
    rewrite_manifest(path, lambda _: {"format": 2, "unheard": "of"})
    refused(path, BundleFormatError, "made by a newer edgekit (format 2; this one reads 1): upgrade edgekit")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"format":1', b"9" * 5000])
def test_manifest_that_is_not_json_is_refused(path: Path, data: bytes) -> None:
    put(path, assemble(disassemble(path) | {"manifest.json": data}))
    with pytest.raises(BundleFormatError):
        open_bundle(path)


@pytest.mark.parametrize("data", [b"[]", b"null", b"1", b'"format"'])
def test_manifest_that_is_no_object_is_refused(path: Path, data: bytes) -> None:
    put(path, assemble(disassemble(path) | {"manifest.json": data}))
    refused(path, BundleFormatError, "expected an object")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format": 1'),
        (b'"format":1', b'"format":1,"format":1'),
        (b'"max_drop":0.01', b'"max_drop":1e-2'),
        (b'"max_drop":0.01', b'"max_drop":NaN'),
        (b'"max_drop":0.01', b'"max_drop":1e999'),
        (b"the only one", b"the \\u006fnly one"),
        (b"the only one", b"\\ud800"),
    ],
)
def test_manifest_that_is_not_canonical_is_refused(path: Path, old: bytes, new: bytes) -> None:
    files = disassemble(path)
    assert old in files["manifest.json"]
    put(path, assemble(files | {"manifest.json": files["manifest.json"].replace(old, new)}))
    with pytest.raises(BundleFormatError):
        open_bundle(path)


def places(value: Any, trail: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index in `value`, as the trail that leads to it."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*trail, step)
        yield from places(inner, (*trail, step))


def holder(document: Any, trail: tuple[Any, ...]) -> Any:
    for step in trail[:-1]:
        document = document[step]
    return document


REQUIRED = """format edgekit created_by recipe inputs outputs source golden targets files
recipe.name recipe.metric recipe.max_drop golden.samples
inputs.0.name inputs.0.dtype inputs.0.shape inputs.0.ranges
targets.0.target targets.0.payloads targets.0.candidates targets.0.target.name targets.0.target.isa
targets.0.payloads.0.name targets.0.payloads.0.backend targets.0.payloads.0.precision
targets.0.payloads.0.method targets.0.payloads.0.files targets.0.payloads.0.golden_outputs
targets.0.payloads.0.golden_tolerance targets.0.payloads.0.reason targets.0.payloads.0.accuracy
targets.0.payloads.0.drop targets.0.payloads.0.latency"""


@pytest.mark.parametrize("key", REQUIRED.split())
def test_missing_and_ill_typed_keys_are_named(path: Path, key: str) -> None:
    trail = tuple(int(step) if step.isdigit() else step for step in key.split("."))
    sound = path.read_bytes()
    shown = key.replace(".0", "[0]")

    rewrite_manifest(path, lambda document: holder(document, trail).pop(trail[-1]) and None)
    refused(path, BundleFormatError, f"{shown} is missing")
    put(path, sound)
    rewrite_manifest(path, lambda document: holder(document, trail).__setitem__(trail[-1], True))
    refused(path, BundleFormatError, f"manifest.json: {shown} is ")


def test_any_value_in_any_place_raises_nothing_but_bundle_errors(path: Path) -> None:
    document = json.loads(disassemble(path)["manifest.json"])
    files = disassemble(path)
    values: list[Any] = [None, True, -1, 0, 2, 10**400, 1e300, "", "x", "\0"]
    values += [[], [[]], [1, 2, 3], ["x"], {}, {"x": 1}]
    for trail in places(document):
        for value in values:
            changed = json.loads(json.dumps(document))
            holder(changed, trail)[trail[-1]] = value
            put(path, assemble(files | {"manifest.json": canonical(changed)}))
            try:
                opened = open_bundle(path)
                opened.golden_inputs(0)
            except BundleError:
                continue
            assert opened.read(MODEL) == contents()[MODEL]


@pytest.mark.parametrize(
    ("trail", "value", "says"),
    [
        (("golden", "samples"), 0, "golden.samples is 0; expected a whole number from 1"),
        (("golden", "samples"), 2, "golden_outputs has 1 samples; expected golden.samples, which is 2"),
        (("targets",), [], "targets is empty"),
        (("targets", 0, "payloads"), [], "targets[0].payloads is empty"),
        (("targets", 0, "payloads", 0, "files"), {}, "targets[0].payloads[0].files is empty"),
        (("targets", 0, "payloads", 0, "golden_tolerance"), {"z": 1.0}, "expected the outputs, ['y']"),
        (("targets", 0, "payloads", 0, "golden_tolerance", "y"), -1, "expected a finite number from 0"),
        (("targets", 0, "target", "arch"), "z80", "targets[0].target"),
        (("inputs", 0, "dtype"), "float8", "unknown dtype 'float8'"),
        (("inputs", 0, "ranges", "batch"), [2, 1], "range 2..1"),
        (("inputs", 0, "ranges", "batch"), [2], "inputs[0].ranges.batch"),
        (("files", MODEL, "sha256"), "A" * 64, "expected 64 lower-case hexadecimal digits"),
    ],
)
def test_senseless_values_are_named(path: Path, trail: tuple[Any, ...], value: Any, says: str) -> None:
    rewrite_manifest(path, lambda document: holder(document, trail).__setitem__(trail[-1], value))
    refused(path, BundleFormatError, says)


def test_twin_names_are_refused_before_anything_is_written(path: Path) -> None:
    twins = {
        "inputs": manifest().inputs * 2,
        "outputs": manifest().outputs * 2,
        "targets": manifest().targets * 2,
    }
    for key, value in twins.items():
        with nothing_left_behind(path), pytest.raises(BundleFormatError, match=f"{key} has '.*' twice"):
            write_bundle(path, manifest(**{key: value}), contents())
    twice = (TargetEntry(TARGET, (payload(), payload())),)
    with nothing_left_behind(path), pytest.raises(BundleFormatError, match="payloads has 'onnxruntime-f32' twice"):
        write_bundle(path, manifest(targets=twice), contents())


def test_unknown_keys_are_let_be(path: Path) -> None:
    rewrite_manifest(path, lambda document: document | {"remark": "from a later edgekit of the same format"})
    assert verify_bundle(path).manifest.recipe.name == "tiny"


# --- refusals: payloads -------------------------------------------------------------------------------------


def test_missing_payload_is_refused(path: Path) -> None:
    files = disassemble(path)
    del files[MODEL]
    put(path, assemble(files))
    refused(path, BundleIntegrityError, f"payload {MODEL!r} is missing")


def test_unlisted_entry_is_refused(path: Path) -> None:
    put(path, assemble(disassemble(path) | {"z.so": b"x"}))
    refused(path, BundleIntegrityError, "entry 'z.so' is not listed in manifest.json")


def test_payload_of_another_size_is_refused(path: Path) -> None:
    put(path, assemble(disassemble(path) | {MODEL: b"short"}))
    refused(path, BundleIntegrityError, f"{MODEL} has 5 bytes; manifest.json lists 18")


@pytest.mark.parametrize("entry", [MODEL, GOLDEN, golden_input_entry(0, 0)])
def test_manifest_that_refers_to_nothing_is_refused(tmp_path: Path, path: Path, entry: str) -> None:
    files = disassemble(path)
    del files[entry]
    put(path, assemble(files))
    rewrite_manifest(path, lambda document: document["files"].pop(entry) and None)
    refused(path, BundleIntegrityError, f"{entry!r}, which the bundle does not hold")
    fewer = {name: data for name, data in contents().items() if name != entry}
    with pytest.raises(BundleIntegrityError, match="which the bundle does not hold"):
        write_bundle(tmp_path / "x", manifest(), fewer)


@pytest.mark.parametrize("entry", ["nothing", "manifest.json", "../../etc/passwd"])
def test_reading_an_unknown_entry_is_refused(path: Path, entry: str) -> None:
    with pytest.raises(BundleIntegrityError, match="no entry"):
        open_bundle(path).read(entry)


class Bomb:
    def __reduce__(self) -> Any:
        return print, ("a pickle was run",)


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pickled(), "not a plain .npy file"),
        (b"", "not a plain .npy file"),
        (npy_bytes(X)[:-1], "not a plain .npy file"),
        (npy_bytes(X).replace(b"(1, 4)", b"(1, 4"), "not a plain .npy file"),
        (npy_bytes(X).replace(b"(1, 4), }    ", b"(1, 4000000000)"), "not a plain .npy file"),
        (npy_bytes(X) + b"x", "goes on after its array ends"),
        (npy_bytes(X.astype(np.float64)), "not what the manifest declares"),
        (npy_bytes(X[0]), "not what the manifest declares"),
    ],
)
def test_golden_entry_that_is_not_the_declared_array_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, says: str
) -> None:
    opened = write_bundle(tmp_path / "x", manifest(), contents() | {golden_input_entry(0, 0): data})
    with pytest.raises(BundleFormatError, match=says):
        opened.golden_inputs(0)
    assert "a pickle was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3.5),
        np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
        np.zeros((0, 2), np.int8),
        X.astype(">f4"),
    ],
)
def test_arrays_of_every_layout_keep_their_values(array: Any) -> None:
    array = np.asarray(array)
    back = np.load(io.BytesIO(npy_bytes(array)))
    np.testing.assert_array_equal(back, array)
    assert back.shape == array.shape
    assert back.dtype.str[0] in "<|"


def test_array_of_objects_cannot_be_written() -> None:
    with pytest.raises(TensorError, match="Python objects"):
        npy_bytes(np.array([Bomb()], dtype=object))


# --- writing ------------------------------------------------------------------------------------------------


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [float("nan"), np.zeros(2), {1, 2}, "\ud800", nested(100_000)], ids=type)
def test_values_that_json_cannot_carry_are_refused(tmp_path: Path, value: Any) -> None:
    entry = TargetEntry(TARGET, (payload(accuracy={"top1": value}),))
    with pytest.raises(BundleFormatError, match="convert the value"):
        write_bundle(tmp_path / "x", manifest(targets=(entry,)), contents())
    assert not list(tmp_path.iterdir())


def test_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for source, reason in [(tmp_path / "none", "No such file"), (tmp_path, "directory")]:
        with pytest.raises(BundleError, match=f"cannot read {source}: .*{reason}"):
            write_bundle(tmp_path / "x", manifest(), contents() | {MODEL: source})


def test_source_that_changes_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_bytes(b"before")
    original = writer._manifest_bytes

    def change(*arguments: Any) -> bytes:
        (tmp_path / "model").write_bytes(b"after!")
        return original(*arguments)

    monkeypatch.setattr(writer, "_manifest_bytes", change)
    with pytest.raises(BundleError, match="changed while it was read"):
        write_bundle(tmp_path / "x", manifest(), contents() | {MODEL: tmp_path / "model"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@contextmanager
def nothing_left_behind(path: Path) -> Iterator[None]:
    """The folder of `path` and the bundle in it are as they were."""
    before = path.read_bytes()
    yield
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def fail_at(call: int, error: BaseException, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, raising `error` the `call`th time."""
    calls = 0

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        return function(*arguments)

    return failing


@pytest.mark.parametrize("call", [1, 2, 4])
def test_interrupt_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    monkeypatch.setattr(writer, "local_header", fail_at(call, KeyboardInterrupt(), archive.local_header))
    with nothing_left_behind(path), pytest.raises(KeyboardInterrupt):
        write_bundle(path, manifest(), contents() | {MODEL: b"x" * 100_000})


def test_failing_sync_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", fail_at(1, full, os.fsync))
    with nothing_left_behind(path), pytest.raises(BundleError, match=r"cannot write .*free some space"):
        write_bundle(path, manifest(), contents() | {MODEL: b"x"})


class FullDisk(io.FileIO):
    def write(self, data: Any) -> int:
        if self.tell() > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_full_disk_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def fill(self: Path, mode: str = "r", **rest: Any) -> Any:
        return FullDisk(self, "x") if mode == "xb" else original(self, mode, **rest)

    monkeypatch.setattr(Path, "open", fill)
    with nothing_left_behind(path), pytest.raises(BundleError) as caught:
        write_bundle(path, manifest(), contents() | {MODEL: b"x"})
    assert str(path) in str(caught.value)
    assert "No space left" in str(caught.value)
    assert "free some space there, or write to another disk" in str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root on Linux; the full disk was only imitated")
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path / "disk")]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small tmpfs here ({done.stderr.strip()}); the full disk was only imitated")
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_really_full_disk_leaves_nothing_behind(small_disk: Path) -> None:
    path = write_bundle(small_disk / "tiny.edgekit", manifest(), contents()).path
    with nothing_left_behind(path), pytest.raises(BundleError, match=r"No space left.*free some space"):
        write_bundle(path, manifest(), contents() | {MODEL: bytes(200_000)})
    write_bundle(path, manifest(), contents() | {MODEL: b"fits"})
    assert verify_bundle(path).read(MODEL) == b"fits"


def test_places_that_cannot_be_written_are_refused(tmp_path: Path, path: Path) -> None:
    for place, says in [
        (tmp_path / "none" / "x", "create the folder first"),
        (path / "x", "cannot write"),
        (tmp_path, "is not a file"),
    ]:
        with pytest.raises(BundleError, match=says):
            write_bundle(place, manifest(), contents())
    verify_bundle(path)


def test_open_bundle_is_not_disturbed_by_its_successor(path: Path) -> None:
    old = open_bundle(path)
    write_bundle(path, manifest(), contents() | {MODEL: b"successor"})
    assert old.read(MODEL) == b"not really a model"
    assert open_bundle(path).read(MODEL) == b"successor"


# --- large files --------------------------------------------------------------------------------------------


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


def test_zip64_damage_raises_nothing_but_bundle_errors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ZIP64_FROM", 1)
    sound = write_bundle(path, manifest(), contents()).path.read_bytes()
    for at in range(len(sound) - 600, len(sound)):
        for mask in (0x01, 0x80, 0xFF):
            put(path, sound[:at] + bytes([sound[at] ^ mask]) + sound[at + 1 :])
            with pytest.raises(BundleError):
                verify_bundle(path)


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


# --- imports ------------------------------------------------------------------------------------------------


def test_import_needs_the_standard_library_and_numpy_only() -> None:
    code = "import sys; before = set(sys.modules); import edgekit.bundle; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "edgekit" in loaded
    assert loaded - sys.stdlib_module_names <= {"edgekit", "numpy"}
    assert set(bundles.__all__) <= set(dir(bundles))
