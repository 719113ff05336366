"""Calls of the kernels between float32 and levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.calls.call import OneToOne, levels_of, size_of, strides_of
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.records import Param


@dataclass
class Quantize(OneToOne):
    """quantize_u8: float32, channels first, to levels, channels last."""

    op: str = "quantize_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        grid = levels_of(self.target)
        return {
            **size_of(self.target),
            "input": self.source.at(),
            **_channels_first(self.target, "input"),
            **strides_of(self.target),
            "zero_point": grid.zero_point,
            "inverse_scale": 1.0 / grid.scale,
        }


@dataclass
class Dequantize(OneToOne):
    """dequantize_u8: levels, channels last, to float32, channels first unless `channels_last`."""

    channels_last: bool = False
    op: str = "dequantize_u8"

    def params(self, constants: Constants) -> Mapping[str, Param]:
        grid = levels_of(self.source)
        return {
            **size_of(self.source),
            **strides_of(self.source, "input"),
            "output": self.target.at(),
            **(_channels_last if self.channels_last else _channels_first)(self.source, "output"),
            "zero_point": grid.zero_point,
            "scale": grid.scale,
        }


def _channels_first(image: Buffer, name: str) -> dict[str, Param]:
    """Strides in bytes of a float32 tensor of the shape of `image`, channels first."""
    return {
        f"{name}_row_stride": image.columns * 4,
        f"{name}_column_stride": 4,
        f"{name}_channel_stride": image.rows * image.columns * 4,
    }


def _channels_last(image: Buffer, name: str) -> dict[str, Param]:
    """Likewise, channels last."""
    return {
        f"{name}_row_stride": image.columns * image.channels * 4,
        f"{name}_column_stride": image.channels * 4,
        f"{name}_channel_stride": 4,
    }
