"""Float graphs of a layer or two, written in ONNX's own notation with the weights given as arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime

from edgekit.tensors import Array
from edgekit.transforms.names import name_nodes
from edgekit.transforms.quantize.layers import float_tensors
from edgekit.transforms.quantize.observe import observe
from edgekit.transforms.quantize.qdq import write_qdq
from edgekit.transforms.quantize.ranges import Range, minmax


def layer_graph(text: str, **weights: Array) -> ir.Model:
    """A graph at opset 20 with named nodes and known shapes. weights: for the names that nothing in `text` computes."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> test {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return name_nodes(ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True)))


def run(model: ir.Model, feeds: Mapping[str, Array], watched: Sequence[str] = ()) -> list[Array]:
    """The outputs of a graph that onnx's checker accepts, node by node as written, and then the values of `watched`."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in watched)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, dict(feeds))
    return outputs


def seen(model: ir.Model, *samples: Mapping[str, Array]) -> dict[str, Range]:
    """The range of every float tensor, from its least to its largest value."""
    found = observe(model, float_tensors(model), samples=[dict(feeds) for feeds in samples])
    return {name: minmax(histogram) for name, histogram in found.items()}


def quantized(
    model: ir.Model, nodes: Collection[str], feeds: Mapping[str, Array], *, saturates: bool = False
) -> ir.Model:
    """The graph with `nodes` quantized, with ranges as on `feeds`."""
    return write_qdq(model, nodes, ranges=seen(model, feeds), saturates=saturates)


def relative_error(got: Array, expected: Array) -> float:
    """RMS of the difference over that of the expected values."""
    exact = expected.astype(np.float64)
    return float(np.linalg.norm(got - exact) / np.linalg.norm(exact))


def made_by(model: ir.Model, node: ir.Node, place: int) -> str | None:
    """The operator that computes an input of a node; None for a graph input, a constant, or none at all."""
    value = node.inputs[place]
    producer = value.producer() if value is not None else None
    return producer.op_type if producer is not None else None


def the(model: ir.Model, kind: str) -> ir.Node:
    """The only node of an operator."""
    (node,) = (node for node in model.graph if node.op_type == kind)
    return node


def constant(value: ir.Value | None) -> Array:
    """The values of an initializer."""
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()
