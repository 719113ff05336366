"""Calls of the kernels that compute in float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.calls.call import OneToOne
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.packing import pack_dense_f32, pack_lanes
from edgekit.backends.native.records import ABSENT, Param
from edgekit.tensors import Array

# As kernels/common/activation.h numbers them.
NAMES = ("none", "relu", "relu6", "hard-swish", "sigmoid", "tanh", "gelu", "gelu-tanh", "silu")
ACTIVATIONS = {name: number for number, name in enumerate(NAMES)}


@dataclass
class DenseFloat(OneToOne):
    """dense_f32. weights: (outputs, inputs) float32; bias: (outputs,) float32; activation: one of `ACTIVATIONS`."""

    weights: Array
    bias: Array
    activation: str = "none"
    op: str = "dense_f32"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        outputs, inputs = self.weights.shape
        return {
            "input": self.source.at(),
            "weights": constants.put(pack_dense_f32(self.weights)),
            "bias": constants.put(pack_lanes(self.bias)),
            "output": self.target.at(),
            "rows": self.source.elements // inputs,
            "inputs": inputs,
            "outputs": outputs,
            "input_stride": inputs * 4,
            "output_stride": outputs * 4,
            "activation": ACTIVATIONS[self.activation],
        }


@dataclass
class Activation(OneToOne):
    """activation_f32."""

    activation: str
    op: str = "activation_f32"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        return {
            "input": self.source.at(),
            "output": self.target.at(),
            "count": self.source.elements,
            "activation": ACTIVATIONS[self.activation],
        }


@dataclass
class CopyFloats(OneToOne):
    """lookup_u8 without a table: the bytes of one tensor copied to another."""

    op: str = "lookup_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        nbytes = self.source.nbytes
        size: dict[str, Param] = {"rows": 1, "columns": 1, "channels": nbytes, "table": ABSENT}
        strides = ("input_row_stride", "input_column_stride", "output_row_stride", "output_column_stride")
        return {**size, "input": self.source.at(), "output": self.target.at(), **dict.fromkeys(strides, nbytes)}


@dataclass
class Softmax(OneToOne):
    """softmax_f32 of `rows` vectors."""

    rows: int
    op: str = "softmax_f32"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        return {
            "input": self.source.at(),
            "output": self.target.at(),
            "rows": self.rows,
            "columns": self.source.elements // self.rows,
            "input_stride": self.source.nbytes // self.rows,
            "output_stride": self.target.nbytes // self.rows,
        }


@dataclass
class LayerNorm(OneToOne):
    """layernorm_f32 of vectors. scale, bias: (values of a vector,) float32."""

    scale: Array
    bias: Array
    epsilon: float
    op: str = "layernorm_f32"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        return {
            "input": self.source.at(),
            "scale": constants.put(self.scale),
            "bias": constants.put(self.bias),
            "output": self.target.at(),
            "rows": self.source.elements // self.scale.size,
            "columns": self.scale.size,
            "input_stride": self.scale.size * 4,
            "output_stride": self.scale.size * 4,
            "epsilon": self.epsilon,
        }


@dataclass
class Binary:
    """binary_f32: the sum or product of two tensors of one size."""

    label: str
    a: Buffer
    b: Buffer
    target: Buffer
    kind: int  # 0 sum, 1 product, 2 difference
    op: str = "binary_f32"

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return (self.a, self.b)

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return (self.target,)

    def params(self, constants: Constants) -> Mapping[str, Param]:
        return {
            "a": self.a.at(),
            "b": self.b.at(),
            "output": self.target.at(),
            "count": self.target.elements,
            "kind": self.kind,
            "b_count": self.b.elements,
        }
