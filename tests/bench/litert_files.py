"""Writes a .tflite file of one ReLU, float or int8, so that the LiteRT peer is tested without a converter."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def make_relu(path: Path, *, shape: tuple[int, ...], scale: float = 0.0, zero_point: int = 0) -> Path:
    """int8 with this scale and zero point, or float32 if the scale is 0."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    code.version = 2 if scale else 1
    call = schema.OperatorT()
    call.inputs, call.outputs = np.array([0], np.int32), np.array([1], np.int32)
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(name, shape, scale, zero_point) for name in (b"args_0", b"output_0")]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([1], np.int32)
    graph.operators = [call]
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def _tensor(name: bytes, shape: tuple[int, ...], scale: float, zero_point: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, np.array(shape, np.int32), 0
    tensor.type = schema.TensorType.INT8 if scale else schema.TensorType.FLOAT32
    if scale:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([scale], np.float32)
        tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
    return tensor
