"""Tiny ONNX files as other exporters write them: one call makes one, with the weights given as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto, helper

from edgekit.tensors import Array

FLOAT = onnx.TensorProto.FLOAT
Dims = Sequence[int | str | None] | None


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> NodeProto:
    """A node; `name` and `domain` among the attributes are its own."""
    return helper.make_node(op, inputs, outputs, **attributes)


def graph(
    nodes: Sequence[NodeProto], inputs: Mapping[str, Dims], outputs: Mapping[str, Dims], **weights: Array
) -> onnx.GraphProto:
    """A graph with float32 inputs and outputs of these shapes; None for one that is not known."""
    return helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )


def model(graph: onnx.GraphProto, opset: int = 20, *, ir_version: int = 10, **domains: int) -> onnx.ModelProto:
    """A model of the opset; domains: versions of further ones, with `_` for `.` in their names."""
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(name.replace("_", "."), version) for name, version in domains.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def saved(graph_or_model: onnx.GraphProto | onnx.ModelProto, folder: Path, opset: int = 20, **options: Any) -> Path:
    """The file of a graph, or of a whole model, in `folder`."""
    whole = graph_or_model if isinstance(graph_or_model, onnx.ModelProto) else model(graph_or_model, opset, **options)
    onnx.save(whole, folder / "tiny.onnx")
    return folder / "tiny.onnx"
