"""The `.edgekit` bundle: one file with a model's payloads, golden samples and measured facts.

docs/bundle-format.md specifies it. `archive` lays out the bytes, `manifest` holds the types, `codec` is their
JSON, `golden` the arrays; `writer` and `reader` join them.
"""

from edgekit.bundle.codec import manifest_to_json
from edgekit.bundle.golden import npy_bytes
from edgekit.bundle.manifest import (
    FORMAT,
    FileRecord,
    Manifest,
    Payload,
    RecipeRecord,
    TargetEntry,
    golden_input_entry,
)
from edgekit.bundle.reader import Bundle, open_bundle, verify_bundle
from edgekit.bundle.writer import write_bundle

__all__ = [
    "FORMAT",
    "Bundle",
    "FileRecord",
    "Manifest",
    "Payload",
    "RecipeRecord",
    "TargetEntry",
    "golden_input_entry",
    "manifest_to_json",
    "npy_bytes",
    "open_bundle",
    "verify_bundle",
    "write_bundle",
]
