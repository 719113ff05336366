"""Writing: all of the file or nothing of it, and the reason in words."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from small_bundle import MODEL, contents, manifest, nothing_left_behind, refused

from edgekit.bundle import archive, verify_bundle, write_bundle, writer
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_written_file_has_the_usual_permissions(path: Path) -> None:
    plain = path.with_name("plain")
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_neither_waited_for_nor_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", BundleError, "is not a file")
    with pytest.raises(BundleError, match="is not a file"):
        write_bundle(tmp_path / "pipe", manifest(), contents())
    assert (tmp_path / "pipe").is_fifo()


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
