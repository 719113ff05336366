"""gru_f32 and gru_i8: a GRU layer over a sequence, in one direction: the ONNX op GRU with its default activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.ops.recurrent import Weights, in_order, multiply, sigmoid
from edgekit.ops.recurrent import onnx_model as one_node
from edgekit.tensors import Array

GATES = 3  # update, reset, candidate; ONNX calls them z, r, h
TOLERANCE_EPS = 8.0  # of max(|value|, 1), as long as no level of a hidden state is within its last bits of a tie
DOMAIN = "finite values; a row with a NaN or an infinity gives NaN from there on"


def reference(
    x: Array,
    hidden: Array,
    *,
    weights: Weights,
    recurrent: Weights,
    bias: Array,
    linear_before_reset: bool,
    reverse: bool = False,
    nudge: float = 0.0,
) -> tuple[Array, Array]:
    """Hidden states of all steps, float64 (steps, rows, hidden), and the last one (rows, hidden).

    x: (steps, rows, inputs) float32. hidden: (rows, hidden) float32. weights: (3 * hidden, inputs), recurrent:
    (3 * hidden, hidden), float32 or quantized. bias: (6 * hidden,) float32, those of W before those of R.
    reverse: begin with the last step. nudge: see `dynamic_levels`; it acts on what a step makes of the hidden state.
    """
    input_bias, recurrent_bias = np.split(bias.astype(np.float64), 2)
    state = hidden.astype(np.float64)
    outputs = np.zeros((*x.shape[:2], hidden.shape[1]))
    for step in in_order(len(x), reverse=reverse):
        projected = np.split(multiply(x[step], weights, bias=input_bias), GATES, axis=1)
        product = np.split(multiply(state, recurrent, bias=recurrent_bias, nudge=nudge), GATES, axis=1)
        update, reset = sigmoid(projected[0] + product[0]), sigmoid(projected[1] + product[1])
        if not linear_before_reset:
            product = np.split(multiply(reset * state, recurrent, bias=recurrent_bias, nudge=nudge), GATES, axis=1)
            reset = np.ones_like(reset)
        candidate = np.tanh(projected[2] + reset * product[2])
        state = (1 - update) * candidate + update * state
        outputs[step] = state
    return outputs, state


def onnx_model(
    weights: Array, recurrent: Array, *, bias: Array, linear_before_reset: bool, reverse: bool = False
) -> Any:
    """The same in ONNX: x (steps, rows, inputs), hidden_in (1, rows, hidden) to y (steps, 1, rows, hidden), hidden_out.

    weights, recurrent and bias as in `reference`, float32.
    """
    return one_node(
        "GRU",
        states=1,
        weights=weights,
        recurrent=recurrent,
        bias=bias,
        direction="reverse" if reverse else "forward",
        linear_before_reset=int(linear_before_reset),
    )
