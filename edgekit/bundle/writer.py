"""Writing a bundle: deterministic, streamed, and all or nothing."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgekit.bundle.archive import (
    MANIFEST,
    MANIFEST_MAX_BYTES,
    Entry,
    check_names,
    directory,
    local_header,
    place,
)
from edgekit.bundle.codec import decode_manifest, encode_manifest
from edgekit.bundle.manifest import FileRecord
from edgekit.bundle.reader import Bundle, open_bundle
from edgekit.errors import BundleError, BundleFormatError
from edgekit.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgekit.bundle.manifest import Manifest

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class _Digest:
    sha256: str
    crc32: int
    size_bytes: int


def write_bundle(path: str | Path, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> Bundle:
    """Write a bundle and open it. The same manifest and contents give the same bytes.

    What is at `path` is replaced only by a whole new file; if anything fails it stays, and nothing else does.

    manifest: `files` is filled in from `contents`.
    contents: what each entry holds; a Path is streamed, twice, and never held in memory.

    Raises:
        BundleError: a file cannot be read, changed between the two passes, or `path` cannot be written.
        BundleFormatError: an unsafe entry name, or a manifest that a reader would refuse.
        BundleIntegrityError: the manifest refers to an entry that is not in `contents`.
    """
    path = Path(path)
    names = [MANIFEST, *sorted(contents)]
    check_names(names)
    digests = {name: _copy(contents[name], None) for name in names[1:]}
    data = _manifest_bytes(manifest, digests)
    digests[MANIFEST] = _copy(data, None)
    entries = place((name, digests[name].size_bytes, digests[name].crc32) for name in names)
    with replacing(path, error=BundleError) as draft, draft.open("xb") as out:
        for entry in entries:
            _write_entry(out, entry, data if entry.name == MANIFEST else contents[entry.name], digests[entry.name])
        out.write(directory(entries))
    return open_bundle(path)


def _manifest_bytes(manifest: Manifest, digests: Mapping[str, _Digest]) -> bytes:
    files = {name: FileRecord(digest.sha256, digest.size_bytes) for name, digest in digests.items()}
    data = encode_manifest(replace(manifest, files=files))
    if len(data) > MANIFEST_MAX_BYTES:
        raise BundleFormatError(f"the manifest has {len(data)} bytes; a bundle takes {MANIFEST_MAX_BYTES} at most")
    decode_manifest(data)  # a reader's checks, before anything is written
    return data


def _write_entry(out: BinaryIO, entry: Entry, source: bytes | Path, expected: _Digest) -> None:
    out.write(local_header(entry))
    if _copy(source, out) != expected:
        raise BundleError(f"the source of {entry.name} changed while it was read; write the bundle again")


def _copy(source: bytes | Path, out: BinaryIO | None) -> _Digest:
    """Stream `source` to `out`, if there is one; what went through."""
    sha256, crc32, size_bytes = hashlib.sha256(), 0, 0
    for chunk in _chunks(source):
        sha256.update(chunk)
        crc32 = zlib.crc32(chunk, crc32)
        size_bytes += len(chunk)
        if out is not None:
            out.write(chunk)
    return _Digest(sha256.hexdigest(), crc32, size_bytes)


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    if not isinstance(source, Path):
        yield source
        return
    try:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise BundleError(f"cannot read {source}: {error.strerror}; it was to go into the bundle") from error
