"""A recipe for a model that comes as an ONNX file, its data in .npz files."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bench.accuracy import METRICS, score_samples
from edgekit.building.npz import Wanted, labelled_samples, samples
from edgekit.building.onnx_in import read_float_onnx
from edgekit.building.refusals import reference_function
from edgekit.building.source import onnx_inputs
from edgekit.errors import DataError, EdgekitError, RecipeError, did_you_mean
from edgekit.recipes import FILE_REFERENCE, import_file
from edgekit.recipes.recipe import Budget, Metric, Recipe, Sample
from edgekit.tensors import Array, TensorSpec, check_feeds

if TYPE_CHECKING:
    import onnx_ir as ir


def onnx_recipe(
    path: Path,
    *,
    calibration: Path,
    evaluation: Path | None = None,
    metric: str | None = None,
    max_drop: float = 0.01,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> Recipe:
    """The recipe of the ONNX file at `path`, which has been run on the first sample of each data file.

    calibration: an .npz with an array for each input, whose first axis counts samples: a (256, 1, 28, 28) array is 256
        samples of an input (batch, 1, 28, 28) or (1, 28, 28).
    evaluation: the same with an array `target`, one entry a sample. Without it only float variants can ship.
    metric: see `load_metric`.
    ranges: smallest and largest size of dynamic dimensions; by default the sizes seen in the data.

    Raises:
        ExportError: the file is not an ONNX model that can be built, or does not run on the data.
        DataError: a data file cannot be read, lacks an array, or holds another dtype.
        TensorError: an array has other sizes than the graph declares.
        RecipeError: a range for a dimension that the graph does not have, or a metric that cannot be had.
        MeasurementError: the metric cannot score the first sample.
    """
    model = read_float_onnx(path)
    wanted = [Wanted(str(v.name), v.dtype.numpy().name, _rank(v)) for v in model.graph.inputs if v.dtype is not None]
    feeds = list(samples(calibration, wanted))
    labelled = None if evaluation is None else list(labelled_samples(evaluation, wanted))
    seen = [*feeds, *(sample for sample, _ in labelled or ())]
    _complete_shapes(model, seen)
    inputs = {name: _widened(spec, ranges or {}) for name, spec in onnx_inputs(model, seen).items()}
    _refuse_unknown_ranges(inputs, ranges or {})
    recipe = Recipe(
        name=re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-") or "model",
        model=path,
        inputs=inputs,
        outputs=tuple(str(value.name) for value in model.graph.outputs),
        calibration=lambda: feeds,
        evaluation=None if labelled is None else lambda: labelled,
        metric=None if metric is None else load_metric(metric),
        budget=Budget(max_drop=max_drop),
    )
    _try_out(recipe, model, path, feeds[0], labelled)
    return recipe


def load_metric(reference: str) -> str | Metric:
    """The metric that `reference` names: one of `edgekit.bench.accuracy.METRICS`, as it is; `pkg.module:function` or
    `path/to/file.py[:function]`, `metric` by default: a function (outputs, target) -> float of one sample.

    Raises:
        RecipeError: nothing there, the file fails to import, or what is there cannot be called.
    """
    if reference in METRICS:
        return reference
    module_name, _, attribute = reference.partition(":")
    if match := FILE_REFERENCE.fullmatch(reference):
        module_name, attribute = import_file(Path(match["path"])), match["attribute"] or "metric"
    if not attribute:
        raise RecipeError(
            f"unknown metric {reference!r}; {did_you_mean(reference, METRICS)}, or give module:function or "
            "path/to/file.py:function"
        )
    try:
        found: Metric = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever a module raises while it is imported
        raise RecipeError(f"metric {reference!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise RecipeError(f"metric {reference!r} is a {type(found).__name__}; expected a function (outputs, target)")
    return found


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def _complete_shapes(model: ir.Model, seen: Sequence[Mapping[str, Array]]) -> None:
    """Give inputs without a shape that of the data: `batch` first, and names for sizes that vary."""
    import onnx_ir as ir

    for value in model.graph.inputs:
        if value.shape is not None:
            continue
        shapes = {sample[str(value.name)].shape for sample in seen}
        if len({len(shape) for shape in shapes}) > 1:
            raise DataError(
                f"the graph gives input {value.name!r} no shape, and calibration and evaluation give it different "
                "numbers of axes; give both the same"
            )
        sizes = [sorted(set(axis)) for axis in zip(*shapes, strict=True)]
        dims = [found[0] if len(found) == 1 else f"{value.name}_dim{axis}" for axis, found in enumerate(sizes)]
        value.shape = ir.Shape(["batch", *dims[1:]])


def _widened(spec: TensorSpec, ranges: Mapping[str, tuple[int, int]]) -> TensorSpec:
    return replace(spec, ranges={dim: ranges.get(dim, bounds) for dim, bounds in spec.ranges.items()})


def _refuse_unknown_ranges(inputs: Mapping[str, TensorSpec], ranges: Mapping[str, tuple[int, int]]) -> None:
    known = {dim for spec in inputs.values() for dim in spec.dynamic_dims}
    if unknown := sorted(set(ranges) - known):
        raise RecipeError(f"the graph has no dynamic dimension {unknown[0]!r}; it has {sorted(known) or 'none'}")


def _try_out(
    recipe: Recipe, model: ir.Model, path: Path, feeds: Mapping[str, Array], labelled: Sequence[Sample] | None
) -> None:
    """Run and score the first samples: what must fail fails here, not after minutes of compiling."""
    run = reference_function(model, path)
    run(check_feeds(recipe.input_specs, feeds))
    if not labelled or recipe.metric is None:
        return
    outputs = run(check_feeds(recipe.input_specs, labelled[0][0]))
    if recipe.metric == "top1":
        _refuse_for_top1(outputs, labelled)
    try:
        score_samples(recipe.metric, [outputs], [labelled[0][1]])
    except EdgekitError:
        raise
    except Exception as error:
        raise RecipeError(
            f"metric {recipe.metric_name!r} raised {type(error).__name__} on the first evaluation sample: {error}"
        ) from error


def _refuse_for_top1(outputs: Mapping[str, Array], labelled: Sequence[Sample]) -> None:
    """Refuse what top1 would score without complaint, and wrongly."""
    if len(outputs) != 1:
        return  # the metric says it
    ((name, array),) = outputs.items()
    if array.dtype.kind != "f" or array.ndim == 0 or array.shape[-1] == 1:
        raise RecipeError(
            f"top1 looks for the largest of a row of scores, and output {name!r} is {array.dtype} {list(array.shape)}: "
            "give a metric of your own, as path/to/file.py:function"
        )
    classes = array.shape[-1]
    for position, (_, target) in enumerate(labelled):
        wrong = [value for value in np.ravel(target).tolist() if value not in range(classes)]
        if wrong:
            raise DataError(
                f"target {wrong[0]} of evaluation sample {position} is no class of output {name!r}, which has scores "
                f"for 0 to {classes - 1}; count classes from 0"
            )
