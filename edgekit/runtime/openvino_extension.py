"""Finds the OpenVINO extension library with edgekit's kernels, and says why it cannot be used where it cannot.

The library is bound to the OpenVINO release that it was built against, and what it computes to the edgekit release:
beside it lies a record of what it was built for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import edgekit
from edgekit.caches import cache_dir

FOLDER = "openvino-extension"  # in the cache, with one for each release of OpenVINO inside
LIBRARY = "libedgekit_openvino.so"
RECORD = "built_for.json"
MAKE = "make openvino-extension"


@dataclass(frozen=True)
class Extension:
    """library: None where there is none to use. reason: why not."""

    library: Path | None
    reason: str = ""


def extension_folder(openvino_version: str) -> Path:
    """Where `edgekit.backends.openvino_extension.build_extension` puts the library."""
    return cache_dir(FOLDER, openvino_version.replace("/", "_"))


def find_extension(openvino_version: str) -> Extension:
    """The library that was built for exactly this OpenVINO and this edgekit.

    openvino_version: `openvino.__version__`, with its build number.
    """
    folder = extension_folder(openvino_version)
    try:
        built_for = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Extension(None, _why_missing(openvino_version))
    except (OSError, ValueError) as error:
        return Extension(None, f"the record of edgekit's extension is unreadable ({error}); run: {MAKE}")
    for package, version in (("openvino", openvino_version), ("edgekit", edgekit.__version__)):
        found = built_for.get(package) if isinstance(built_for, dict) else None
        if found != version:
            return Extension(None, _why_other(package, str(found), version))
    library = folder / LIBRARY
    if not library.is_file():
        return Extension(None, f"edgekit's extension is not in {folder}; run: {MAKE}")
    return Extension(library)


def _why_missing(openvino_version: str) -> str:
    others = sorted(record.parent.name for record in cache_dir(FOLDER).glob(f"*/{RECORD}"))
    if others:
        return _why_other("openvino", ", ".join(others), openvino_version)
    return f"edgekit's extension is not built; run: {MAKE}"


def _why_other(package: str, found: str, version: str) -> str:
    return f"edgekit's extension was built for {package} {found}, and {version} is installed; run: {MAKE}"
