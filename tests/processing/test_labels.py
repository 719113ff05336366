"""Scores to answers: the highest of one sample, and never of several."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import TensorError
from edgekit.processing.labels import best_class


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1, 1, 4)])
def test_the_highest_score_wins_and_the_first_of_equals(shape: tuple[int, ...]) -> None:
    assert best_class(np.array([0.1, 3.0, 3.0, -1.0]).reshape(shape)) == 1


@pytest.mark.parametrize("shape", [(2, 4), (0,), (1, 0), (4, 1), ()])
def test_anything_but_one_samples_scores_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match="expected those of one sample"):
        best_class(np.zeros(shape))
