"""Calibration data, checked before any of it shapes a model: there is no default, and nothing is made up."""

from __future__ import annotations

from edgekit.errors import CalibrationError, TensorError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, check_feeds, check_finite


def calibration_samples(recipe: Recipe) -> list[dict[str, Array]]:
    """All calibration samples of the recipe, checked.

    Raises:
        CalibrationError: there are none, or one has a wrong name, dtype or shape, or holds NaN or infinity.
    """
    if recipe.calibration is None:
        raise CalibrationError(
            f"recipe {recipe.name!r} has no calibration data, and int8 needs real samples: give it calibration=..., "
            "or build the float variants alone (--only f32 --only bf16)"
        )
    samples = [_checked(recipe, index, feeds) for index, feeds in enumerate(recipe.calibration_feeds())]
    if not samples:
        raise CalibrationError(
            f"recipe {recipe.name!r}: the calibration data is empty; a hundred samples or more are usual"
        )
    return samples


def _checked(recipe: Recipe, index: int, feeds: object) -> dict[str, Array]:
    if not isinstance(feeds, dict):
        raise CalibrationError(
            f"recipe {recipe.name!r}: calibration sample {index} is a {type(feeds).__name__}; expected {{name: array}}"
        )
    try:
        checked = check_feeds(recipe.input_specs, feeds)
        check_finite(checked)
    except TensorError as error:
        raise CalibrationError(f"recipe {recipe.name!r}: calibration sample {index}: {error}") from error
    return checked
