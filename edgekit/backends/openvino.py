"""ONNX to OpenVINO's IR, which loads without the ONNX front end and keeps weights apart so that they can be mapped."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.backends.native.cut import cut, without_bodies
from edgekit.backends.openvino_extension import build_extension
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import save_model
from edgekit.runtime.telemetry import disable_telemetry


def compile_model(source: Path, folder: Path) -> Mapping[str, Path]:
    """See `edgekit.backends.compile_model`. Roles: `model` (.xml), `weights` (.bin), in the graph's own precision."""
    path = folder / "model.xml"
    _save(_core(), source, path)
    return {"model": path, "weights": path.with_suffix(".bin")}


def compile_fused(source: Path, folder: Path) -> Mapping[str, Path]:
    """As `compile_model`, and the same graph at batch 1 with what edgekit's kernels cover as plans inside.

    Roles: `model` and `weights` of the plain graph, for a device without edgekit's extension; `fused`, `fused_weights`.

    Raises:
        MissingDependencyError: openvino is not installed.
        BackendError: kernels cover no part of the graph, the extension cannot be built, or OpenVINO refused the graph.
    """
    import onnx_ir as ir

    plain = compile_model(source, folder)
    core, found = _core(), cut(ir.external_data.load_to_model(ir.load(source)))
    core.add_extension(str(build_extension()))
    path = folder / "fused.xml"
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        graph = Path(scratch) / "fused.onnx"
        save_model(without_bodies(found), graph)
        _save(core, graph, path)
    return {**plain, "fused": path, "fused_weights": path.with_suffix(".bin")}


def _core() -> Any:
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", extra="openvino") from error
    return openvino.Core()


def _save(core: Any, source: Path, path: Path) -> None:
    import openvino

    try:
        openvino.save_model(core.read_model(str(source)), path, compress_to_fp16=False)
    except RuntimeError as error:
        raise BackendError(f"openvino refused the graph: {error}") from error
