"""Bring a graph to what a target's backend takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def lower(model: ir.Model) -> ir.Model:
    """Put every model-local function back in place of its calls: no target has a kernel for one yet.

    OpenVINO and the quantizers refuse functions, so a model that comes with its own needs this too.
    """
    from onnx_ir.passes.common import InlinePass

    return InlinePass()(model).model
