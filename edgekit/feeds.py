"""Real inputs of a recipe, and the same brought to other sizes of its dynamic dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from edgekit.errors import RecipeError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, Feeds, TensorSpec, check_feeds, check_finite


def real_feeds(recipe: Recipe, count: int) -> list[dict[str, Array]]:
    """The first `count` samples of the recipe's calibration data, or of its evaluation data.

    Raises:
        RecipeError: the recipe has neither, or they are empty.
        TensorError: a sample is not what the recipe's inputs state, or holds NaN or infinity.
    """
    samples = [check_feeds(recipe.input_specs, feeds) for feeds in islice(_source(recipe), count)]
    for sample in samples:
        check_finite(sample)
    if not samples:
        raise RecipeError(f"recipe {recipe.name!r} has no real inputs; give it calibration or evaluation data")
    return samples


def _source(recipe: Recipe) -> Iterator[Feeds]:
    if recipe.calibration is not None:
        yield from recipe.calibration_feeds()
    else:
        yield from (feeds for feeds, _ in recipe.evaluation_samples())


def feeds_at(
    specs: Sequence[TensorSpec], samples: Sequence[Mapping[str, Array]], sizes: Mapping[str, int]
) -> dict[str, Array]:
    """One set of inputs with the given sizes, made of real values.

    A leading dynamic dimension (a batch) is filled with different samples, in turn; any other one by repeating the
    sample along it, or cutting it off.
    """
    return {spec.name: _array_at(spec, [sample[spec.name] for sample in samples], sizes) for spec in specs}


def _array_at(spec: TensorSpec, arrays: Sequence[Array], sizes: Mapping[str, int]) -> Array:
    first = arrays[0]
    for axis, dim in enumerate(spec.shape):
        if not isinstance(dim, str):
            continue
        if axis == 0:
            first = np.concatenate([_fit(array, first.shape[1:]) for array in arrays])
        first = np.take(first, np.arange(sizes[dim]) % first.shape[axis], axis=axis)
    return np.asarray(first, order="C")


def _fit(array: Array, shape: tuple[int, ...]) -> Array:
    """`array` with its trailing dimensions repeated or cut to `shape`: samples of several lengths form one batch."""
    for axis, size in enumerate(shape, start=1):
        if array.shape[axis] != size:
            array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
    return array
