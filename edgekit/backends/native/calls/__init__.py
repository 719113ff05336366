"""The calls of kernels that a graph is lowered to; each knows what it reads and writes, and its parameters."""

from edgekit.backends.native.calls.call import UNLIMITED, Call, Clamp, Weights, Window
from edgekit.backends.native.calls.edges import Dequantize, Quantize
from edgekit.backends.native.calls.images import Border, Lookup, Pool, Sum
from edgekit.backends.native.calls.layers import Conv, Dense, Depthwise

__all__ = [
    "UNLIMITED",
    "Border",
    "Call",
    "Clamp",
    "Conv",
    "Dense",
    "Depthwise",
    "Dequantize",
    "Lookup",
    "Pool",
    "Quantize",
    "Sum",
    "Weights",
    "Window",
]
