"""Calibration data, checked before it shapes a model, and streamed: there is no default, and nothing is made up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from edgekit.errors import CalibrationError, TensorError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, check_feeds, check_finite


class Calibration:
    """The calibration samples of a recipe. Each iteration asks the recipe anew and holds one sample at a time.

    Raises:
        CalibrationError: there are none, or one has a wrong name, dtype or shape, or holds NaN or infinity: all are
            looked at once when this is made, and each again as it passes by.
    """

    def __init__(self, recipe: Recipe) -> None:
        if recipe.calibration is None:
            raise CalibrationError(
                f"recipe {recipe.name!r} has no calibration data, and int8 needs real samples: give it "
                "calibration=..., or build the float variants alone (--only f32 --only bf16)"
            )
        self.recipe = recipe
        if not self.count:
            raise CalibrationError(
                f"recipe {recipe.name!r}: the calibration data is empty; a hundred samples or more are usual"
            )

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for index, feeds in enumerate(self.recipe.calibration_feeds()):
            yield self._checked(index, feeds)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return self._read[0]

    @property
    def sha256(self) -> str:
        """Digest of every sample: names, dtypes, shapes and values."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[int, str]:
        count, digest = 0, hashlib.sha256()
        for feeds in self:
            count += 1
            for name in sorted(feeds):
                array = np.ascontiguousarray(feeds[name])
                digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
                digest.update(array.data)
        return count, digest.hexdigest()

    def _checked(self, index: int, feeds: object) -> dict[str, Array]:
        where = f"recipe {self.recipe.name!r}: calibration sample {index}"
        if not isinstance(feeds, dict):
            raise CalibrationError(f"{where} is a {type(feeds).__name__}; expected {{name: array}}")
        try:
            checked = check_feeds(self.recipe.input_specs, feeds)
            check_finite(checked)
        except TensorError as error:
            raise CalibrationError(f"{where}: {error}") from error
        return checked
