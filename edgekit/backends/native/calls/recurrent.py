"""Calls of the recurrent kernels: one layer in one direction over a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.records import ABSENT, Param, Ref
from edgekit.backends.native.recurrent import pack_gate_lanes, pack_gates_f32, pack_gates_s8
from edgekit.tensors import Array


@dataclass(frozen=True)
class GateWeights:
    """Weights (gates * hidden, values): float32, or int8 with a float32 scale for each row."""

    values: Array
    scale: Array | None = None


@dataclass
class Recurrent:
    """gru_i8, gru_f32, lstm_i8 or lstm_f32.

    states_in: hidden, and cell of an LSTM; None for zeros. states_out: where they are afterwards. output: of every step
        if it is asked for; first: bytes into it; step_bytes: from step to step. bias: (2 * gates * hidden,).
    """

    label: str
    op: str
    source: Buffer
    states_in: tuple[Buffer | None, ...]
    states_out: tuple[Buffer, ...]
    output: Buffer | None
    scratch: Buffer
    weights: GateWeights
    recurrent: GateWeights
    bias: Array
    steps: int
    rows: int
    reverse: bool = False
    linear_before_reset: bool | None = None
    first: int = 0
    step_bytes: int = 0

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return (self.source, *(state for state in self.states_in if state is not None))

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return (*self.states_out, self.scratch, *((self.output,) if self.output else ()))

    @property
    def hidden(self) -> int:
        """Units of the layer."""
        return int(self.recurrent.values.shape[1])

    @property
    def gates(self) -> int:
        """Gates of a unit."""
        return len(self.recurrent.values) // self.hidden

    def params(self, constants: Constants) -> Mapping[str, Param]:
        inputs = self.weights.values.shape[1]
        half = len(self.bias) // 2
        return {
            "input": self.source.at(),
            **self._states(constants),
            "output": self._output(),
            **self._packed(constants, "weights", self.weights),
            **self._packed(constants, "recurrent", self.recurrent),
            "bias": constants.put(pack_gate_lanes(self.bias[:half], gates=self.gates)),
            "recurrent_bias": constants.put(pack_gate_lanes(self.bias[half:], gates=self.gates)),
            "scratch": self.scratch.at(),
            "steps": self.steps,
            "rows": self.rows,
            "inputs": inputs,
            "hidden": self.hidden,
            **({} if self.linear_before_reset is None else {"linear_before_reset": int(self.linear_before_reset)}),
            "reverse": int(self.reverse),
            "input_stride": self.rows * inputs * 4,
            "input_row_stride": inputs * 4,
            "output_stride": self.step_bytes,
            "output_row_stride": self.hidden * 4,
        }

    def _states(self, constants: Constants) -> dict[str, Param]:
        found: dict[str, Param] = {}
        for name, before, after in zip(("hidden", "cell"), self.states_in, self.states_out, strict=False):
            zeros = np.zeros(self.rows * self.hidden, np.float32)
            found[f"{name}_in"] = constants.put(zeros) if before is None else before.at()
            found[f"{name}_out"] = after.at()
        return found

    def _output(self) -> Ref:
        if self.output is None:
            return ABSENT
        space, offset = self.output.at()
        return Ref(space, offset + self.first)

    def _packed(self, constants: Constants, name: str, weights: GateWeights) -> dict[str, Param]:
        if weights.scale is None:
            return {name: constants.put(pack_gates_f32(weights.values, gates=self.gates))}
        return {
            name: constants.put(pack_gates_s8(weights.values, gates=self.gates)),
            f"{name}_scale": constants.put(pack_gate_lanes(weights.scale, gates=self.gates)),
        }
