"""Ahead of time: an ONNX file in, the files that the backend's runner opens out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from edgekit.errors import BackendError, did_you_mean

COMPILERS = {
    "openvino": "edgekit.backends.openvino:compile_model",
    "onnxruntime": "edgekit.backends.onnxruntime:compile_model",
    "native": "edgekit.backends.native:compile_model",
}


def compile_model(backend: str, source: Path, folder: Path) -> Mapping[str, Path]:
    """Compile the ONNX file `source` for `backend`, one of `COMPILERS`; the files made in `folder`, by role.

    Raises:
        MissingDependencyError: the backend is not installed.
        BackendError: unknown backend, or it refused the graph.
    """
    if backend not in COMPILERS:
        raise BackendError(f"no compiler for backend {backend!r}; {did_you_mean(backend, COMPILERS)}")
    module, _, function = COMPILERS[backend].partition(":")
    files: Mapping[str, Path] = getattr(import_module(module), function)(source, folder)
    return files
