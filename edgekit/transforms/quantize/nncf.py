"""NNCF's post-training quantizer, on ONNX: symmetric where a tensor has both signs, bias correction included."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import data_file
from edgekit.quiet import quiet_logs
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
    # NNCF draws its own progress bars on stdout, which is for results.
    with quiet_logs(), contextlib.redirect_stdout(io.StringIO()):
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
