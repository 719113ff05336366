"""What is written comes back, the same bytes every time, and other zip tools read it."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from small_bundle import MODEL, TARGET, contents, manifest, payload

from edgekit.bundle import TargetEntry, open_bundle, verify_bundle, write_bundle


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "a.edgekit", manifest(), contents())
    opened = open_bundle(str(tmp_path / "a.edgekit"))
    assert opened == written
    assert replace(opened.manifest, files={}) == manifest()
    assert {name: opened.read(name) for name in opened.manifest.files} == contents()
    assert {name: bytes(opened.view(name)) for name in opened.manifest.files} == contents()
    assert opened.manifest.files[MODEL].sha256 == hashlib.sha256(b"not really a model").hexdigest()
    assert verify_bundle(written.path) == written


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
