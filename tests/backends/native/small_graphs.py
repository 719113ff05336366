"""Small graphs, quantized with ranges of random data, to lower and to compare with onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime

from edgekit.backends.native import compile_model
from edgekit.runtime.native import NativeRunner, open_model
from edgekit.runtime.runner import OpenRequest
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.names import name_nodes
from edgekit.transforms.quantize.layers import float_tensors, joins_of, layers_of
from edgekit.transforms.quantize.observe import observe
from edgekit.transforms.quantize.qdq import write_qdq
from edgekit.transforms.quantize.ranges import minmax


def graph_of(text: str, **weights: Array) -> ir.Model:
    """A graph at opset 20 with named nodes. weights: for the names that nothing in `text` computes."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> small {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return name_nodes(ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True)))


def samples_of(model: ir.Model, count: int = 8) -> list[dict[str, Array]]:
    """Random inputs at batch 1."""
    rng = np.random.default_rng(0)
    shapes = {str(v.name): [d if isinstance(d, int) else 1 for d in v.shape or ()] for v in model.graph.inputs}
    return [{name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()} for _ in range(count)]


def quantized(model: ir.Model, *more: str) -> ir.Model:
    """The graph with layers, joins, and the nodes named by `more` quantized, over the ranges of `samples_of`."""
    found = observe(model, float_tensors(model), samples=samples_of(model))
    names = [*layers_of(model), *joins_of(model), *more]
    return write_qdq(model, names, ranges={name: minmax(histogram) for name, histogram in found.items()})


def run_onnx(model: ir.Model, feeds: dict[str, Array]) -> list[Array]:
    """What onnxruntime computes, node by node as the graph is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def open_plan(model: ir.Model, folder: Path) -> NativeRunner:
    """A runner of the graph's plan."""
    proto = ir.to_proto(model)
    onnx.save(proto, folder / "graph.onnx")
    files = compile_model(folder / "graph.onnx", folder)
    return open_model(OpenRequest(files, specs(proto.graph.input), specs(proto.graph.output), "int8"))


def specs(values: Sequence[onnx.ValueInfoProto]) -> list[TensorSpec]:
    """Specifications of a graph's inputs or outputs; an open dimension is a batch of 1 to 8."""
    found = []
    for value in values:
        shape = tuple(d.dim_value or "batch" for d in value.type.tensor_type.shape.dim)
        found.append(
            TensorSpec("float32", shape, name=value.name, ranges={"batch": (1, 8)} if "batch" in shape else {})
        )
    return found


def levels_apart(got: Array, expected: Array, step: float) -> float:
    """The largest difference in steps of a grid."""
    return float(np.abs(got - expected).max() / step)
