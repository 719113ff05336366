"""Static int8: a float graph and real samples in, the same graph with QuantizeLinear/DequantizeLinear pairs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from edgekit.tensors import Array
from edgekit.transforms.quantize.calibration import calibration_samples

__all__ = ["METHODS", "calibration_samples", "quantize"]

METHODS = {
    "ort": "edgekit.transforms.quantize.ort:quantize",
    "nncf": "edgekit.transforms.quantize.nncf:quantize",
}

Quantizer = Callable[..., None]


def quantize(
    source: Path, destination: Path, *, method: str, samples: Sequence[dict[str, Array]], saturates: bool
) -> None:
    """Quantize the ONNX file `source` with `method`, one of `METHODS`, into `destination`.

    samples: calibration data, as `calibration_samples` returns it.
    saturates: the target adds pairs of u8 x s8 products in 16 bits (x86 without VNNI): weights give up one bit.

    Raises:
        MissingDependencyError: the method's package is not installed.
        BackendError: the quantizer refused the graph.
    """
    module, _, function = METHODS[method].partition(":")
    quantizer: Quantizer = getattr(import_module(module), function)
    quantizer(source, destination, samples=samples, saturates=saturates)
