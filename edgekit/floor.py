"""Floors: the arithmetic that a float graph needs, and the least time that a device's peak rate leaves for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from edgekit.target import Peak

if TYPE_CHECKING:
    import onnx_ir as ir

# Operators that multiply in bulk and are not counted, beside those with a graph inside and those of other domains.
NOT_COUNTED = frozenset(
    ("Attention", "ConvInteger", "DFT", "DeformConv", "Einsum", "MatMulInteger", "QLinearConv", "QLinearMatMul", "STFT")
)


@dataclass(frozen=True)
class Work:
    """What one run of a graph takes.

    macs: multiply-accumulates of convolutions, matrix products and recurrent layers; None where they cannot be counted.
    weight_bytes: bytes of the graph's constants as the float graph holds them.
    """

    macs: int | None
    weight_bytes: int


class _NotCountedError(Exception):
    """A node whose multiply-accumulates are not known."""


def count_work(model: ir.Model, sizes: Mapping[str, int]) -> Work:
    """The work of one run of a float graph, which stays as it is.

    sizes: the size of each dynamic dimension of the inputs; one without a name goes by `<input>_dim<axis>`.

    A layer's multiply-accumulates are those of its definition at https://onnx.ai/onnx/operators: products with padding
    are counted, as papers do; bias, activations, normalisation and pooling are not. `macs` is None where a layer's
    shape is not known at these sizes, or the graph has control flow, a function of its own, an operator of another
    domain, or one in `NOT_COUNTED`.
    """
    weights = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    weight_bytes = sum(weight.nbytes for weight in weights if weight is not None)
    try:
        macs = sum(_macs(node) for node in _at_sizes(model, sizes).graph)
    except _NotCountedError:
        return Work(None, weight_bytes)
    return Work(macs, weight_bytes)


def floor_ns(work: Work, peak: Peak, *, precision: str, threads: int) -> float | None:
    """The least time for the arithmetic of `work`: macs / (peak rate * threads); None where one of them is not known.

    precision: what is multiplied, a name from `edgekit.target.PRECISIONS`; it picks the rate, and "+bf16" is ignored.
    threads: cores that compute, each at the peak rate; 1 for a GPU, whose rates are those of the whole device.

    It is the time of the multiply-accumulates alone, as if every core ran at its peak throughout, and weights and
    activations stayed in its cache. Memory traffic, the other operators, and the runtime's own time come on top, so
    that a small model may be far above it. It is no floor for an algorithm that multiplies less than the definition
    says (Winograd's convolution, skipped zeros), nor on a device faster than the one that the rates come from, which
    `peak.source` names.
    """
    rate_gmacs: float = getattr(peak, f"{precision.partition('+')[0]}_gmacs", 0.0)
    if work.macs is None or not rate_gmacs:
        return None
    return work.macs / (rate_gmacs * threads)  # 1e9 a second is one a nanosecond


def _at_sizes(model: ir.Model, sizes: Mapping[str, int]) -> ir.Model:
    """A copy with these sizes in place of the named dimensions, and the shapes that follow from them."""
    import onnx_ir as ir
    from onnx_ir.passes.common import ShapeInferencePass

    copy = ir.from_proto(ir.to_proto(model))
    for value in copy.graph.inputs:
        _fix(value, sizes)
    for node in copy.graph.all_nodes():
        for value in node.outputs:
            _fix(value, sizes)
    infer = ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)  # what it cannot infer stays open
    return infer(copy).model


def _fix(value: ir.Value, sizes: Mapping[str, int]) -> None:
    import onnx_ir as ir

    if value.shape is None:
        return
    dims: list[int | ir.SymbolicDim] = []
    for axis, dim in enumerate(value.shape):
        name = None if isinstance(dim, int) else dim.value or f"{value.name}_dim{axis}"
        dims.append(sizes.get(name, dim) if name is not None else dim)
    value.shape = ir.Shape(dims)


def _macs(node: ir.Node) -> int:
    import onnx_ir as ir

    inner = any(value.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for value in node.attributes.values())
    if inner or node.domain not in ("", "ai.onnx") or node.op_type in NOT_COUNTED:
        raise _NotCountedError
    count = COUNTERS.get(node.op_type)
    return count(node) if count else 0


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    if value is None or value.shape is None:
        raise _NotCountedError
    dims = tuple(dim for dim in value.shape if isinstance(dim, int))
    if len(dims) != len(value.shape):
        raise _NotCountedError
    return dims


def _conv(node: ir.Node) -> int:
    """Each output sums over a kernel (maps in / group, *window); the weight is (maps out, maps in / group, *window)."""
    return prod(_shape(node.outputs[0])) * prod(_shape(node.inputs[1])[1:])


def _conv_transpose(node: ir.Node) -> int:
    """Each input goes through (maps out / group, *window); the weight is (maps in, maps out / group, *window)."""
    return prod(_shape(node.inputs[0])) * prod(_shape(node.inputs[1])[1:])


def _gemm(node: ir.Node) -> int:
    """(m, k) by (k, n), the left one stored as (k, m) if transA."""
    left = _shape(node.inputs[0])
    return prod(_shape(node.outputs[0])) * left[0 if node.attributes.get_int("transA", 0) else 1]


def _matmul(node: ir.Node) -> int:
    """Each output, in every batch, sums over the last axis of the left operand."""
    return prod(_shape(node.outputs[0])) * _shape(node.inputs[0])[-1]


def _recurrent(node: ir.Node) -> int:
    """Each step of each sequence goes through both weights: (directions, gates * hidden, input) and (..., hidden)."""
    if len(node.inputs) > SEQUENCE_LENGTHS and node.inputs[SEQUENCE_LENGTHS] is not None:
        raise _NotCountedError  # the data say how many steps there are
    steps = prod(_shape(node.inputs[0])[:2])
    return steps * (prod(_shape(node.inputs[1])) + prod(_shape(node.inputs[2])))


SEQUENCE_LENGTHS = 4  # index of that input
COUNTERS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
}
