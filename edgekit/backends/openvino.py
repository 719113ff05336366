"""ONNX to OpenVINO's IR, which loads without the ONNX front end and keeps weights apart so that they can be mapped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.errors import BackendError, MissingDependencyError
from edgekit.runtime.telemetry import disable_telemetry


def compile_model(source: Path, folder: Path) -> Mapping[str, Path]:
    """See `edgekit.backends.compile_model`. Roles: `model` (.xml), `weights` (.bin), in the graph's own precision."""
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", extra="openvino") from error
    path = folder / "model.xml"
    try:
        openvino.save_model(openvino.Core().read_model(str(source)), path, compress_to_fp16=False)
    except RuntimeError as error:
        raise BackendError(f"openvino refused the graph: {error}") from error
    return {"model": path, "weights": path.with_suffix(".bin")}
