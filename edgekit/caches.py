"""Where edgekit keeps what it can make again: one folder in the user's cache directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir(*parts: str) -> Path:
    """`$EDGEKIT_CACHE`, or `edgekit` in the platform's cache directory, joined with `parts`; it need not exist yet."""
    return _root().joinpath(*parts)


def _root() -> Path:
    if override := os.environ.get("EDGEKIT_CACHE"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local") / "edgekit" / "cache"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "edgekit"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "edgekit"


def _home() -> Path:
    """The user's home; without one (a service, a bare container) a folder for temporary files."""
    try:
        return Path.home()
    except RuntimeError:
        import tempfile

        return Path(tempfile.gettempdir())
