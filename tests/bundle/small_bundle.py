"""A small sound bundle, and tools to take a bundle apart, change it and put it together again."""

from __future__ import annotations

import json
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.bundle import (
    Manifest,
    Payload,
    RecipeRecord,
    TargetEntry,
    archive,
    golden_input_entry,
    npy_bytes,
    open_bundle,
)
from edgekit.errors import BundleError
from edgekit.target import Peak, Target
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def refused(path: Path, kind: type[BundleError], says: str) -> None:
    """Opening raises exactly `kind`, and the message names the file and holds `says`."""
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@contextmanager
def nothing_left_behind(path: Path) -> Iterator[None]:
    """The folder of `path` and the bundle in it are as they were."""
    before = path.read_bytes()
    yield
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before
