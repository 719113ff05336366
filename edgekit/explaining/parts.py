"""A layer in both graphs: which nodes of the compressed one stand for it, and the float graph with it alone compressed.

Quantizers keep the names of float tensors, so a layer's part is what lies between two of them. Three things to know:
- onnxruntime's quantizer takes a Relu away where the pair behind it clips as well. The layer's result is then looked
  for behind that pair, and compared with what the Relu gives.
- NNCF puts a pair in front of what moves values, so that a layer's own input is quantized already: the part begins
  before that pair.
- A layer may become several nodes: a Gemm whose range is found in every call is ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.explaining.wiring import Wiring, holds_graphs
from edgekit.transforms.quantize.layers import HEAVY, MOVERS

LAYERS = (*HEAVY, "Attention", "Einsum", "GRU", "LSTM", "RNN")  # what is listed even if nothing compresses it
PAIR = ("QuantizeLinear", "DequantizeLinear")
COMPRESSED = (
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger", "MatMulNBits"
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One layer of the float graph.

    tensor: the float tensor with its result: its output, or that of the activation that the quantizer took into it.
    found: the tensor of the compressed graph with the same result; empty where that has none, for the reason `lacking`.
    inputs: the float tensors that `nodes`, the part of the compressed graph, begin at.
    """

    layer: str
    op: str
    tensor: str
    found: str = ""
    inputs: tuple[str, ...] = ()
    nodes: tuple[Any, ...] = ()
    lacking: str = ""

    @property
    def compressed(self) -> bool:
        """Whether any of it is compressed; False where that is not known."""
        return any(node.op_type in COMPRESSED for node in self.nodes)


def layers_alone(floats: Wiring) -> tuple[Part, ...]:
    """The layers of the float graph where there is no ONNX form of the compressed one."""
    return tuple(
        Part(node.name, node.op_type, node.output[0], node.output[0], lacking="no ONNX form of what runs")
        for node in floats.model.graph.node
        if node.op_type in LAYERS
    )


def find_parts(floats: Wiring, compressed: Wiring) -> tuple[Part, ...]:
    """The layers of the float graph, and whatever else the quantizer has compressed, in the graph's order."""
    return tuple(_Matcher(floats, compressed).parts())


def splice(floats: Wiring, compressed: Wiring, part: Part) -> Any:
    """An onnx.ModelProto: the float graph with `part` of the compressed one in the layer's place."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(floats.model)
    constants = compressed.constants_of(part.nodes)
    own = {name for node in part.nodes for name in node.output if name} | {each.name for each in constants}
    names = {name: f"{name}/{part.layer}" for name in own - set(part.inputs)} | {part.found: part.tensor}
    for constant in constants:
        model.graph.initializer.add().CopyFrom(constant)
        model.graph.initializer[-1].name = names[constant.name]
    nodes = list(model.graph.node)
    place = next(position for position, node in enumerate(nodes) if part.tensor in node.output)
    nodes[place : place + 1] = [_renamed(node, names, part.layer) for node in part.nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    domains = {opset.domain for opset in model.opset_import}
    model.opset_import.extend(o for o in compressed.model.opset_import if o.domain not in domains)
    model.ir_version = max(model.ir_version, compressed.model.ir_version)
    return model


def _renamed(node: Any, names: Mapping[str, str], layer: str) -> Any:
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{node.name}/{layer}" if node.name else ""
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


class _Matcher:
    """Finds each layer's part by the names that both graphs share."""

    def __init__(self, floats: Wiring, compressed: Wiring) -> None:
        self._floats = floats
        self._compressed = compressed
        behind_pairs = self._behind_pairs()
        self._shared = {name for name in floats.live if name in compressed.live and name not in behind_pairs}
        self._same_opset = _opset(floats) == _opset(compressed)

    def parts(self) -> Iterator[Part]:
        taken: set[str] = set()
        for node in self._floats.model.graph.node:
            if node.output[0] not in self._floats.live or node.output[0] in taken:
                continue
            part = self._part(node)
            if node.op_type in LAYERS or _stands_alone(node, part, self._compressed):
                taken.add(part.tensor)
                yield part

    def _part(self, node: Any) -> Part:
        chain = self._to_a_shared_tensor(node)
        tensor = chain[-1].output[0]
        if tensor not in self._compressed.live:
            return Part(node.name, node.op_type, node.output[0], lacking="its result has no name there")
        found = self._behind_its_pair(tensor) if len(chain) > 1 else tensor
        nodes, inputs = self._compressed.upstream([found], self._shared - {tensor})
        own, own_inputs = self._floats.upstream([tensor], inputs)
        kinds = [each.op_type for each in own if each.op_type in LAYERS]
        if not self._same_opset:
            lacking = "the two graphs are of different opsets"
        elif kinds[1:] or not set(own_inputs) <= set(inputs) or any(map(holds_graphs, nodes)):
            lacking = "it has become one with its neighbours"
        elif not found:
            lacking = "its result has no name there"
        elif any(name in self._floats.readers or name in self._floats.outputs for name in chain[-1].output[1:]):
            lacking = "it has several results"
        else:
            return Part(node.name, node.op_type, tensor, found, inputs, nodes)
        return Part(node.name, node.op_type, tensor, found, lacking=lacking)

    def _to_a_shared_tensor(self, node: Any) -> list[Any]:
        """The node, and the activations behind it up to a result that both graphs have."""
        chain = [node]
        while (name := chain[-1].output[0]) not in self._compressed.live:
            readers = self._floats.readers.get(name, [])
            if len(readers) != 1 or readers[0].op_type in LAYERS or name in self._floats.outputs:
                return [node]
            chain.append(readers[0])
        return chain

    def _behind_its_pair(self, tensor: str) -> str:
        """The dequantized form of `tensor`, which has no other use; else empty."""
        if self._compressed.producers[tensor].op_type == "DequantizeLinear":
            return tensor
        quantized = self._only(tensor, "QuantizeLinear")
        return self._only(quantized, "DequantizeLinear") if quantized else ""

    def _only(self, tensor: str, op: str) -> str:
        readers = self._compressed.readers.get(tensor, [])
        return readers[0].output[0] if [each.op_type for each in readers] == [op] else ""

    def _behind_pairs(self) -> set[str]:
        """What only moves values of a dequantized tensor."""
        found: set[str] = set()
        for node in self._compressed.model.graph.node:
            sources = [self._compressed.producers.get(name) for name in node.input if name in self._compressed.live]
            if node.op_type in MOVERS and all(
                source is not None and (source.op_type == "DequantizeLinear" or set(source.output) & found)
                for source in sources
            ):
                found.update(node.output)
        return found


def _stands_alone(node: Any, part: Part, compressed: Wiring) -> bool:
    """Whether something that is no layer has noise of its own: what moves values has, if it moves stored ones."""
    if not part.compressed:
        return False
    stored = any(each.op_type == "DequantizeLinear" and each.input[0] in compressed.constants for each in part.nodes)
    return node.op_type not in MOVERS or stored


def _opset(wiring: Wiring) -> int:
    return next((int(opset.version) for opset in wiring.model.opset_import if opset.domain in ("", "ai.onnx")), 0)
