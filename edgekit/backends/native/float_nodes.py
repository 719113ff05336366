"""How operators on float32 vectors become calls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.calls import Clamp, Dequantize
from edgekit.backends.native.calls.floats import Activation, Binary, DenseFloat, LayerNorm, Softmax
from edgekit.backends.native.graph import NotCoveredError, clamp_of, constant, is_turn, needed, only_use
from edgekit.backends.native.records import Space
from edgekit.backends.native.walk import View, Walk, floats_at
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir

CLAMPS = {Clamp(low=0.0): "relu", Clamp(0.0, 6.0): "relu6"}
NAMES = {"HardSwish": "hard-swish", "Sigmoid": "sigmoid", "Tanh": "tanh"}
BINARY = {"Add": 0, "Mul": 1, "Sub": 2}


def activation_name(node: ir.Node | None) -> str | None:
    """The kernel's name of an activation; None for any other node."""
    if node is None:
        return None
    if node.op_type == "Gelu":
        return "gelu-tanh" if node.attributes.get_string("approximate", "none") == "tanh" else "gelu"
    if node.op_type == "Swish":
        return "silu" if node.attributes.get_float("alpha", 1.0) == 1.0 else None
    clamp = clamp_of(node)
    return NAMES.get(node.op_type) if clamp is None else CLAMPS.get(clamp)


def dense(walk: Walk, node: ir.Node) -> None:
    """Gemm or MatMul of vectors with a constant matrix, a constant added to it, and the activation behind it."""
    view = walk.floats(node)
    weights = needed(node, 1, "weight").astype(np.float32)
    if node.op_type != "Gemm" or not node.attributes.get_int("transB", False):
        weights = np.ascontiguousarray(weights.T)
    if weights.ndim != 2 or weights.shape[1] != view.shape[-1]:
        raise NotCoveredError(node, f"a weight of shape {weights.shape} for vectors of {view.shape[-1]} values")
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    if factors != [1.0, 1.0] or node.attributes.get_int("transA", False):
        raise NotCoveredError(node, "a Gemm that scales or turns its data has no kernel")
    bias, value = _bias(walk, node, len(weights))
    name = "none"
    follower = only_use(value)
    if follower is not None and (found := activation_name(follower)) is not None:
        walk.done.add(follower)
        value, name = follower.outputs[0], found
    target = walk.vector(value, view.rows * len(weights))
    walk.calls.append(DenseFloat(str(node.name), view.buffer, target, weights, bias, name))
    walk.put(value, View(target, (*view.shape[:-1], len(weights))))


def _bias(walk: Walk, node: ir.Node, outputs: int) -> tuple[Array, ir.Value]:
    """The bias, of the node itself or of a constant that is added behind it, and the value that holds the sum."""
    value = node.outputs[0]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return _lanes(node, needed(node, 2, "bias"), outputs), value
    follower = only_use(value)
    if follower is not None and follower.op_type == "Add":
        other = constant(follower.inputs[1 if follower.inputs[0] is value else 0])
        if other is not None and other.size in (1, outputs):
            walk.done.add(follower)
            return _lanes(node, other, outputs), follower.outputs[0]
    return np.zeros(outputs, np.float32), value


def _lanes(node: ir.Node, bias: Array, outputs: int) -> Array:
    if bias.size not in (1, outputs):
        raise NotCoveredError(node, "its bias has not one term for each output")
    return np.ascontiguousarray(np.broadcast_to(bias.reshape(-1).astype(np.float32), outputs))


def activation(walk: Walk, node: ir.Node) -> None:
    """An activation by itself."""
    view, name = walk.floats(node), activation_name(node)
    if name is None:
        raise NotCoveredError(node, "this form of the activation has no kernel in float32")
    target = walk.vector(node.outputs[0], view.buffer.elements)
    walk.calls.append(Activation(str(node.name), view.buffer, target, name))
    walk.put(node.outputs[0], View(target, view.shape))


def softmax(walk: Walk, node: ir.Node) -> None:
    """Softmax along the last axis."""
    view = walk.floats(node)
    if node.attributes.get_int("axis", -1) not in (-1, len(view.shape) - 1):
        raise NotCoveredError(node, "only the softmax along the last axis has a kernel")
    target = walk.vector(node.outputs[0], view.buffer.elements)
    walk.calls.append(Softmax(str(node.name), view.buffer, target, view.rows))
    walk.put(node.outputs[0], View(target, view.shape))


def layer_norm(walk: Walk, node: ir.Node) -> None:
    """LayerNormalization along the last axis."""
    view = walk.floats(node)
    scale = needed(node, 1, "scale").reshape(-1).astype(np.float32)
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if scale.size != view.shape[-1] or any(list(output.uses()) for output in node.outputs[1:]):
        raise NotCoveredError(node, "only the normalization along the last axis has a kernel")
    shift = np.zeros_like(scale) if bias is None else bias.reshape(-1).astype(np.float32)
    target = walk.vector(node.outputs[0], view.buffer.elements)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    walk.calls.append(LayerNorm(str(node.name), view.buffer, target, scale, shift, epsilon))
    walk.put(node.outputs[0], View(target, view.shape))


def binary(walk: Walk, node: ir.Node) -> None:
    """The sum, product or difference of two tensors of one shape."""
    a, b = walk.floats(node, 0), walk.floats(node, 1)
    if a.shape != b.shape:
        raise NotCoveredError(node, f"{node.op_type} of shapes {a.shape} and {b.shape} has no kernel")
    target = walk.vector(node.outputs[0], a.buffer.elements)
    walk.calls.append(Binary(str(node.name), a.buffer, b.buffer, target, BINARY[node.op_type]))
    walk.put(node.outputs[0], View(target, a.shape))


def transpose(walk: Walk, node: ir.Node) -> None:
    """A transposition that moves axes of size 1 alone: another shape of the same values.

    An image of levels may leave the graph with its channels last, as they lie.
    """
    view = walk.view(node)
    if not view.floats and is_turn(node, to_last=True) and not view.flattened:
        _leave_as_they_lie(walk, node, view)
        return
    view = _plain(walk, node)
    order = node.attributes.get_ints("perm", tuple(reversed(range(len(view.shape)))))
    long = [axis for axis in order if view.shape[axis] != 1]
    if long != sorted(long):
        raise NotCoveredError(node, "a transposition that moves values has no kernel")
    walk.put(node.outputs[0], View(view.buffer, tuple(view.shape[axis] for axis in order)))


def _leave_as_they_lie(walk: Walk, node: ir.Node, view: View) -> None:
    result = node.outputs[0]
    if not result.is_graph_output() or list(result.uses()):
        raise NotCoveredError(node, "channels last inside the graph have no kernel")
    target = walk.vector(result, view.buffer.elements)
    walk.calls.append(Dequantize(str(node.name), view.buffer, target, channels_last=True))
    walk.put(result, View(target, (1, *view.shape[2:], view.shape[1])))


def select(walk: Walk, node: ir.Node) -> None:
    """Gather of one index along an axis: a part of the same memory."""
    view, index = _plain(walk, node), needed(node, 1, "index")
    axis = node.attributes.get_int("axis", 0) % len(view.shape)
    if index.size != 1:
        raise NotCoveredError(node, "only one index at a time has a kernel")
    first = int(index.reshape(())) % view.shape[axis]
    shape = (*view.shape[:axis], *index.shape, *view.shape[axis + 1 :])
    walk.put(node.outputs[0], View(_part(node, view, axis, first, first + 1), shape))


def cut(walk: Walk, node: ir.Node) -> None:
    """Slice along one axis with step 1: a part of the same memory."""
    view = _plain(walk, node)
    given = [needed(node, place, "range").reshape(-1) for place in range(1, min(len(node.inputs), 5))]
    starts, ends = given[0], given[1]
    axes = given[2] if len(given) > 2 else np.arange(len(starts))
    if len(starts) != 1 or (len(given) > 3 and given[3][0] != 1):
        raise NotCoveredError(node, "only a slice along one axis, with step 1, has a kernel")
    axis = int(axes[0]) % len(view.shape)
    first, last, _ = slice(int(starts[0]), int(ends[0])).indices(view.shape[axis])
    shape = (*view.shape[:axis], last - first, *view.shape[axis + 1 :])
    walk.put(node.outputs[0], View(_part(node, view, axis, first, last), shape))


def _part(node: ir.Node, view: View, axis: int, first: int, last: int) -> Buffer:
    """The buffer of indices `first` to `last` along `axis`, before which every axis has size 1."""
    if math.prod(view.shape[:axis]) != 1 or last <= first:
        raise NotCoveredError(node, "its result does not lie in one piece of memory, or is empty")
    each = math.prod(view.shape[axis + 1 :])
    part = floats_at(f"part of {view.buffer.name}", (last - first) * each)
    part.parent, part.inside = view.buffer, first * each * 4
    return part


def concat(walk: Walk, node: ir.Node) -> None:
    """Tensors one behind the other: those that kernels write are written to their places at once."""
    views = [_plain(walk, node, place) for place in range(len(node.inputs))]
    axis = node.attributes.get_int("axis", 0) % len(views[0].shape)
    if math.prod(views[0].shape[:axis]) != 1:
        raise NotCoveredError(node, "its result is not one tensor behind the other in memory")
    if any(view.buffer.parent or view.buffer.space != Space.ARENA for view in views):
        raise NotCoveredError(node, "it takes an input, an output or a part of a tensor, which has no kernel")
    if len({view.buffer for view in views}) != len(views):
        raise NotCoveredError(node, "it takes a tensor twice, which has no kernel")
    target, inside = walk.vector(node.outputs[0], sum(view.buffer.elements for view in views)), 0
    for view in views:
        view.buffer.parent, view.buffer.inside = target, inside
        inside += view.buffer.nbytes
    size = sum(view.shape[axis] for view in views)
    walk.put(node.outputs[0], View(target, (*views[0].shape[:axis], size, *views[0].shape[axis + 1 :])))


def _plain(walk: Walk, node: ir.Node, place: int = 0) -> View:
    view = walk.view(node, place)
    if not view.floats:
        raise NotCoveredError(node, "of quantized tensors it has no kernel")
    return view
