"""Compression: a float graph and real samples in, the same graph with its layers quantized out.

workpiece (calibration -> observe -> histogram -> ranges) -> a method (own, nncf, ort) -> a QDQ graph -> dialects
"""

from edgekit.transforms.quantize.calibration import Calibration
from edgekit.transforms.quantize.methods import METHODS, Method, quantize, why_not_applicable
from edgekit.transforms.quantize.workpiece import Workpiece

__all__ = ["METHODS", "Calibration", "Method", "Workpiece", "quantize", "why_not_applicable"]
