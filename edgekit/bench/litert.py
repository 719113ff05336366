"""The LiteRT peer: a .tflite file behind the same three methods, its number formats and layout hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.arms import Arm
from edgekit.bench.bound import Bound
from edgekit.errors import MeasurementError
from edgekit.tensors import Array, Feeds


def precision_of(file: Path) -> str:
    """ "int8" for a file that holds quantized int8 tensors, weights alone included, else "f32".

    Raises:
        MeasurementError: LiteRT cannot read the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        tensors = Interpreter(model_path=str(file)).get_tensor_details()
    except (RuntimeError, ValueError) as error:
        raise MeasurementError(f"{file} is no LiteRT model: {error}") from error
    quantized = any(
        tensor["dtype"] is np.int8 and len(tensor["quantization_parameters"]["scales"]) for tensor in tensors
    )
    return "int8" if quantized else "f32"


class LitertPeer:
    """LiteRT (TensorFlow Lite with XNNPACK), inputs set before the timed `invoke`.

    Its converters keep neither tensor names nor always the layout: inputs and outputs go by position, NCHW is
    transposed to NHWC where the shapes ask for it, and int8 edges are quantized and read by the file's own scale
    and zero point. All of that stays outside the timed call.
    """

    def __init__(self, arm: Arm, feeds: Feeds) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._arm = arm
        self._interpreter = Interpreter(model_path=arm.files["model"], num_threads=arm.threads)
        self._interpreter.allocate_tensors()
        order = [spec.name for spec in arm.inputs] or list(feeds)
        inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self._names = [spec.name for spec in arm.outputs] or [detail["name"] for detail in self._outputs]
        if len(order) != len(inputs) or len(self._names) != len(self._outputs):
            raise MeasurementError(
                f"the LiteRT file has {len(inputs)} inputs and {len(self._outputs)} outputs; "
                f"expected {', '.join(order)} and {', '.join(self._names)}"
            )
        self._inputs = dict(zip(order, inputs, strict=True))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Outputs for one sample."""
        self._write(feeds)
        self._interpreter.invoke()
        return self._read()

    def bind(self, feeds: Feeds) -> Bound:
        """The interpreter's own buffers, filled from `feeds`."""
        self._write(feeds)
        return Bound(self._write, self._interpreter.invoke, self._read)

    def close(self) -> None:
        """Free the interpreter."""
        del self._interpreter

    def _write(self, feeds: Feeds) -> None:
        for name, detail in self._inputs.items():
            array = _channels_last(name, feeds[name], tuple(map(int, detail["shape"])))
            self._interpreter.set_tensor(detail["index"], _quantized(array, detail))

    def _read(self) -> dict[str, Array]:
        wanted = [spec.shape for spec in self._arm.outputs] or [()] * len(self._names)
        return {
            name: _channels_first(_dequantized(self._interpreter.get_tensor(detail["index"]), detail), shape)
            for name, detail, shape in zip(self._names, self._outputs, wanted, strict=True)
        }


def _quantized(array: Array, detail: Mapping[str, Any]) -> Array:
    """`array` in a LiteRT tensor's dtype; if that is quantized, round(x / scale) + zero point, saturated."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return np.ascontiguousarray(array, dtype=detail["dtype"])
    bounds = np.iinfo(detail["dtype"])
    rounded = np.rint(array / scale) + zero_point
    quantized: Array = np.clip(rounded, bounds.min, bounds.max).astype(detail["dtype"])
    return quantized


def _dequantized(array: Array, detail: Mapping[str, Any]) -> Array:
    """x = (q - zero point) * scale in float32 for a quantized LiteRT tensor; any other as it is."""
    scale, zero_point = detail["quantization"]
    return ((array.astype(np.float32) - zero_point) * np.float32(scale)) if scale else array


def _channels_last(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """`array` in the LiteRT file's `shape`: as it is where that fits, else with axis 1 moved to the end."""
    moved = np.moveaxis(array, 1, -1) if array.ndim > 2 else array
    if array.ndim == 4 and array.shape == moved.shape == shape and array.size > 1:
        raise MeasurementError(
            f"input {name!r} has shape {array.shape}: it does not tell whether the LiteRT file takes channels first or "
            "last, so its answers could be wrong unseen"
        )
    if array.shape == shape:
        return array
    if moved.shape == shape:
        return moved
    raise MeasurementError(f"input {name!r} has shape {array.shape}; the LiteRT file takes {shape}")


def _channels_first(array: Array, shape: Sequence[int | str]) -> Array:
    """`array` with its last axis moved to 1 where only that fits the declared `shape`."""
    if _fits(array, shape) or array.ndim <= 2:
        return array
    moved = np.moveaxis(array, -1, 1)
    return np.ascontiguousarray(moved) if _fits(moved, shape) else array


def _fits(array: Array, shape: Sequence[int | str]) -> bool:
    return array.ndim == len(shape) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(shape, array.shape, strict=True)
    )
