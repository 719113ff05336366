"""Cuts a graph: what kernels cover becomes plans, one for each connected part, and the rest stays as it is.

A part's tensors are float32 or levels, at batch 1. It is lifted into a function `edgekit::Plan` whose first
input holds the plan's bytes, which the body does not read: its nodes stay the meaning.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native.edges import constant_value, with_edges
from edgekit.backends.native.graph import NotCoveredError
from edgekit.backends.native.lower import lower_to_plan
from edgekit.backends.native.parts import Part, Parts, constant_makers, part_of
from edgekit.backends.native.write import plan_bytes
from edgekit.errors import BackendError
from edgekit.transforms.fuse.lift import DOMAIN, lift
from edgekit.transforms.names import name_nodes
from edgekit.transforms.through_onnx import through_onnx

if TYPE_CHECKING:
    import onnx_ir as ir

PLAN = "Plan"


@dataclass(frozen=True)
class Cut:
    """A graph at batch 1 in which parts are calls of `edgekit::Plan`, with their nodes as functions.

    parts: names of the nodes in each plan. refusals: why nodes that have a kernel are in none.
    """

    model: ir.Model
    parts: tuple[tuple[str, ...], ...]
    refusals: tuple[str, ...]


def cut(model: ir.Model) -> Cut:
    """The largest parts of `model`, quantized or float, that have a plan; `model` stays as it is.

    Raises:
        BackendError: no part of the graph has one; the message says why.
    """
    work = _at_batch_1(model)
    plans, refusals = _plans(work)
    if not plans:
        raise BackendError(f"no part of the graph is covered by edgekit's kernels{_reasons(refusals)}")
    names = []
    for number, (part, data) in enumerate(plans):
        names.append(tuple(str(node.name) for node in part.nodes))
        now = part_of(part.nodes)  # the plans before it have changed what gives its inputs
        _put_plan(work, with_edges(work, now), data, number)
    work.graph.sort()
    return Cut(_without_unused(work), tuple(names), tuple(refusals))


def without_bodies(found: Cut) -> ir.Model:
    """The graph for a runtime that has a kernel for `edgekit::Plan`, and takes no functions."""
    import onnx_ir as ir
    from onnx_ir.passes.common import InlinePass

    model = ir.from_proto(ir.to_proto(found.model))
    for key in [key for key in model.functions if key[:2] == (DOMAIN, PLAN)]:
        del model.functions[key]
    for node in model.graph:
        if (node.domain, node.op_type) == (DOMAIN, PLAN):
            node.overload = ""
    return InlinePass()(model).model if model.functions else model


def inlined(found: Cut) -> ir.Model:
    """The graph for a runtime that has no such kernel: every part's nodes in place of its plan."""
    import onnx_ir as ir
    from onnx_ir.passes.common import InlinePass

    model = ir.from_proto(ir.to_proto(found.model))
    return _without_unused(InlinePass()(model).model)


def _at_batch_1(model: ir.Model) -> ir.Model:
    """A copy with an open first dimension of the inputs set to 1, and all shapes that follow from that."""
    import onnx
    import onnx_ir as ir
    from onnx_ir.passes.common import LiftConstantsToInitializersPass

    copy = LiftConstantsToInitializersPass(lift_all_constants=True)(ir.from_proto(ir.to_proto(model))).model
    for value in copy.graph.inputs:
        if value.shape and not isinstance(value.shape[0], int):
            value.shape = ir.Shape([1, *value.shape[1:]])
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    return name_nodes(through_onnx(copy, onnx.shape_inference.infer_shapes))


def _plans(model: ir.Model) -> tuple[list[tuple[Part, bytes]], list[str]]:
    """Parts with their plans, and why what has a kernel is in no part."""
    parts, refusals = Parts(model.graph), []
    made: dict[Part, bytes] = {}
    while True:
        found = parts.find()
        refused = False
        for part in found:
            if part in made:
                continue
            try:
                made[part] = plan_bytes(lower_to_plan(_alone(model, part)))
            except BackendError as error:
                refusals.append(str(error))
                for node in _culprits(part, error):
                    parts.drop(node)
                refused = True
                break
        if not refused:
            return [(part, made[part]) for part in found], refusals


def _culprits(part: Part, error: BackendError) -> Collection[ir.Node]:
    """The node that the error is about; the whole part where it is about none."""
    named = error.node.name if isinstance(error, NotCoveredError) else None
    return [node for node in part.nodes if node.name == named] or part.nodes


def _alone(model: ir.Model, part: Part) -> ir.Model:
    """The part as a graph of its own, with its border as it will be."""
    import onnx_ir as ir

    copy = model.clone()
    nodes, values = {str(node.name): node for node in copy.graph}, ir.convenience.create_value_mapping(copy.graph)
    part = with_edges(
        copy,
        Part(
            tuple(nodes[str(node.name)] for node in part.nodes),
            tuple(values[str(value.name)] for value in part.inputs),
            tuple(values[str(value.name)] for value in part.outputs),
        ),
    )
    graph = ir.convenience.extract(copy.graph, part.inputs, part.outputs)
    return ir.Model(graph, ir_version=model.ir_version, functions=tuple(copy.functions.values()))


def _put_plan(model: ir.Model, part: Part, data: bytes, number: int) -> None:
    """One call in place of the part."""

    constant = constant_value(f"edgekit_plan_{number}", np.frombuffer(data, np.uint8))
    model.graph.register_initializer(constant)
    nodes = [*_own_constants(model, part), *part.nodes]
    lift(model, nodes, PLAN, inputs=[constant, *part.inputs], outputs=part.outputs)


def _own_constants(model: ir.Model, part: Part) -> list[ir.Node]:
    """The nodes of the part's constants; those that others use too are copied for it."""
    import onnx_ir as ir

    makers = constant_makers(part)
    inside = {*makers, *part.nodes}
    found: list[ir.Node] = []
    for node in reversed(makers):  # from the part's own nodes backwards, so that a copy is not shared in turn
        uses = [use for value in node.outputs for use in value.uses()]
        if all(use.node in inside for use in uses):
            found.append(node)
            continue
        copy = ir.Node(node.domain, node.op_type, node.inputs, node.attributes.values(), num_outputs=len(node.outputs))
        copy.name = f"{node.name}_of_{part.nodes[0].name}"
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.name, new.type, new.shape = f"{old.name}_of_{part.nodes[0].name}", old.type, old.shape
            for use in [use for use in old.uses() if use.node in inside]:
                use.node.replace_input_with(use.idx, new)
        model.graph.insert_after(node, copy)
        inside = (inside - {node}) | {copy}
        found.append(copy)
    return found


def _without_unused(model: ir.Model) -> ir.Model:
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    return RemoveUnusedNodesPass()(model).model


def _reasons(refusals: Collection[str]) -> str:
    return "".join(f"; {reason}" for reason in dict.fromkeys(refusals))
