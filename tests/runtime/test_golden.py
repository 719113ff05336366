"""Deviation, the measure that golden samples are judged by."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtime.golden import max_deviation

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("got", "expected", "deviation"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([NAN], [NAN], 0.0),
        ([NAN], [1.0], INF),
        ([1.0], [NAN], INF),
        ([INF], [INF], 0.0),
        ([INF], [-INF], INF),
        ([1.0], [1.0, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_max_deviation(got: list, expected: list, deviation: float) -> None:
    assert max_deviation(np.array(got, np.float32), np.array(expected, np.float32)) == deviation


def test_integers_do_not_wrap_around() -> None:
    assert max_deviation(np.array([0], np.uint8), np.array([255], np.uint8)) == 255.0
