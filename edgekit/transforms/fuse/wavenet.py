"""The step of a WaveNet: embedding, gated layers with their past, and the two layers behind the sum of the skips.

A. van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016 (arXiv:1609.03499). The function takes
(sample, past, embedding, then for each layer gate weight, gate bias, mix weight, mix bias, then hidden weight, hidden
bias, logits weight, logits bias) and gives (logits, what entered each layer).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.transforms.fuse.lift import lift
from edgekit.transforms.fuse.match import NoMatchError, check, constant, dense, halves, only_user, users, width

if TYPE_CHECKING:
    import onnx_ir as ir

NAME = "WaveNet"


def fuse(model: ir.Model) -> tuple[int, tuple[str, ...]]:
    """Lift every WaveNet step; see `edgekit.transforms.fuse`."""
    applied, refusals = 0, []
    for node in [node for node in model.graph if node.op_type == "Gather"]:
        table = node.inputs[0]
        if table is None or table.const_value is None or not users(node.outputs[0], "Concat"):
            continue  # no embedding that is put beside a past: not nearly a WaveNet
        try:
            found = _match(node)
        except NoMatchError as reason:
            refusals.append(f"at {node.name!r}: {reason}")
            continue
        lift(model, found.nodes, NAME, inputs=found.inputs, outputs=found.outputs)
        applied += 1
    return applied, tuple(refusals)


@dataclass
class _Match:
    """Nodes in any order; weights in the order of the function's inputs; entered: what entered each layer."""

    channels: int
    nodes: list[ir.Node]
    weights: list[ir.Value]
    past: ir.Value | None = None
    entered: list[ir.Value] = field(default_factory=list)
    skips: list[ir.Value] = field(default_factory=list)
    inputs: list[ir.Value] = field(default_factory=list)
    outputs: list[ir.Value] = field(default_factory=list)


def _match(embedding: ir.Node) -> _Match:
    table, sample = embedding.inputs
    assert table is not None and sample is not None  # noqa: S101, PT018 - `fuse` has asked
    check(embedding.attributes.get_int("axis", 0) == 0, "the embedding is not gathered along its first axis")
    found = _Match(width(table), [embedding], [table])
    x: ir.Value | None = embedding.outputs[0]
    while x is not None:
        x = _layer(found, x)
    logits = _head(found, _sum_of_skips(found))
    push = _stack(found)
    assert found.past is not None  # noqa: S101 - a layer has set it
    found.inputs, found.outputs = [sample, found.past, *found.weights], [logits, push]
    return found


def _layer(found: _Match, x: ir.Value) -> ir.Value | None:
    """Match the layer that takes `x`; what the next one takes, None behind the last."""
    channels, index = found.channels, len(found.entered)
    joins = users(x, "Concat")
    check(joins, f"layer {index} does not begin with a Concat of past and input")
    joins = [join for join in joins if len(join.inputs) == 2]
    check(len(joins) == 1, f"layer {index}: {len(joins)} Concats of two take its input")
    join = joins[0]
    check(join.inputs[1] is x, f"layer {index}: the input does not come behind the past")
    _past(found, join.inputs[0], index)
    gate = only_user(join.outputs[0], "Gemm", f"layer {index}'s input")
    found.weights += dense(gate, outputs=2 * channels, inputs=2 * channels)
    split, (a, b) = halves(gate.outputs[0], f"layer {index}'s gate")
    tanh = only_user(a, "Tanh", f"layer {index}'s filter")
    sigmoid = only_user(b, "Sigmoid", f"layer {index}'s gate")
    product = only_user(tanh.outputs[0], "Mul", f"layer {index}'s tanh")
    check(sigmoid.outputs[0] in product.inputs, f"layer {index}: tanh and sigmoid are not multiplied")
    mix = only_user(product.outputs[0], "Gemm", f"layer {index}'s gated value")
    found.weights += dense(mix, outputs=2 * channels, inputs=channels)
    parts, (residual, skip) = halves(mix.outputs[0], f"layer {index}'s result")
    found.nodes += [join, gate, split, tanh, sigmoid, product, mix, parts]
    found.entered.append(x)
    found.skips.append(skip)
    if not list(residual.uses()):
        return None
    add = only_user(residual, "Add", f"layer {index}'s residual")
    check(x in add.inputs, f"layer {index}: the residual is not added to its input")
    found.nodes.append(add)
    return add.outputs[0]


def _past(found: _Match, value: ir.Value | None, index: int) -> None:
    """The past of layer `index` is row `index` of one tensor."""
    node = value.producer() if value is not None else None
    check(node is not None and node.op_type == "Gather", f"layer {index}: its past is not gathered from one tensor")
    assert node is not None  # noqa: S101 - checked
    row = constant(node.inputs[1], f"layer {index}: the row of its past")
    check(row.size == 1 and int(row.reshape(())) == index, f"layer {index} takes row {row.tolist()} of the past")
    check(found.past in (None, node.inputs[0]), f"layer {index}: its past comes from another tensor")
    found.past = node.inputs[0]
    found.nodes.append(node)


def _sum_of_skips(found: _Match) -> ir.Value:
    total = found.skips[0]
    for index, skip in enumerate(found.skips[1:], start=1):
        add = only_user(skip, "Add", f"layer {index}'s skip")
        check(total in add.inputs, f"layer {index}'s skip is not added to those before")
        found.nodes.append(add)
        total = add.outputs[0]
    return total


def _head(found: _Match, total: ir.Value) -> ir.Value:
    first = only_user(total, "Relu", "the sum of the skips")
    hidden = only_user(first.outputs[0], "Gemm", "the sum of the skips")
    middle = width(hidden.outputs[0])
    found.weights += dense(hidden, outputs=middle, inputs=found.channels)
    second = only_user(hidden.outputs[0], "Relu", "the hidden layer")
    last = only_user(second.outputs[0], "Gemm", "the hidden layer")
    found.weights += dense(last, outputs=width(last.outputs[0]), inputs=middle)
    found.nodes += [first, hidden, second, last]
    return last.outputs[0]


def _stack(found: _Match) -> ir.Value:
    """What entered the layers, stacked along a new first axis."""
    rows = []
    for index, x in enumerate(found.entered):
        raised = users(x, "Unsqueeze")
        check(len(raised) == 1, f"what enters layer {index} is not stacked with the others")
        axes = constant(raised[0].inputs[1], "the axis of the stack").reshape(-1).tolist()
        check(axes == [0], f"what enters the layers is stacked along axis {axes}")
        rows.append(raised[0].outputs[0])
        found.nodes.append(raised[0])
    stack = only_user(rows[0], "Concat", "what enters layer 0")
    check(list(stack.inputs) == rows, "the stack holds other tensors than what enters the layers, or in another order")
    found.nodes.append(stack)
    return stack.outputs[0]
