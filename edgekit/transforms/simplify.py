"""Bring a graph from any exporter to one plain form: constants folded, BatchNorm inside Conv, nothing unused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

# The largest constant that is folded. By default it is 262,144, and the weights of a recurrent layer, which torch's
# exporter cuts and joins, would be computed in every run: no quantizer knows them for weights then.
FOLDED_VALUES = 1 << 26


def simplify(model: ir.Model) -> ir.Model:
    """The same function with fewer nodes; the graph's inputs and outputs keep names, dtypes and shapes."""
    from onnx_ir.passes import Sequential
    from onnx_ir.passes.common import (
        CommonSubexpressionEliminationPass,
        DeduplicateInitializersPass,
        IdentityEliminationPass,
        RemoveUnusedNodesPass,
    )
    from onnxscript import optimizer

    optimizer.optimize(model, input_size_limit=FOLDED_VALUES, output_size_limit=FOLDED_VALUES)
    tidy = Sequential(
        IdentityEliminationPass(),
        CommonSubexpressionEliminationPass(),
        DeduplicateInitializersPass(),
        RemoveUnusedNodesPass(),
    )
    return tidy(model).model
