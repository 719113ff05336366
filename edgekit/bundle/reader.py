"""Opening a bundle: the directory and manifest are checked at once, each payload when it is asked for."""

from __future__ import annotations

import hashlib
import mmap
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle.archive import MANIFEST, Entry, check_layout, read_manifest, read_rows
from edgekit.bundle.codec import decode_manifest
from edgekit.bundle.golden import read_golden
from edgekit.bundle.manifest import golden_input_entry
from edgekit.errors import BundleError, BundleFormatError, BundleIntegrityError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgekit.bundle.manifest import Manifest, Payload
    from edgekit.tensors import Array


@dataclass(frozen=True)
class Bundle:
    """An open bundle. It keeps the file mapped for as long as it, or a view from it, lives.

    sha256: the bundle's identity, the SHA-256 of its manifest's bytes, which list the SHA-256 of all else.
    """

    path: Path
    manifest: Manifest
    sha256: str
    _entries: Mapping[str, Entry] = field(repr=False, compare=False)
    _data: mmap.mmap = field(repr=False, compare=False)

    def view(self, entry: str) -> memoryview:
        """The entry's bytes where they lie in the mapped file: read-only, and aligned to 64 bytes.

        They match their SHA-256 at the time of the call. A tool that writes into the file in place, or cuts
        it short, changes them later; `write_bundle` never does: it puts a new file in the old one's place.

        Raises:
            BundleIntegrityError: no such entry, or its bytes are not those that the manifest lists.
        """
        view = self._slice(entry)
        self._check(entry, view)
        return view

    def read(self, entry: str) -> bytes:
        """A copy of the entry's bytes; raises as `view` does."""
        data = bytes(self._slice(entry))
        self._check(entry, data)
        return data

    def golden_inputs(self, sample: int) -> dict[str, Array]:
        """The inputs of golden sample number `sample`, by name.

        Raises:
            BundleError: no such sample, or one that is altered or not what the manifest declares.
        """
        self._check_sample(sample)
        entries = [golden_input_entry(sample, index) for index in range(len(self.manifest.inputs))]
        pairs = zip(self.manifest.inputs, entries, strict=True)
        return {spec.name: read_golden(entry, self.read(entry), spec=spec) for spec, entry in pairs}

    def golden_outputs(self, payload: Payload, sample: int) -> dict[str, Array]:
        """What `payload` computed from golden sample number `sample` when it was built, by output name.

        Raises:
            BundleError: no such sample, or one that is altered or not what the manifest declares.
        """
        self._check_sample(sample)
        entries = payload.golden_outputs[sample]
        return {
            spec.name: read_golden(entries[spec.name], self.read(entries[spec.name]), spec=spec)
            for spec in self.manifest.outputs
        }

    def _slice(self, entry: str) -> memoryview:
        if entry not in self._entries or entry == MANIFEST:
            raise BundleIntegrityError(f"{self.path}: no entry {entry!r}; {did_you_mean(entry, self.manifest.files)}")
        found = self._entries[entry]
        return memoryview(self._data)[found.data_offset : found.end]

    def _check(self, entry: str, data: memoryview | bytes) -> None:
        if hashlib.sha256(data).hexdigest() != self.manifest.files[entry].sha256:
            raise BundleIntegrityError(
                f"{self.path}: {entry} does not match its SHA-256: the file was altered; "
                "get it again, or build it again"
            )

    def _check_sample(self, sample: int) -> None:
        if not 0 <= sample < self.manifest.golden_samples:
            raise BundleError(
                f"{self.path}: no golden sample {sample}; it holds 0 to {self.manifest.golden_samples - 1}"
            )


def open_bundle(path: str | Path) -> Bundle:
    """The bundle at `path`. Reads and checks the directory, the headers and the manifest, no payload.

    Raises:
        BundleError: the file is not there or cannot be read.
        BundleFormatError: not a bundle, truncated, too new, or not laid out as the format prescribes.
        BundleIntegrityError: an entry is missing, unlisted or not of the size that the manifest lists.
    """
    path = Path(path)
    data = _map(path)
    with _naming(path):
        rows = read_rows(data)
        content = read_manifest(data, rows)
        manifest = decode_manifest(content)
        entries = {entry.name: entry for entry in check_layout(data, rows)}
        _check_files(manifest, entries)
    return Bundle(path, manifest, hashlib.sha256(content).hexdigest(), entries, data)


def verify_bundle(path: str | Path) -> Bundle:
    """`open_bundle`, and every payload read and checked: any byte of the file that was altered is found.

    Raises:
        BundleError: as `open_bundle` does.
        BundleIntegrityError: an entry does not match its SHA-256 or its CRC-32.
    """
    bundle = open_bundle(path)
    for name in bundle.manifest.files:
        if zlib.crc32(bundle.view(name)) != bundle._entries[name].crc32:
            raise BundleIntegrityError(f"{path}: {name} does not match its CRC-32; get it again, or build it again")
    return bundle


def _map(path: Path) -> mmap.mmap:
    try:
        if path.exists() and not path.is_file():
            raise BundleError(f"{path} is not a file; expected an .edgekit bundle")
        with path.open("rb") as file:
            if not file.seek(0, 2):
                raise BundleFormatError(f"{path}: not an edgekit bundle: the file is empty")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise BundleError(f"no bundle at {path}; check the path, or make one with `edgekit build`") from error
    except (
        OSError,
        ValueError,
    ) as error:  # ValueError: a NUL in the path, or a file too large for the address space
        raise BundleError(f"cannot read {path}: {error}; check the path and its permissions") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the path in front of what a check says."""
    try:
        yield
    except BundleError as error:
        raise type(error)(f"{path}: {error}") from error


def _check_files(manifest: Manifest, entries: Mapping[str, Entry]) -> None:
    """Refuse entries that are missing, unlisted, or not of the listed size."""
    held = entries.keys() - {MANIFEST}
    if missing := sorted(manifest.files.keys() - held):
        raise BundleIntegrityError(f"payload {missing[0]!r} is missing; get the bundle again, or build it again")
    if unlisted := sorted(held - manifest.files.keys()):
        raise BundleIntegrityError(
            f"entry {unlisted[0]!r} is not listed in {MANIFEST}: something was added to the file"
        )
    for name, record in manifest.files.items():
        if (found := entries[name].size_bytes) != record.size_bytes:
            raise BundleIntegrityError(f"{name} has {found} bytes; {MANIFEST} lists {record.size_bytes}: get it again")
