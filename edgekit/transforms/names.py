"""Give every node a name of its own: later stages and reports call layers by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def name_nodes(model: ir.Model) -> ir.Model:
    """`model` with a name for each node of the graph and its subgraphs, none twice.

    A name that is there is kept, by the first node that bears it. Others are called by their op and first output, so
    that the same file always gives the same names.
    """
    taken: set[str] = set()
    nameless = []
    for node in model.graph.all_nodes():
        if not node.name or node.name in taken:
            nameless.append(node)
        else:
            taken.add(node.name)
    for node in nameless:
        name = "_".join([node.op_type, *(value.name for value in node.outputs[:1] if value.name)])
        while name in taken:  # only where another node bears that name, or subgraphs reuse the names of values
            name += "_"
        node.name = name
        taken.add(name)
    return model
