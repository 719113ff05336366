"""Puts nodes of a graph into a function of the domain `edgekit`, and one call in their place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "edgekit"


def lift(
    model: ir.Model, nodes: Collection[ir.Node], name: str, *, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]
) -> ir.Node:
    """Move `nodes` into the function `name`, and give the call of it.

    inputs: every value that the nodes take from outside, in the order of the function's inputs; constants that are
        not among them are copied into the function. outputs: what the graph takes from them.
    Each call has an overload of its own, since its body holds its own constants.
    """
    import onnx_ir as ir

    chosen = set(nodes)
    ordered = [node for node in model.graph if node in chosen]
    overload = str(sum(key[:2] == (DOMAIN, name) for key in model.functions))
    body, mapped = _copied(ordered, inputs)
    graph = ir.Graph(
        [mapped[value] for value in inputs],
        [mapped[value] for value in outputs],
        nodes=body,
        opset_imports=dict(model.graph.opset_imports),
        name=name,
    )
    function = ir.Function(DOMAIN, name, overload, graph=graph, attributes=[])
    model.functions[function.identifier()] = function
    model.graph.opset_imports.setdefault(DOMAIN, 1)
    call = ir.Node(DOMAIN, name, list(inputs), num_outputs=len(outputs), overload=overload, name=f"{name}_{overload}")
    _replace(model, ordered, call, outputs)
    return call


def _copied(nodes: Sequence[ir.Node], inputs: Sequence[ir.Value]) -> tuple[list[ir.Node], dict[ir.Value, ir.Value]]:
    """Copies of the nodes over new values, with a Constant for each constant that is not an input."""
    import onnx_ir as ir

    mapped = {value: ir.Value(name=value.name, type=value.type, shape=value.shape) for value in inputs}
    body: list[ir.Node] = []
    for node in nodes:
        for value in node.inputs:
            if value is not None and value not in mapped:
                assert value.const_value is not None  # noqa: S101 - a rule names all that is computed outside
                constant = ir.node("Constant", [], {"value": value.const_value}, name=f"{value.name}_constant")
                constant.outputs[0].name = value.name
                mapped[value] = constant.outputs[0]
                body.append(constant)
        taken = [None if value is None else mapped[value] for value in node.inputs]
        copy = ir.Node(
            node.domain,
            node.op_type,
            taken,
            list(node.attributes.values()),
            num_outputs=len(node.outputs),
            name=node.name,
        )
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.name, new.type, new.shape = old.name, old.type, old.shape
            mapped[old] = new
        body.append(copy)
    return body, mapped


def _replace(model: ir.Model, nodes: Sequence[ir.Node], call: ir.Node, outputs: Sequence[ir.Value]) -> None:
    """Put `call` where the last of `nodes` was, its outputs under the old names."""
    model.graph.insert_after(nodes[-1], call)
    for old, new in zip(outputs, call.outputs, strict=True):
        new.name, new.type, new.shape = old.name, old.type, old.shape
        for use in list(old.uses()):
            if use.node not in nodes:
                use.node.replace_input_with(use.idx, new)
        for index, value in enumerate(model.graph.outputs):
            if value is old:
                model.graph.outputs[index] = new
        old.name = f"{old.name}_lifted"
    model.graph.remove(list(nodes), safe=True)
