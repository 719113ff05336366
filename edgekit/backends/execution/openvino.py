"""Reads what OpenVINO's CPU plugin executes from its runtime graph.

Facts that shape this file, measured with openvino 2026.4:
- `runtimePrecision` is the weights' where they are kept in fewer bits: a matrix product with f32 activations and 8-bit
  weights is reported as u8. So the precision of a layer is that of its operands, one by one.
- Such a product may still be computed in int8: activations are quantized on the fly unless
  DYNAMIC_QUANTIZATION_GROUP_SIZE is 0 (it is 32), and the kernel is called brgemm_avx512_f32 either way, or bf16. The
  layer alone, compiled with and without, tells by its bits.
- A Subgraph holds several nodes, matrix products among them; of what lies inside only names are reported.
- Each node's counter adds up whole microseconds, and what is read is its mean, in whole microseconds again.
- Nodes of constants are computed once, when compiling; they have no counter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.backends.execution.layers import UNKNOWN, ExecutedLayer
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.runtime import openvino as runtime
from edgekit.runtime.runner import OpenRequest
from edgekit.runtime.telemetry import disable_telemetry
from edgekit.tensors import Array, smallest_sizes

WARM_UP = 3
GROUP_SIZE = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
# How many of a layer's inputs it multiplies; the others are biases, scales, states and what was fused behind it.
OPERANDS = {
    "Convolution": 2,
    "Deconvolution": 2,
    "FullyConnected": 2,
    "MatMul": 2,
    "RNNSeq": 1,
    "RNNCell": 1,
    "ScaledDotProductAttention": 3,
}
OPAQUE = ("If", "Loop", "TensorIterator")  # with a graph of their own inside, which is not told
PRODUCTS = frozenset(  # what such a layer is in the graph that was compiled
    (
        "Convolution",
        "ConvolutionBackpropData",
        "GRUSequence",
        "GroupConvolution",
        "GroupConvolutionBackpropData",
        "LSTMSequence",
        "MatMul",
        "RNNSequence",
        "ScaledDotProductAttention",
    )
)
PLAN = "Plan"  # of edgekit's extension
NOT_EXECUTED = ("Input", "Output", "Const")
NAMES = {"u8": "int8", "i8": "int8", "u4": "int4", "i4": "int4"}
FLOATS = ("f32", "bf16", "f16")


@dataclass(frozen=True)
class _Operand:
    """What a node reads: its element type in OpenVINO's words, and whether it was computed when compiling."""

    type: str
    constant: bool


def read_layers(
    request: OpenRequest, samples: Sequence[Mapping[str, Array]], *, calls: int
) -> tuple[ExecutedLayer, ...]:
    """See `edgekit.backends.execution.read_execution`."""
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", extra="openvino") from error
    core = openvino.Core()  # without a cache, which would keep what is compiled here for profiling
    try:
        core.set_property("CPU", {"PERF_COUNT": True})
        runner = runtime.OpenvinoRunner(core, request, version=openvino.__version__)
    except RuntimeError as error:
        raise BackendError(f"openvino refused the model: {error}") from error
    infer = runner._fixed.take()
    try:
        times = _times_us(infer, samples, calls)
        source = _read_source(core, request, runner.roles)
        return _Reader(core, request, infer.get_compiled_model(), times, source).layers()
    except RuntimeError as error:
        raise BackendError(f"openvino failed: {error}") from error


def _times_us(infer: Any, samples: Sequence[Mapping[str, Array]], calls: int) -> dict[str, float | None]:
    """Mean time of each node that has a counter; None where it stands at 0, which is anything below a microsecond.

    Counters cannot be reset: the warm-up's share is taken out.
    """

    def run(count: int) -> dict[str, float]:
        for number in range(count):
            infer.infer(samples[number % len(samples)])
        return {node.node_name: node.real_time.total_seconds() * 1e6 for node in infer.get_profiling_info()}

    before, after = run(WARM_UP), run(calls)
    return {
        name: max(0.0, (mean * (WARM_UP + calls) - before[name] * WARM_UP) / calls) if mean else None
        for name, mean in after.items()
    }


class _Reader:
    """Turns the nodes of a runtime graph into layers, with the help of the graph that was compiled."""

    def __init__(
        self, core: Any, request: OpenRequest, compiled: Any, times: Mapping[str, float | None], source: Any
    ) -> None:
        self._core = core
        self._request = request
        self._times = times
        executed = (node for node in compiled.get_runtime_model().get_ordered_ops() if _name(node) in times)
        self._nodes = [node for node in executed if _told(node, "layerType") not in NOT_EXECUTED]
        self._source = _Source(source, (name for node in self._nodes for name in _originals(node)))
        self._on_the_fly = int(compiled.get_property(GROUP_SIZE)) > 0

    def layers(self) -> tuple[ExecutedLayer, ...]:
        return tuple(self._layer(node) for node in self._nodes)

    def _layer(self, node: Any) -> ExecutedLayer:
        op, nodes = _told(node, "layerType"), self._source.nodes(_originals(node))
        if len(nodes) == 1 and nodes[0].get_type_name() == PLAN:
            return _plan(nodes[0], self._times[_name(node)])
        operands = self._operands(node)
        precision, weights, kind = _shown(_told(node, "runtimePrecision")), "", self._kind(node, op, nodes)
        if op in OPERANDS:
            kind, nodes = "layer", self._source.take(nodes) or self._behind(node)
            precision, weights = self._multiplied(operands[: OPERANDS[op]], nodes)
        elif op in OPAQUE:
            kind, precision = "layer", UNKNOWN
        elif op == "Subgraph" and any(map(_is_product, nodes)):
            kind, precision = "layer", _inside(operands, nodes)
            nodes = self._source.take(nodes)
        return ExecutedLayer(
            name=",".join(_onnx_names(nodes)),
            op=op,
            precision=precision,
            kind=kind,
            kernel=_told(node, "primitiveType"),
            time_us=self._times[_name(node)],
            weights=weights if weights != precision else "",
        )

    def _operands(self, node: Any) -> list[_Operand]:
        return [_Operand(_type(port), _name(_producer(port)) not in self._times) for port in node.inputs()]

    def _kind(self, node: Any, op: str, nodes: Sequence[Any]) -> str:
        """Of a node that is no layer."""
        if op == "Reorder":
            return "reorder" if _type(node.input(0)) == _type(node.output(0)) else "convert"
        if op in ("Convert", "FakeQuantize"):
            return "convert"
        tensors = [operand for operand in self._operands(node) if not operand.constant]
        only_converts = bool(nodes) and all(map(_converts, nodes))
        return "convert" if op in ("Subgraph", "Eltwise") and len(tensors) == 1 and only_converts else "other"

    def _behind(self, node: Any) -> list[Any]:
        """Nodes of a layer that goes by its neighbour's name: those before what follows it."""
        consumers = (target.get_node() for output in node.outputs() for target in output.get_target_inputs())
        for consumer in consumers:
            nodes = self._source.nodes(_originals(consumer))
            if found := self._source.take(nodes):
                return [each for each in found if _name(each) not in map(_name, nodes)]
        return []

    def _multiplied(self, operands: Sequence[_Operand], nodes: Sequence[Any]) -> tuple[str, str]:
        """What a layer computes in, and what its weights are kept in."""
        first, last = operands[0].type, operands[-1]
        if len({_shown(operand.type) for operand in operands}) == 1:
            return _shown(first), ""
        if first in FLOATS and last.constant and last.type in FLOATS:
            return first, ""  # weights are packed into the activations' precision
        if first in FLOATS and last.constant and last.type in NAMES:
            return self._activations(first, nodes), _shown(last.type)
        return UNKNOWN, ""

    def _activations(self, told: str, nodes: Sequence[Any]) -> str:
        """What float activations are multiplied in where weights have 4 or 8 bits."""
        if not self._on_the_fly:
            return told
        products = [node for node in nodes if node.get_type_name() == "MatMul"]
        if len(products) != 1:
            return UNKNOWN
        same = _same_without_quantizing(self._core, self._request, products[0], self._source.inputs)
        return told if same else "int8"


def _plan(node: Any, time_us: float | None) -> ExecutedLayer:
    """A part that runs as a plan, as one layer: OpenVINO times it as a whole."""
    import edgekit._native as native
    from edgekit.backends.execution.native import LAYERS, PRECISIONS

    steps = native.Plan.parse(np.ascontiguousarray(_producer(node.input(0)).data)).steps
    layers = [(op.rpartition("_"), row, label) for op, row, label, _ in steps if op.rpartition("_")[0] in LAYERS]
    found = {PRECISIONS[word] for (_, _, word), _, _ in layers}
    return ExecutedLayer(
        name=",".join(label for _, _, label in layers),
        op=PLAN,
        precision=found.pop() if len(found) == 1 else UNKNOWN,
        kind="layer",
        kernel=",".join(sorted({row for _, row, _ in layers})),
        time_us=time_us,
    )


def _inside(operands: Sequence[_Operand], nodes: Sequence[Any]) -> str:
    """What the matrix products in a Subgraph compute in; in their chain, all but the first take a result from inside.

    That is int8 if every tensor that comes in for them has 8 bits, and each that is made inside is quantized before the
    last of them.
    """
    last = max(at for at, node in enumerate(nodes) if _is_product(node))
    quantized = sum(map(_quantizes, nodes[:last]))
    coming_in = [_shown(operand.type) for operand in operands if not operand.constant or operand.type in NAMES]
    if set(coming_in) == {"int8"} and quantized >= len(coming_in) - 2:
        return "int8"
    if len(set(coming_in)) == 1 and coming_in[0] in FLOATS and not quantized:
        return coming_in[0]
    return UNKNOWN


class _Source:
    """The graph that was compiled, whose nodes the runtime graph names.

    claimed: every name that the runtime graph gives.
    """

    def __init__(self, model: Any, claimed: Iterable[str]) -> None:
        self.inputs = model.get_parameters()
        self._nodes = {_name(node): node for node in model.get_ops()}
        self._claimed = {_base(name) for name in claimed}
        self._taken: set[str] = set()

    def nodes(self, names: Sequence[str]) -> list[Any]:
        """Nodes of these names, or those that OpenVINO split them off from."""
        forms = ((name, f"{_base(name)}/WithoutBiases", _base(name)) for name in names)
        found = (next((form for form in each if form in self._nodes), None) for each in forms)
        return [self._nodes[name] for name in dict.fromkeys(found) if name is not None]

    def take(self, nodes: Sequence[Any]) -> list[Any]:
        """These nodes and the products fused into them without a trace; none if those are another layer's."""
        found = {_name(each): each for node in nodes for each in self._down_from_product(node) or [node]}
        products = [name for name, node in found.items() if _is_product(node)]
        if self._taken.intersection(products):
            return []
        self._taken.update(products)
        return list(found.values())

    def _down_from_product(self, node: Any) -> list[Any]:
        """From a product to `node`, by way of nodes that the runtime graph does not name; empty if there is none."""
        if _is_product(node):
            return [node]
        for each in map(_producer, node.inputs()):
            if _base(_name(each)) not in self._claimed and (path := self._down_from_product(each)):
                return [*path, node]
        return []


def _onnx_names(nodes: Sequence[Any]) -> list[str]:
    """Names that the ONNX file has too: without those that OpenVINO made up for what it split."""
    names = dict.fromkeys(_base(_name(node)) for node in nodes)
    return [name for name in names if not re.fullmatch(r"(Convert|Subtract|Multiply|[A-Z]+Sequence)_\d+", name)]


def _read_source(core: Any, request: OpenRequest, roles: Sequence[str]) -> Any:
    model = core.read_model(*(runtime._as_argument(request.files[role]) for role in roles))
    sizes = smallest_sizes(request.inputs)
    model.reshape({spec.name: list(spec.shape_at(sizes)) for spec in request.inputs})
    return model


def _same_without_quantizing(core: Any, request: OpenRequest, product: Any, inputs: Sequence[Any]) -> bool:
    """Whether this matrix product alone gives the same bits when its activations may not be quantized on the fly.

    inputs: of the source graph, by whose shape that of the weights may be given.
    """
    import openvino

    shape = list(product.input(0).get_shape())
    activations = openvino.opset13.parameter(shape, product.input(0).get_element_type())
    transposed = product.get_attributes()
    alone = openvino.opset13.matmul(
        activations, product.input_value(1), transposed["transpose_a"], transposed["transpose_b"]
    )
    model = openvino.Model([alone], [activations, *inputs], "alone")
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    config = runtime._config(request)
    results = [core.compile_model(model, "CPU", config | extra)({0: values})[0] for extra in ({}, {GROUP_SIZE: 0})]
    return np.array_equal(*results)


def _converts(node: Any) -> bool:
    """A Convert or FakeQuantize, or the arithmetic of a DequantizeLinear, which follows its Convert."""
    if node.get_type_name() in ("Convert", "FakeQuantize"):
        return True
    if node.get_type_name() not in ("Subtract", "Multiply"):
        return False
    return _producer(node.input(0)).get_type_name() in ("Convert", "Subtract") and _converts(_producer(node.input(0)))


def _quantizes(node: Any) -> bool:
    kind = node.get_type_name()
    return kind == "FakeQuantize" or (kind == "Convert" and _type(node.output(0)) in NAMES)


def _is_product(node: Any) -> bool:
    return node.get_type_name() in PRODUCTS


def _producer(port: Any) -> Any:
    return port.get_source_output().get_node()


def _name(node: Any) -> str:
    return str(node.get_friendly_name())


def _type(port: Any) -> str:
    return str(port.get_element_type().get_type_name())


def _told(node: Any, key: str) -> str:
    return str(node.get_rt_info()[key].astype(str))


def _originals(node: Any) -> list[str]:
    return [name for name in _told(node, "originalLayersNames").split(",") if name]


def _base(name: str) -> str:
    """The name of the ONNX node from which OpenVINO split off, or moved behind it, what is called `name`."""
    return re.sub(r"(/WithoutBiases|/Dequantization[A-Za-z]*)+$", "", name)


def _shown(type_name: str) -> str:
    return NAMES.get(type_name, type_name)
