"""The worked example of `docs/bundle-format.md` is, byte for byte, what is written."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

from small_bundle import TARGET, X, Y, canonical, manifest, payload

from edgekit.bundle import TargetEntry, npy_bytes, write_bundle
from edgekit.tensors import TensorSpec

DOCUMENT = Path(__file__).parents[2] / "docs" / "bundle-format.md"


def fenced(tag: str) -> str:
    """The block of the document that is fenced with this tag."""
    return DOCUMENT.read_text(encoding="utf-8").split(f"```{tag}\n")[1].split("```")[0]


def undump(text: str, blocks: dict[str, bytes]) -> bytes:
    """The bytes of an annotated dump: lines of `offset  bytes  # meaning`.

    Among the bytes: hexadecimal pairs, `00*12` for a run, "text" in ASCII, and <name> for one of `blocks`.
    """
    data = b""
    for line in text.splitlines():
        offset, shown = line.split("#")[0].split(maxsplit=1)
        assert int(offset, 16) == len(data), line
        for quoted, block, byte, count in re.findall(r'"([^"]*)"|<([^>]+)>|(\w\w)(?:\*(\d+))?', shown):
            data += blocks[block] if block else quoted.encode() + bytes.fromhex(byte) * int(count or 1)
    return data


def test_document_shows_the_bytes_that_are_written(tmp_path: Path) -> None:
    files = {
        "model.txt": b"hello, edge\n",
        "golden/0/input-0.npy": npy_bytes(X[:, :1]),
        "y.npy": npy_bytes(Y),
    }
    small = payload(files={"model": "model.txt"}, golden_outputs=({"y": "y.npy"},))
    one = TensorSpec("float32", (1, 1), name="x")
    example = manifest(inputs=(one,), outputs=(replace(one, name="y"),), targets=(TargetEntry(TARGET, (small,)),))
    opened = write_bundle(tmp_path / "example.edgekit", example, files)
    written = opened.path.read_bytes()
    shown = canonical(json.loads(fenced("json")))
    assert undump(fenced("text dump"), {"manifest.json": shown}) == written
    document = DOCUMENT.read_text(encoding="utf-8")
    assert f"`{hashlib.sha256(written).hexdigest()}`" in document
    assert f"`{opened.sha256}`" in document
