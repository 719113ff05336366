"""A recipe for a model that comes as an ONNX file, its data in .npz files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.building.source import onnx_inputs, read_onnx
from edgekit.errors import DataError, ExportError, RecipeError
from edgekit.recipes.recipe import Budget, Recipe, Sample
from edgekit.tensors import Array, TensorSpec

TARGET = "target"  # the array of an evaluation file that holds what each sample should give


def onnx_recipe(
    path: Path,
    *,
    calibration: Path,
    evaluation: Path | None = None,
    metric: str | None = None,
    max_drop: float = 0.01,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> Recipe:
    """The recipe of the ONNX file at `path`.

    calibration: an .npz with an array for each input, whose first axis counts samples: a (256, 1, 28, 28) array is 256
        samples of an input (batch, 1, 28, 28) or (1, 28, 28).
    evaluation: the same with an array `target`, one entry a sample. Without it only float variants can ship.
    ranges: smallest and largest size of dynamic dimensions; by default the sizes seen in the calibration data.

    Raises:
        ExportError: the file is not an ONNX model.
        DataError: a data file cannot be read, or lacks an array.
        RecipeError: a range for a dimension that the graph does not have.
    """
    model = read_onnx(path)
    if not model.graph.inputs:
        raise ExportError(f"{path} has no inputs, so there is nothing to run")
    ranks = {str(value.name): _rank(value) for value in model.graph.inputs}
    samples = list(_samples(calibration, ranks))
    inputs = {name: _widened(spec, ranges or {}) for name, spec in onnx_inputs(model, samples).items()}
    _refuse_unknown_ranges(inputs, ranges or {})
    labelled = None if evaluation is None else list(_labelled(evaluation, ranks))
    return Recipe(
        name=re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-") or "model",
        model=path,
        inputs=inputs,
        outputs=tuple(str(value.name) for value in model.graph.outputs),
        calibration=lambda: samples,
        evaluation=None if labelled is None else lambda: labelled,
        metric=metric,
        budget=Budget(max_drop=max_drop),
    )


def _rank(value: Any) -> int:
    if value.shape is None or value.dtype is None:
        raise ExportError(
            f"input {value.name!r} of the graph has no shape or dtype; run onnx.shape_inference on the file"
        )
    return len(value.shape)


def _widened(spec: TensorSpec, ranges: Mapping[str, tuple[int, int]]) -> TensorSpec:
    return replace(spec, ranges={dim: ranges.get(dim, bounds) for dim, bounds in spec.ranges.items()})


def _refuse_unknown_ranges(inputs: Mapping[str, TensorSpec], ranges: Mapping[str, tuple[int, int]]) -> None:
    known = {dim for spec in inputs.values() for dim in spec.dynamic_dims}
    if unknown := sorted(set(ranges) - known):
        raise RecipeError(f"the graph has no dynamic dimension {unknown[0]!r}; it has {sorted(known) or 'none'}")


def _samples(path: Path, ranks: Mapping[str, int]) -> Iterator[dict[str, Array]]:
    arrays = _read(path, [*ranks])
    for index in range(len(arrays[next(iter(ranks))])):
        yield {name: _sample(path, name, arrays[name], index=index, rank=rank) for name, rank in ranks.items()}


def _labelled(path: Path, ranks: Mapping[str, int]) -> Iterator[Sample]:
    targets = _read(path, [*ranks, TARGET])[TARGET]
    yield from zip(_samples(path, ranks), targets, strict=True)


def _sample(path: Path, name: str, array: Array, *, index: int, rank: int) -> Array:
    """Sample `index`: with a leading axis of 1 where the input has one for the batch, without it where it does not."""
    if array.ndim not in (rank, rank + 1):
        raise DataError(f"{path}: {name!r} has {array.ndim} axes; expected {rank}, or {rank + 1} with one for samples")
    return array[index : index + 1] if array.ndim == rank else array[index]


def _read(path: Path, names: list[str]) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:  # a .npy file gives an array: TypeError, in 3.10 AttributeError
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as .npz: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{path} has no array {missing[0]!r}; it has {sorted(found)}, expected {names}")
    if scalars := [name for name in names if found[name].ndim == 0]:
        raise DataError(f"{path}: {scalars[0]!r} is a single value; its first axis must count samples")
    counts = {name: len(found[name]) for name in names}
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: the arrays hold different numbers of samples: {counts}")
    if 0 in counts.values():
        raise DataError(f"{path}: the arrays hold no samples: {counts}")
    return {name: found[name] for name in names}
