"""Compiles graphs that edgekit's own kernels cover completely into static plans: see docs/plan-format.md."""

from __future__ import annotations

from pathlib import Path

from edgekit.backends.native.cover import why_not_covered
from edgekit.backends.native.lower import lower_to_plan
from edgekit.backends.native.write import plan_bytes
from edgekit.files import replacing
from edgekit.transforms.fuse import fuse

__all__ = ["compile_model", "why_not_covered"]


def compile_model(source: Path, folder: Path) -> dict[str, Path]:
    """Compile the ONNX file `source` into `folder`; {"model": file}.

    Raises:
        BackendError: a node that no kernel covers; the message names it.
    """
    import onnx_ir as ir

    model = ir.external_data.load_to_model(ir.load(source))
    fuse(model)
    path = folder / "model.plan"
    with replacing(path) as draft:
        draft.write_bytes(plan_bytes(lower_to_plan(model)))
    return {"model": path}
