"""What a quantizer works from: a float graph, real samples, and the ranges of its activations, watched once for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.transforms.quantize.calibration import Calibration
from edgekit.transforms.quantize.histogram import Histogram
from edgekit.transforms.quantize.layers import float_tensors
from edgekit.transforms.quantize.observe import observe
from edgekit.transforms.quantize.ranges import CALIBRATORS, Range

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Workpiece:
    """A float ONNX file to quantize.

    saturates: the target adds pairs of u8 x s8 products in 16 bits (x86 without VNNI): weights give up one bit.
    """

    source: Path
    calibration: Calibration
    saturates: bool = False

    @cached_property
    def model(self) -> ir.Model:
        """The float graph; it must not be changed."""
        import onnx_ir as ir

        return ir.external_data.load_to_model(ir.load(self.source))

    @cached_property
    def histograms(self) -> Mapping[str, Histogram]:
        """The distribution of every float activation over the calibration samples."""
        return observe(self.model, float_tensors(self.model), samples=self.calibration)

    def ranges(self, calibrator: str) -> Mapping[str, Range]:
        """The range of every float activation by a calibrator, a name of `CALIBRATORS`."""
        if calibrator not in self._ranges:
            find = CALIBRATORS[calibrator]
            self._ranges[calibrator] = {name: find(histogram) for name, histogram in self.histograms.items()}
        return self._ranges[calibrator]

    @cached_property
    def _ranges(self) -> dict[str, Mapping[str, Range]]:
        return {}
