"""Files appear whole or not at all, and a refusal says which file, why, and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgekit.errors import BundleError, EdgekitError
from edgekit.files import make_folder, replacing, sha256_of


def test_file_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with replacing(tmp_path / "x") as draft:
        draft.write_text("new")
        assert (tmp_path / "x").read_text() == "old"
    assert (tmp_path / "x").read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "x").write_text("old")

    def write_half() -> None:
        with replacing(tmp_path / "x") as draft:
            draft.write_text("half")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert (tmp_path / "x").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_full_disk_is_told_with_path_and_remedy_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(BundleError, match=r"cannot write .*x: .*; free some space"),
        replacing(tmp_path / "x", error=BundleError) as draft,
    ):
        draft.write_text("all of it")
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_and_folder_in_the_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="create the folder first"), replacing(tmp_path / "no" / "x") as draft:
        draft.write_text("")
    with pytest.raises(EdgekitError, match="is not a file"), replacing(tmp_path):
        pytest.fail("the block must not run")


def test_folder_is_made_with_those_above_it_but_not_over_a_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(EdgekitError, match="cannot write .*file: File exists; that is a file"):
        make_folder(tmp_path / "file")
    with pytest.raises(EdgekitError, match="a part of that path is a file"):
        make_folder(tmp_path / "file" / "below")


def test_a_digest_is_sha256s(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
