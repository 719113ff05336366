"""onnxruntime takes ONNX as it is: it optimizes the graph for the machine that it loads on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from edgekit.export import data_file


def compile_model(source: Path, folder: Path) -> Mapping[str, Path]:
    """See `edgekit.backends.compile_model`. Roles: `model`, and for weights beside it the name in the graph."""
    files = {"model": Path(shutil.copy(source, folder / "model.onnx"))}
    if (data := data_file(source)).exists():
        files[data.name] = Path(shutil.copy(data, folder / data.name))
    return files
