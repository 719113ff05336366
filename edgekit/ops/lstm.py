"""lstm_f32 and lstm_i8: an LSTM layer over a sequence, in one direction: the ONNX op LSTM without peepholes."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.ops.recurrent import Weights, in_order, multiply, sigmoid
from edgekit.ops.recurrent import onnx_model as one_node
from edgekit.tensors import Array

GATES = 4  # input, output, forget, cell
TOLERANCE_EPS = 8.0  # of max(|value|, 1), as long as no level of a hidden state is within its last bits of a tie
DOMAIN = "finite values; a row with a NaN or an infinity gives NaN from there on"


def reference(
    x: Array,
    hidden: Array,
    cell: Array,
    *,
    weights: Weights,
    recurrent: Weights,
    bias: Array,
    reverse: bool = False,
    nudge: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Hidden states of all steps, float64 (steps, rows, hidden), the last one, and the last cell state (rows, hidden).

    x: (steps, rows, inputs) float32. hidden, cell: (rows, hidden) float32. weights: (4 * hidden, inputs), recurrent:
    (4 * hidden, hidden), float32 or quantized. bias: (8 * hidden,) float32, those of W before those of R.
    reverse: begin with the last step. nudge: see `dynamic_levels`; it acts on the hidden state.
    """
    input_bias, recurrent_bias = np.split(bias.astype(np.float64), 2)
    state, memory = hidden.astype(np.float64), cell.astype(np.float64)
    outputs = np.zeros((*x.shape[:2], hidden.shape[1]))
    for step in in_order(len(x), reverse=reverse):
        sums = multiply(x[step], weights, bias=input_bias)
        sums = sums + multiply(state, recurrent, bias=recurrent_bias, nudge=nudge)
        write, read, keep, candidate = np.split(sums, GATES, axis=1)
        memory = sigmoid(keep) * memory + sigmoid(write) * np.tanh(candidate)
        state = sigmoid(read) * np.tanh(memory)
        outputs[step] = state
    return outputs, state, memory


def onnx_model(weights: Array, recurrent: Array, *, bias: Array, reverse: bool = False) -> Any:
    """The same in ONNX: x (steps, rows, inputs), hidden_in and cell_in (1, rows, hidden) to y, hidden_out and cell_out.

    y is (steps, 1, rows, hidden). weights, recurrent and bias as in `reference`, float32.
    """
    return one_node(
        "LSTM",
        states=2,
        weights=weights,
        recurrent=recurrent,
        bias=bias,
        direction="reverse" if reverse else "forward",
    )
