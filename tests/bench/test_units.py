"""Units: three digits, the unit that fits, and the rounding at a unit's edge."""

from __future__ import annotations

import math

import pytest

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.statistics import Interval, Ratio, Withheld
from edgekit.bench.units import (
    accuracy_cell,
    digits,
    duration,
    duration_cell,
    energy_cell,
    percentile_cell,
    rate,
    rate_cell,
    ratio_cell,
    share_cell,
    size,
)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (470, "470 ns"),
        (6130, "6.13 µs"),
        (61_300, "61.3 µs"),
        (999_600, "1.00 ms"),
        (14e6, "14.0 ms"),
        (2.5e9, "2.50 s"),
    ],
)
def test_durations(ns: float, text: str) -> None:
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("value", "text"), [(9.996, "10.0"), (9.994, "9.99"), (99.96, "100"), (6130, "6130"), (0.5, "0.50")]
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_sizes_and_rates() -> None:
    assert [size(b) for b in (None, 12, 83_000, 56_200_000, 2e9)] == ["-", "12 B", "83.0 kB", "56.2 MB", "2.00 GB"]
    assert [rate(r) for r in (None, 163_000, 1.2e6, 42)] == ["-", "163k/s", "1.20M/s", "42.0/s"]


def test_interval_bounds_are_in_the_unit_of_the_value() -> None:
    assert duration_cell(Interval(998_000, 990_000, 1_200_000)) == ("998 µs", "[990, 1200]")
    assert duration_cell(None) == ("-", "")


def test_an_interval_without_bounds_is_none() -> None:
    assert duration_cell(Interval(5_000, -math.inf, math.inf)) == ("5.00 µs", "no interval")
    assert rate_cell(Interval(5_000, 0.0, math.inf)) == ("5.00k/s", "no interval")


def test_a_withheld_percentile_says_why_and_what_it_does_not_exceed() -> None:
    value = Interval(998_000, 990_000, 1_200_000)
    assert percentile_cell(value, None) == duration_cell(value)
    assert percentile_cell(None, Withheld(99, 384, 662, 12_100)) == ("withheld", "384 of 662, ≤ 12.1 µs")
    assert percentile_cell(None, Withheld(99, 40, 662, None)) == ("withheld", "40 of 662")
    assert percentile_cell(None, None) == ("-", "")


def test_rates_shares_and_energies() -> None:
    assert rate_cell(Interval(163_000, 160_000, 166_000)) == ("163k/s", "[160, 166]")
    assert share_cell(Interval(0.501, 0.48, 0.5234)) == ("50.1 %", "[48.0, 52.3]")
    assert energy_cell(Interval(1_200, 1_180, 1_220)) == ("1.20 mJ", "[1.18, 1.22]")
    assert (rate_cell(None), share_cell(None), energy_cell(None)) == (("-", ""), ("-", ""), ("unavailable", ""))


def test_accuracy_and_ratio_cells() -> None:
    assert accuracy_cell(Accuracy("top1", 0.978, 0.96, 0.988, 500)) == ("97.8 %", "[96.0, 98.8]")
    assert accuracy_cell(Accuracy("negative_mae", -1.23456, -1.3, -1.2, 9)) == ("-1.235", "[-1.3, -1.2]")
    assert ratio_cell(Ratio(0.52, 0.5, 0.54, 8)) == ("0.52", "[0.50, 0.54]")
    assert ratio_cell(Ratio(0.52, 0.0, math.inf, 3)) == ("0.52", "no interval")
