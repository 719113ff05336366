"""Files that appear whole or not at all, and what to do where the system refuses one."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgekit.errors import EdgekitError

_ADVICE = {
    errno.ENOSPC: "free some space there, or write to another disk",
    errno.EDQUOT: "free some of your quota, or write to another disk",
    errno.EFBIG: "raise the file size limit, or write to another disk",
    errno.ENOENT: "create the folder first",
    errno.EEXIST: "that is a file; choose another name",
    errno.ENOTDIR: "a part of that path is a file; choose another folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
}


@contextmanager
def replacing(path: Path, *, error: type[EdgekitError] = EdgekitError) -> Iterator[Path]:
    """A free path beside `path`: the file that the block writes there takes its place once it is on disk whole.

    If anything fails, what was at `path` stays, and nothing else does.

    error: what an OSError becomes, with path, reason and remedy.

    Raises:
        EdgekitError: `path` is no file, or cannot be written.
    """
    draft = path.with_name(f".edgekit-{secrets.token_hex(8)}.tmp")
    try:
        with _explained(path, error):
            if path.exists() and not path.is_file():
                raise error(f"cannot write {path}: it is not a file; choose another name")
            yield draft
            with draft.open("rb+") as written:
                os.fsync(written.fileno())
            draft.replace(path)
    finally:
        with suppress(OSError):  # already in place, or never made
            draft.unlink()


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those above it, where they are not there.

    Raises:
        EdgekitError: `path` is a file, or cannot be made.
    """
    with _explained(path, EdgekitError):
        path.mkdir(parents=True, exist_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in lower-case hexadecimal, in pieces that stay small in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _explained(path: Path, error: type[EdgekitError]) -> Iterator[None]:
    try:
        yield
    except OSError as refusal:
        advice = _ADVICE.get(refusal.errno or 0, "check the path and the disk")
        raise error(f"cannot write {path}: {refusal.strerror or refusal}; {advice}") from refusal
