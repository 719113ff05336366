"""What one call of an op takes, by its parameters: multiply-accumulates, and bytes of weights, inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Params = Mapping[str, int | float]
Work = tuple[int, int]
"""Multiply-accumulates, and bytes that are read or written at least once."""


def _conv(p: Params) -> Work:
    outputs, taps = _pixels(p) * p["outputs"], p["taps_y"] * p["taps_x"] * p["tap_bytes"]
    return int(outputs * taps), int(p["outputs"] * (taps + 8) + outputs + _reach(p, p["tap_bytes"]))


def _depthwise(p: Params) -> Work:
    taps = p["taps_y"] * p["taps_x"]
    written = p["channels"] * (taps + 8 + _pixels(p))
    return int(_pixels(p) * p["channels"] * taps), int(written + _reach(p, p["channels"]))


def _reach(p: Params, each: float) -> float:
    """Bytes from the first to the last one that is read of an image, `each` at the last place."""
    to_output = (p["rows"] - 1) * p["input_row_stride"] + (p["columns"] - 1) * p["input_column_stride"]
    return to_output + (p["taps_y"] - 1) * p["tap_y_stride"] + (p["taps_x"] - 1) * p["tap_x_stride"] + each


def _pixels(p: Params) -> float:
    return p["rows"] * p["columns"]


def _pool(p: Params) -> Work:
    return 0, int(_pixels(p) * p["channels"] + _reach(p, p["channels"]))


def _border(p: Params) -> Work:
    height, width = (p["rows"] + p["top"] + p["bottom"]), (p["columns"] + p["left"] + p["right"])
    return 0, int((height * width - _pixels(p)) * p["pixel_bytes"])


def _recurrent(gates: int, states: int, bytes_each: int) -> Callable[[Params], Work]:
    def count(p: Params) -> Work:
        weights = gates * p["hidden"] * (p["inputs"] + p["hidden"])
        moved = p["steps"] * (p["inputs"] + p["hidden"]) * p["rows"] + 2 * states * p["hidden"] * p["rows"]
        return int(p["steps"] * p["rows"] * weights), int(bytes_each * weights * p["steps"] + 4 * moved)

    return count


WORK: dict[str, Callable[[Params], Work]] = {
    "conv2d_u8": _conv,
    "depthwise_u8": _depthwise,
    "dense_u8": lambda p: (
        int(p["rows"] * p["inputs"] * p["outputs"]),
        int((p["inputs"] + 8) * p["outputs"] + p["rows"] * (p["inputs"] + p["outputs"])),
    ),
    "dense_f32": lambda p: (
        int(p["rows"] * p["inputs"] * p["outputs"]),
        int(4 * ((p["inputs"] + 1) * p["outputs"] + p["rows"] * (p["inputs"] + p["outputs"]))),
    ),
    "border_u8": _border,
    "pool_u8": _pool,
    "add_u8": lambda p: (0, int(3 * _pixels(p) * p["channels"])),
    "lookup_u8": lambda p: (0, int(2 * _pixels(p) * p["channels"])),
    "quantize_u8": lambda p: (0, int(5 * _pixels(p) * p["channels"])),
    "dequantize_u8": lambda p: (0, int(5 * _pixels(p) * p["channels"])),
    "activation_f32": lambda p: (0, int(8 * p["count"])),
    "binary_f32": lambda p: (0, int(4 * (2 * p["count"] + p["b_count"]))),
    "softmax_f32": lambda p: (0, int(8 * p["rows"] * p["columns"])),
    "layernorm_f32": lambda p: (0, int(8 * (p["rows"] + 1) * p["columns"])),
    "gru_i8": _recurrent(3, 1, 1),
    "gru_f32": _recurrent(3, 1, 4),
    "lstm_i8": _recurrent(4, 2, 1),
    "lstm_f32": _recurrent(4, 2, 4),
}
"""An op that is not listed is timed without rates."""
