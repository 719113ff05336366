"""Calls of the kernels that hold weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.backends.native.buffers import Buffer, Grid
from edgekit.backends.native.calls.call import (
    UNLIMITED,
    Clamp,
    OneToOne,
    Weights,
    Window,
    levels_of,
    size_of,
    strides_of,
)
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.packing import fold_bias, pack_depthwise, pack_lanes, pack_weights
from edgekit.backends.native.records import ABSENT, Param
from edgekit.tensors import Array


@dataclass
class Conv(OneToOne):
    """conv2d_u8, with a residual that is added before the activation if there is one."""

    weights: Weights  # values (outputs, taps_y, taps_x, channels)
    window: Window
    clamp: Clamp = UNLIMITED
    residual: Buffer | None = None
    op: str = "conv2d_u8"

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return (self.source, self.residual) if self.residual else (self.source,)

    def params(self, constants: Constants) -> Mapping[str, Param]:
        source, target = levels_of(self.source), levels_of(self.target)
        folded = fold_bias(self.weights.bias, self.weights.values, zero_point=source.zero_point)
        scale = self.weights.scale.astype(np.float64) * source.scale / target.scale
        found: dict[str, Param] = {
            **self._walk(),
            "weights": constants.put(pack_weights(self._segments())),
            "bias": constants.put(pack_lanes(folded)),
            "scale": constants.put(pack_lanes(scale.astype(np.float32))),
            **self._residual(target),
            **self.clamp.levels(target),
            "outputs": self.target.channels,
            **strides_of(self.target),
        }
        return self._merged(found) if self._is_flat() else found

    def _walk(self) -> dict[str, Param]:
        """Taps that are neighbours in memory are one run of bytes."""
        steps = self.window.steps(self.source)
        runs = self.window.dilations[1] == 1
        width = self.window.kernel[1] if runs else 1
        steps |= {"taps_x": 1} if runs else {}
        size: dict[str, Param] = {"rows": self.target.rows, "columns": self.target.columns}
        return {**size, **steps, "tap_bytes": width * self.source.channels}

    def _segments(self) -> Array:
        outputs, taps_y, taps_x, channels = self.weights.values.shape
        runs = self.window.dilations[1] == 1
        return self.weights.values.reshape(
            (outputs, taps_y, taps_x * channels) if runs else (outputs, taps_y * taps_x, channels)
        )

    def _residual(self, target: Grid) -> dict[str, Param]:
        if self.residual is None:
            return {
                "residual": ABSENT, "residual_row_stride": 0, "residual_column_stride": 0,
                "residual_zero_point": 0, "residual_scale": 0.0,
            }  # fmt: skip
        grid = levels_of(self.residual)
        return {
            **strides_of(self.residual, "residual"),
            "residual_zero_point": grid.zero_point,
            "residual_scale": grid.scale / target.scale,
        }

    def _is_flat(self) -> bool:
        """Whether all pixels follow each other at one distance, in every tensor: then they are one long row."""
        plain = self.window.kernel == self.window.strides == (1, 1)
        return plain and all(buffer.contiguous for buffer in (*self.reads, self.target))

    def _merged(self, found: Mapping[str, Param]) -> dict[str, Param]:
        return {**found, "rows": 1, "columns": self.target.rows * self.target.columns}


@dataclass
class Depthwise(OneToOne):
    """depthwise_u8."""

    weights: Weights  # values (channels, taps_y, taps_x)
    window: Window
    clamp: Clamp = UNLIMITED
    op: str = "depthwise_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        source, target = levels_of(self.source), levels_of(self.target)
        folded = fold_bias(self.weights.bias, self.weights.values, zero_point=source.zero_point)
        scale = self.weights.scale.astype(np.float64) * source.scale / target.scale
        return {
            **size_of(self.target),
            **self.window.steps(self.source),
            "weights": constants.put(pack_depthwise(self.weights.values)),
            "bias": constants.put(pack_lanes(folded)),
            "scale": constants.put(pack_lanes(scale.astype(np.float32))),
            **self.clamp.levels(target),
            **strides_of(self.target),
        }


@dataclass
class Dense(OneToOne):
    """dense_u8, to levels or to float32."""

    weights: Weights  # values (outputs, inputs)
    clamp: Clamp = UNLIMITED
    op: str = "dense_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        source, target = levels_of(self.source), self.target.grid
        outputs, inputs = self.weights.values.shape
        folded = fold_bias(self.weights.bias, self.weights.values, zero_point=source.zero_point)
        scale = self.weights.scale.astype(np.float64) * source.scale / (target.scale if target else 1.0)
        place = self.target.at()
        return {
            "input": self.source.at(),
            "weights": constants.put(pack_weights(self.weights.values)),
            "bias": constants.put(pack_lanes(folded)),
            "scale": constants.put(pack_lanes(scale.astype(np.float32))),
            "output": place if target else ABSENT,
            "output_f32": ABSENT if target else place,
            "rows": 1,
            "inputs": inputs,
            "outputs": outputs,
            "input_stride": inputs,
            "output_stride": self.target.nbytes,
            **(self.clamp.levels(target) if target else {"zero_point": 0, "low": 0, "high": 255}),
        }
