"""NNCF's post-training quantizer, on ONNX: symmetric where a tensor has both signs, bias correction included."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import BackendError, CalibrationError, MissingDependencyError, RecipeError
from edgekit.export import data_file
from edgekit.quiet import quiet_logs
from edgekit.runtime.telemetry import disable_telemetry
from edgekit.transforms.quantize.workpiece import Workpiece

MOST_SAMPLES = 300  # NNCF's own default: its corrections hold figures of each sample


def quantize(work: Workpiece, destination: Path, *, transformer: bool = False, kept_float: Sequence[str] = ()) -> None:
    """See `edgekit.transforms.quantize.quantize`. transformer: its scheme for such models, with SmoothQuant."""
    disable_telemetry()
    try:
        import nncf
        import onnx
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    except ImportError as error:
        raise MissingDependencyError("nncf", extra="export") from error
    overflow_fix = OverflowFix.ENABLE if work.saturates else OverflowFix.DISABLE
    # NNCF draws its own progress bars on stdout, which is for results.
    with quiet_logs(), contextlib.redirect_stdout(io.StringIO()):
        try:
            quantized = nncf.quantize(
                onnx.load(work.source),
                nncf.Dataset(work.calibration),
                subset_size=min(work.calibration.count, MOST_SAMPLES),
                target_device=nncf.TargetDevice.CPU,
                model_type=nncf.ModelType.TRANSFORMER if transformer else None,
                ignored_scope=nncf.IgnoredScope(names=list(kept_float)) if kept_float else None,
                advanced_parameters=AdvancedQuantizationParameters(overflow_fix=overflow_fix),
            )
        except (OSError, CalibrationError, RecipeError):  # a full disk or bad data is not a verdict on the graph
            raise
        except Exception as error:  # nncf has no common base class for its errors
            raise BackendError(f"nncf refused the graph: {type(error).__name__}: {error}") from error
    external = data_file(work.source).exists()
    onnx.save(quantized, destination, save_as_external_data=external, location=data_file(destination).name)
