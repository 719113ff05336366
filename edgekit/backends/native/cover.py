"""Whether kernels may cover a float graph, asked before it is quantized and lowered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.backends.native.graph import NotCoveredError
from edgekit.backends.native.nodes import HANDLERS
from edgekit.backends.native.walk import Walk
from edgekit.errors import BackendError
from edgekit.transforms.fuse import fuse

if TYPE_CHECKING:
    import onnx_ir as ir

INTEGER_ALONE = ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean")


def why_not_covered(model: ir.Model, *, floats: bool = False) -> str | None:
    """Why no plan can be made of the float graph `model`; None where one may be, once it is quantized.

    floats: as it is, in float32.
    """
    copy = model.clone()
    fuse(copy)
    try:
        Walk(copy)
    except BackendError as error:
        return str(error)
    for node in copy.graph:
        if node.op_type not in HANDLERS:
            return str(NotCoveredError(node, "no kernel of edgekit computes it"))
        if floats and node.op_type in INTEGER_ALONE:
            return str(NotCoveredError(node, "its kernel takes quantized tensors alone"))
    return None
