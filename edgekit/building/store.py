"""What a build has made before and need not make again: files in the cache, named by what they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from edgekit.caches import cache_dir

LARGEST_BYTES = 4 << 30  # of the whole store; what was used longest ago goes first


class Store:
    """Files by the digest of what they depend on. An interrupted build finds here what it had finished.

    folder: None for a store that keeps nothing beyond its own life.
    """

    def __init__(self, folder: Path | None) -> None:
        self._own = None if folder is not None else tempfile.TemporaryDirectory(prefix="edgekit-store-")
        self._folder = Path(self._own.name) if self._own is not None else folder or Path()

    def file(self, made_from: object, name: str, *, make: Callable[[Path], None]) -> Path:
        """The file `name` that `make` wrote, now or earlier, from what the JSON-ready `made_from` describes.

        make: writes the file at the path that it is given, and may write others beside it.
        """
        place = self._folder / _digest(made_from)
        if not (place / name).exists():
            self._fill(place, name, make)
        with contextlib.suppress(OSError):
            os.utime(place)
        return place / name

    def value(self, made_from: object, *, make: Callable[[], Any]) -> Any:
        """The JSON-ready value that `make` gave, now or earlier."""

        def write(path: Path) -> None:
            path.write_text(json.dumps(make()), encoding="utf-8")

        return json.loads(self.file(made_from, "value.json", make=write).read_text(encoding="utf-8"))

    def trim(self, largest_bytes: int = LARGEST_BYTES) -> None:
        """Delete what was used longest ago until at most `largest_bytes` are left."""
        places = sorted(self._folder.glob("*"), key=lambda place: place.stat().st_mtime, reverse=True)
        total = 0
        for place in places:
            total += sum(part.stat().st_size for part in place.rglob("*") if part.is_file())
            if total > largest_bytes:
                shutil.rmtree(place, ignore_errors=True)

    def close(self) -> None:
        """Delete a store that was to keep nothing."""
        if self._own is not None:
            self._own.cleanup()

    def _fill(self, place: Path, name: str, make: Callable[[Path], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".making-") as draft:
            make(Path(draft) / name)
            with contextlib.suppress(OSError):  # another build was first: its file is as good
                Path(draft).rename(place)
                Path(draft).mkdir()  # for the context to delete


def open_store(*, fresh: bool = False) -> Store:
    """The user's store; one that starts empty and keeps nothing if `fresh`, or where the cache cannot be written."""
    folder = cache_dir("build")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    return Store(None if fresh or not writable else folder)


@cache
def code_digest(package: str) -> str:
    """Digest of a package's own source: what its code made is made anew when the code changes."""
    digest = hashlib.sha256()
    for part in sorted(resources.files(package).iterdir(), key=lambda item: item.name):
        if part.name.endswith(".py"):
            digest.update(part.read_bytes())
    return digest.hexdigest()


def version_of(package: str) -> str:
    """The installed version of a package; empty if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _digest(made_from: object) -> str:
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:40]
