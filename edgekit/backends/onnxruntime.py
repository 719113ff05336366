"""onnxruntime takes ONNX as it is: it optimizes the graph for the machine that it loads on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path


def compile_model(source: Path, folder: Path) -> Mapping[str, Path]:
    """See `edgekit.backends.compile_model`. Roles: `model`, and `data` where the weights lie beside it."""
    files = {"model": Path(shutil.copy(source, folder / "model.onnx"))}
    data = source.with_name(f"{source.name}.data")
    if data.exists():
        files["data"] = Path(shutil.copy(data, folder / data.name))
    return files
