"""Cases of conv2d_u8: all small widths, strides, dilations, ragged channels, saturation, residuals in place or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.packing import fold_bias, pack_lanes, pack_weights
from edgekit.backends.native.records import ABSENT, Space
from edgekit.ops import conv2d_u8
from edgekit.ops.rounding import requantize
from edgekit.tensors import Array


@dataclass(frozen=True)
class Conv:
    """height and width of the padded image; kernel, strides and dilations by rows and columns; gaps: bytes between
    pixels of the output; residual: absent, a tensor of its own, or the output itself."""

    height: int
    width: int
    channels: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    gap: int = 0
    residual: str = ""
    clamp: tuple[int, int, int] = (128, 0, 255)
    x: int | None = None  # all inputs and weights the same
    weight: int | None = None

    @property
    def name(self) -> str:
        return "-".join(str(value) for value in vars(self).values() if value not in ("", None)).replace(" ", "")


SHAPES = (
    Conv(6, 34, 16, 16, (3, 3)),  # ResNet-8, narrower
    Conv(5, 34, 3, 16, (3, 3)),
    Conv(9, 33, 16, 32, (3, 3), (2, 2)),
    Conv(8, 8, 16, 32, (1, 1), (2, 2)),
    Conv(10, 10, 64, 64, (3, 3)),
    Conv(53, 12, 1, 64, (10, 4), (2, 2)),  # DS-CNN
    Conv(1, 125, 64, 64),
    Conv(1, 49, 24, 144),
    Conv(1, 9, 8, 1280),
    Conv(1, 1, 1280, 33),
    Conv(7, 9, 5, 17, (2, 3), dilations=(2, 3)),
    Conv(4, 7, 7, 48, (3, 2), gap=3),
    Conv(3, 11, 6, 100, (2, 2), (1, 3)),
    Conv(1, 13, 2, 1, (1, 5)),
)


def cases() -> Iterator[Case]:
    for shape in SHAPES:
        for residual in ("", "apart", "in place"):
            yield _case(replace(shape, residual=residual))
    for outputs in (16, 32, 48, 64, 80):
        for width in range(1, 27):
            yield _case(Conv(3, width, 5, outputs, residual="apart" if width % 2 else ""))
    for clamp in ((0, 0, 255), (255, 0, 255), (3, 3, 200)):
        yield _case(Conv(3, 7, 12, 70, (2, 2), clamp=clamp))
        yield _case(Conv(3, 7, 12, 70, (2, 2), clamp=clamp, residual="apart"))
    for x, weight in ((255, 127), (255, -128), (0, -128)):
        yield _case(Conv(3, 5, 300, 20, x=x, weight=weight))


def _case(conv: Conv) -> Case:
    rng = np.random.default_rng(0)
    shape = (conv.height, conv.width, conv.channels)
    x = rng.integers(0, 256, shape).astype(np.uint8) if conv.x is None else np.full(shape, conv.x, np.uint8)
    shape = (conv.outputs, *conv.kernel, conv.channels)
    weights = rng.integers(-128, 128, shape).astype(np.int8)
    if conv.weight is not None:
        weights[:] = conv.weight
    bias = fold_bias(rng.integers(-2000, 2000, conv.outputs), weights, zero_point=int(rng.integers(0, 256)))
    scale = (rng.uniform(0.5, 2, conv.outputs) / (90 * np.sqrt(weights[0].size))).astype(np.float32)
    values = conv2d_u8.reference(x, weights, bias=bias, scale=scale, strides=conv.strides, dilations=conv.dilations)
    residual = rng.integers(0, 256, values.shape).astype(np.uint8)
    residual_scale = float(np.float32(rng.uniform(0.3, 1.5)))
    if conv.residual:
        values = conv2d_u8.with_residual(values, residual, scale=residual_scale, zero_point=77)
    zero_point, low, high = conv.clamp
    wanted = requantize(values, zero_point=zero_point, low=low, high=high)
    return _call(conv, x, weights, bias, scale, residual, residual_scale, wanted)


def _call(conv: Conv, x, weights, bias, scale, residual, residual_scale: float, wanted) -> Case:
    rows, columns, outputs = wanted.shape
    memories = Memories()
    column_stride = outputs + conv.gap
    row_stride = columns * column_stride + 2 * conv.gap
    before = np.full(rows * row_stride, 0xC3, np.uint8)
    if conv.residual == "in place":
        _pixels(before, wanted.shape, row_stride, column_stride)[:] = residual
    after = before.copy()
    _pixels(after, wanted.shape, row_stride, column_stride)[:] = wanted
    end = (rows - 1) * row_stride + (columns - 1) * column_stride + outputs  # no gap behind the last pixel
    to = memories.put(before[:end], Space.IO, offset=4)
    dilated = conv.dilations[1] > 1
    tap_bytes = conv.channels if dilated else conv.kernel[1] * conv.channels
    pixel, line = conv.channels, conv.width * conv.channels
    residuals = {"in place": to, "apart": memories.put(residual, offset=3)}
    params = {
        "input": memories.put(x, offset=1),
        "weights": memories.put(pack_weights(weights.reshape(outputs, -1, tap_bytes)), Space.CONSTANTS),
        "bias": memories.put(pack_lanes(bias), Space.CONSTANTS),
        "scale": memories.put(pack_lanes(scale), Space.CONSTANTS),
        "residual": residuals.get(conv.residual, ABSENT),
        "output": to,
        "rows": rows,
        "columns": columns,
        "outputs": outputs,
        "input_row_stride": conv.strides[0] * line,
        "input_column_stride": conv.strides[1] * pixel,
        "taps_y": conv.kernel[0],
        "taps_x": conv.kernel[1] if dilated else 1,
        "tap_y_stride": conv.dilations[0] * line,
        "tap_x_stride": conv.dilations[1] * pixel,
        "tap_bytes": tap_bytes,
        "output_row_stride": row_stride,
        "output_column_stride": column_stride,
        "residual_row_stride": row_stride if conv.residual == "in place" else columns * outputs,
        "residual_column_stride": column_stride if conv.residual == "in place" else outputs,
        "residual_zero_point": 77,
        **dict(zip(("zero_point", "low", "high"), conv.clamp, strict=True)),
        "residual_scale": residual_scale,
    }
    return Case(conv.name, "conv2d_u8", params, memories.buffers(), (Expected(to, after[:end]),))


def _pixels(memory: Array, shape: tuple[int, ...], row_stride: int, column_stride: int) -> Array:
    return np.lib.stride_tricks.as_strided(memory, shape, (row_stride, column_stride, 1))
