"""Opening: what is no bundle, and a bundle whose entries and manifest disagree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_bundle import MODEL, assemble, contents, disassemble, manifest, put, refused

from edgekit import bundle as bundles
from edgekit.bundle import open_bundle, write_bundle
from edgekit.errors import BundleError, BundleFormatError, BundleIntegrityError


def test_view_outlives_its_bundle_and_the_file(path: Path) -> None:
    view = open_bundle(path).view(MODEL)
    path.unlink()
    assert bytes(view) == b"not really a model"
    assert view.readonly


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


def test_paths_that_cannot_be_read_are_refused(tmp_path: Path, path: Path) -> None:
    refused(tmp_path / "none.edgekit", BundleError, "no bundle at")
    refused(tmp_path, BundleError, "is not a file")
    refused(path / "inside", BundleError, "cannot read")
    refused(Path(os.devnull), BundleError, "is not a file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_file_without_permission_is_refused(path: Path) -> None:
    path.chmod(0)
    refused(path, BundleError, "permissions")


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


@pytest.mark.parametrize("entry", ["nothing", "manifest.json", "../../etc/passwd"])
def test_reading_an_unknown_entry_is_refused(path: Path, entry: str) -> None:
    with pytest.raises(BundleIntegrityError, match="no entry"):
        open_bundle(path).read(entry)


def test_open_bundle_is_not_disturbed_by_its_successor(path: Path) -> None:
    old = open_bundle(path)
    write_bundle(path, manifest(), contents() | {MODEL: b"successor"})
    assert old.read(MODEL) == b"not really a model"
    assert open_bundle(path).read(MODEL) == b"successor"


def test_import_needs_the_standard_library_and_numpy_only() -> None:
    code = "import sys; before = set(sys.modules); import edgekit.bundle; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "edgekit" in loaded
    assert loaded - sys.stdlib_module_names <= {"edgekit", "numpy"}
    assert set(bundles.__all__) <= set(dir(bundles))
