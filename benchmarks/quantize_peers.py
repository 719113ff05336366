"""Other tools' quantizers, called as their documentation shows, on the float ONNX file and the data of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.recipes.recipe import Recipe
from edgekit.runtime.telemetry import disable_telemetry
from edgekit.tensors import Feeds, smallest_sizes


def nncf_quantize(source: Path, recipe: Recipe, target: Path, *, transformer: bool = False, samples: int = 300) -> None:
    """`nncf.quantize` of the OpenVINO model with its defaults. samples: how many it takes, 300 unless told."""
    disable_telemetry()
    import nncf
    import openvino

    quantized = nncf.quantize(
        openvino_model(source, recipe),
        nncf.Dataset(_Feeds(recipe)),
        subset_size=samples,
        model_type=nncf.ModelType.TRANSFORMER if transformer else None,
    )
    openvino.save_model(quantized, target, compress_to_fp16=False)


def nncf_accuracy_control(source: Path, recipe: Recipe, target: Path, *, max_drop: float) -> None:
    """`nncf.quantize_with_accuracy_control`, which turns layers back until the mean metric is within `max_drop`."""
    disable_telemetry()
    import nncf
    import openvino

    from edgekit.bench.accuracy import top1

    def validate(compiled: Any, samples: Iterable[Any]) -> tuple[float, list[float]]:
        output = compiled.output(0)
        scores = [top1({"scores": compiled(feeds)[output]}, label) for feeds, label in samples]
        return float(np.mean(scores)), scores

    quantized = nncf.quantize_with_accuracy_control(
        openvino_model(source, recipe),
        nncf.Dataset(_Feeds(recipe)),
        nncf.Dataset(list(recipe.evaluation_samples())),
        validate,
        max_drop=max_drop,
    )
    openvino.save_model(quantized, target, compress_to_fp16=False)


def onnxruntime_static(source: Path, recipe: Recipe, target: Path, *, method: str = "MinMax") -> None:
    """`quantize_static` after `quant_pre_process`: u8 activations, s8 weights by channel, as advised for x86."""
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

    quantize_static(
        _prepared(source, target),
        target,
        _reader(recipe),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=getattr(CalibrationMethod, method),
    )


def onnxruntime_dynamic(source: Path, target: Path) -> None:
    """`quantize_dynamic` with its defaults, which is what onnxruntime advises for transformers and recurrent nets."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(_prepared(source, target), target)


def openvino_model(source: Path, recipe: Recipe) -> Any:
    """The float model in OpenVINO, at the smallest shape."""
    import openvino

    model = openvino.Core().read_model(source)
    sizes = smallest_sizes(recipe.input_specs)
    model.reshape({spec.name: list(spec.shape_at(sizes)) for spec in recipe.input_specs})
    return model


def _prepared(source: Path, target: Path) -> Path:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_name(f"prepared-{target.name}")
    quant_pre_process(source, prepared)
    return prepared


class _Feeds:
    """Calibration samples, drawn anew by each iteration, so that none is held in memory for its quantizer."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(feeds) for feeds in self._recipe.calibration_feeds())


def _reader(recipe: Recipe) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[Feeds] = recipe.calibration_feeds()

        def get_next(self) -> dict[str, Any] | None:
            feeds = next(self._samples, None)
            return None if feeds is None else dict(feeds)

    return Reader()
