"""Mend the branches of If and Loop where other passes leave them with outputs that are not their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def own_outputs(model: ir.Model) -> ir.Model:
    """`model` with an Identity for each output of a subgraph that is a value of the graph around it.

    onnx_ir's IdentityEliminationPass takes that Identity away (x.squeeze(1) gives one, as old exporters write it), and
    onnxruntime refuses such a graph.
    """
    import onnx_ir as ir

    for graph in model.graph.subgraphs():
        for place, value in enumerate(graph.outputs):
            if _is_of(graph, value):
                continue
            node = ir.node("Identity", [value])
            node.outputs[0].name, node.outputs[0].type = f"{value.name}_in_{graph.name}", value.type
            node.outputs[0].shape = value.shape
            graph.append(node)
            graph.outputs[place] = node.outputs[0]
    return model


def _is_of(graph: ir.Graph, value: ir.Value) -> bool:
    producer = value.producer()
    if producer is not None:
        return producer.graph is graph
    return any(value is each for each in (*graph.inputs, *graph.initializers.values()))
