"""NNCF's post-training quantizer, on ONNX: symmetric where a tensor has both signs, bias correction included."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import data_file
from edgekit.runtime.telemetry import disable_telemetry
from edgekit.tensors import Array


def quantize(source: Path, destination: Path, *, samples: Sequence[dict[str, Array]], saturates: bool) -> None:
    """See `edgekit.transforms.quantize.quantize`."""
    disable_telemetry()
    try:
        import nncf
        import onnx
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    except ImportError as error:
        raise MissingDependencyError("nncf", extra="export") from error
    advanced = AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE if saturates else OverflowFix.DISABLE)
    with _quiet():
        try:
            quantized = nncf.quantize(
                onnx.load(source),
                nncf.Dataset(list(samples)),
                subset_size=len(samples),
                target_device=nncf.TargetDevice.CPU,
                advanced_parameters=advanced,
            )
        except OSError:  # a full disk is not a verdict on the graph
            raise
        except Exception as error:  # nncf has no common base class for its errors
            raise BackendError(f"nncf refused the graph: {type(error).__name__}: {error}") from error
    external = data_file(source).exists()
    onnx.save(quantized, destination, save_as_external_data=external, location=data_file(destination).name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """NNCF draws its own progress bars on stdout, which is for results."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(previous)
