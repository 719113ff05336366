"""Bring a graph of an older opset to the one that edgekit's own exports have, so that one set of rules fits all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import ExportError
from edgekit.export import OPSET
from edgekit.transforms.names import name_nodes
from edgekit.transforms.through_onnx import through_onnx

if TYPE_CHECKING:
    import onnx_ir as ir

LEAST_OPSET = 13  # the first in which a weight can have a scale for each channel; every backend takes it and newer


def upgrade(model: ir.Model, opset: int = OPSET) -> ir.Model:
    """The same graph at `opset`, as a new model; `model` itself if it is as new already.

    model: without functions (`lower`), with shapes where they are known: the ranks decide how a Softmax is rewritten.

    Raises:
        ExportError: onnx has no rule for an op; the message names it and a node.
    """
    import onnx

    found = model.opset_imports.get("", opset)
    if found >= opset:
        return model
    try:
        upgraded = through_onnx(model, lambda proto: onnx.version_converter.convert_version(proto, opset))
    except Exception as error:  # onnx's errors have no common base
        raise ExportError(
            f"{_culprit(model, str(error))} cannot be brought from opset {found} to {opset}: {_reason(error)}; "
            f"export the model again, at opset {LEAST_OPSET} or newer"
        ) from error
    if found < 11:
        _sample_as_before(upgraded)
    return name_nodes(upgraded)


def _sample_as_before(model: ir.Model) -> None:
    """Before opset 11, linear Resize and Upsample take a pixel for its corner; the converter leaves the new default."""
    import onnx_ir as ir

    for node in model.graph.all_nodes():
        if node.op_type == "Resize" and node.attributes.get_string("mode", "nearest") == "linear":
            node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))


def _culprit(model: ir.Model, message: str) -> str:
    """The first node of the op that the converter's message names: it does not say which node it was at."""
    named = [node for node in model.graph.all_nodes() if _names(message, node.op_type)]
    if not named:
        return "the graph"
    node = max(named, key=lambda node: len(node.op_type))  # "If" and "Or" are words too
    return f"node {node.name!r} ({node.op_type})"


def _names(message: str, op_type: str) -> bool:
    return re.search(rf"(?<![a-z]){op_type}(?![a-z])", message, re.IGNORECASE) is not None


def _reason(error: Exception) -> str:
    """The end of a message that begins with a place in onnx's sources."""
    return str(error).strip().rpartition("failed: ")[2].rstrip(".") or type(error).__name__
