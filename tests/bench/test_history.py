"""Histories: series by model, arm, metric and machine, changes with their size and direction, and what is not known."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import numpy as np
import pytest
from example_reports import measurement

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.history.render import change_tables, history_page, summary
from edgekit.bench.history.series import History, Series, build_history, history_to_json, levels
from edgekit.bench.report import Report, build_report
from edgekit.bench.statistics import Interval
from edgekit.errors import MeasurementError

HERE = {"cpu": "AMD EPYC", "cores": 4, "packages": {"openvino": "2025.1"}}
START = datetime(2026, 1, 1, 3, tzinfo=timezone.utc)


@cache
def template() -> Report:
    accuracies = {"edgekit": Accuracy("top1", 0.9, 0.88, 0.92, 500)}
    arms = [measurement("edgekit", 1e6), measurement("torch", 9e6)]
    return build_report("kws", arms, base="edgekit", fingerprint=HERE, accuracies=accuracies)


def result(day: int, *, latency: float = 1.0, accuracy: float = 0.9, **changes: Any) -> tuple[str, Report]:
    """The report of a day; `latency` and noise of 1 % multiply both arms' times."""
    rng = np.random.default_rng(day)
    rows = []
    for row in template().rows:
        p50, load = row.p50_ns.value, row.load_ns  # type: ignore[union-attr]
        value = p50 * (latency if row.name == "edgekit" else 1) * float(np.exp(rng.normal(0, 0.01)))
        score = row.accuracy and replace(row.accuracy, value=accuracy)
        load_ns = load * float(np.exp(rng.normal(0, 0.01)))
        rows.append(replace(row, p50_ns=Interval(value, value, value), load_ns=load_ns, accuracy=score))
    created = (START + timedelta(days=day)).isoformat()
    return f"{day:03}.json", replace(template(), rows=tuple(rows), **{"created": created, **changes})


def one(history: History, arm: str = "edgekit", metric: str = "latency") -> Series:
    (found,) = [series for series in history.series if (series.arm, series.metric) == (arm, metric)]
    return found


def test_a_slowdown_is_found_in_its_series_alone() -> None:
    history = build_history(result(day, latency=1.05 if day >= 24 else 1) for day in range(40))
    (change,) = one(history).changes
    assert (change.index, change.direction, change.source) == (24, "worse", "024.json")
    assert change.created == "2026-01-25T03:00:00+00:00"
    assert change.effect.low < 1.05 < change.effect.high
    assert change.effect.low > 1.03
    assert change.after / change.before == pytest.approx(1.05, rel=0.01)
    assert change.p <= history.alpha
    assert sum(len(series.changes) for series in history.series) == 1
    assert {(s.arm, s.metric, s.unit) for s in history.series if s.arm == "edgekit"} == {
        ("edgekit", "latency", "ns"),
        ("edgekit", "load", "ns"),
        ("edgekit", "rss", "bytes"),
        ("edgekit", "size", "bytes"),
        ("edgekit", "accuracy", "top1"),
    }


def test_faster_and_more_accurate_are_better_and_less_accurate_is_worse() -> None:
    history = build_history(
        result(day, latency=0.9 if day >= 20 else 1, accuracy=0.9 if day < 15 or day >= 30 else 0.85)
        for day in range(45)
    )
    assert [change.direction for change in one(history).changes] == ["better"]
    drop, rise = one(history, metric="accuracy").changes
    assert (drop.direction, rise.direction) == ("worse", "better")
    assert drop.effect.value == pytest.approx(-0.05)
    assert (drop.before, drop.after) == (0.9, 0.85)


def test_more_spread_at_the_same_level_is_unclear() -> None:
    rng = np.random.default_rng(0)
    noise = np.exp(rng.normal(0, np.where(np.arange(80) < 40, 0.001, 0.3)))
    (change,) = one(build_history(result(day, latency=float(noise[day])) for day in range(80))).changes
    assert change.direction == "unclear"


def test_results_are_ordered_by_date_and_counted_once() -> None:
    results = [result(day, latency=1.2 if day >= 20 else 1) for day in range(40)]
    shuffled = [results[position] for position in np.random.default_rng(0).permutation(40)]
    assert build_history([*shuffled, *results[:5]]) == build_history(results)


def test_dates_of_other_zones_are_ordered_as_they_happened() -> None:
    history = build_history([result(0, created="2026-01-01T02:00:00+02:00"), result(1, created="2026-01-01T00:30:00Z")])
    assert [point.created[11:16] for point in one(history).points] == ["00:00", "00:30"]


def test_machines_are_not_joined_and_that_is_said() -> None:
    elsewhere = {**HERE, "cpu": "Intel Xeon"}
    results = [result(day, fingerprint=elsewhere if day in (3, 7, 9) else HERE) for day in range(20)]
    history = build_history(results)
    assert sorted(len(s.points) for s in history.series if s.metric == "latency" and s.arm == "edgekit") == [3, 17]
    note = "3 results from another machine form series of their own: cpu: AMD EPYC against Intel Xeon."
    assert note in history.notes
    assert "9 of 18 series have fewer than 12 results, too few to tell a change." in history.notes


def test_calls_with_and_without_processing_are_not_joined() -> None:
    history = build_history(result(day, processing="in" if day % 2 else "out") for day in range(4))
    assert {series.model for series in history.series} == {"kws", "kws, processing in"}
    assert {len(series.points) for series in history.series} == {2}


def test_an_upgrade_stays_in_the_series_and_is_named_at_the_change() -> None:
    upgraded = {**HERE, "packages": {"openvino": "2025.2"}}
    history = build_history(
        result(day, latency=1.1 if day >= 20 else 1, fingerprint=upgraded if day >= 20 else HERE) for day in range(40)
    )
    (change,) = one(history).changes
    assert change.also_changed == ("openvino: 2025.1 against 2025.2",)


def test_another_variant_is_named_at_the_change() -> None:
    def shipped(day: int) -> tuple[str, Report]:
        source, report = result(day, latency=0.6 if day >= 20 else 1)
        rows = tuple(replace(row, precision="int8", threads=2) if day >= 20 else row for row in report.rows)
        return source, replace(report, rows=rows)

    (change,) = one(build_history(shipped(day) for day in range(40))).changes
    assert change.also_changed == ("variant: openvino f32, 1 thread against openvino int8, 2 threads",)


def test_results_that_name_no_cpu_are_noted() -> None:
    history = build_history(result(day, fingerprint={}) for day in range(3))
    assert any("do not name their CPU" in note for note in history.notes)


def test_the_level_is_shared_by_the_series_that_can_change() -> None:
    history = build_history(result(day) for day in range(30))
    assert one(history, metric="size").tested
    assert history.level == history.alpha / 4  # size, memory and accuracy never vary here: latency and load of two arms


def test_short_series_are_not_tested() -> None:
    history = build_history([result(day, latency=2 if day >= 6 else 1) for day in range(11)])
    assert not any(series.tested or series.changes for series in history.series)
    assert build_history([]).series == ()


def test_false_alarms_over_all_series_are_rare() -> None:
    alarmed = 0
    for offset in range(0, 40_000, 1000):
        history = build_history([result(offset + day) for day in range(20)], alpha=0.05)
        alarmed += any(series.changes for series in history.series)
    assert alarmed <= 6  # 2 of 40 expected at most


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"created": "yesterday"}, "7.json: created is 'yesterday'"),
        ({"latency": float("nan")}, "latency of edgekit is nan"),
    ],
)
def test_senseless_results_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        build_history([result(7, **changes)])


def test_json_holds_all_but_the_fingerprints() -> None:
    history = build_history(result(day, latency=1.05 if day >= 24 else 1) for day in range(40))
    data = json.loads(json.dumps(history_to_json(history), allow_nan=False))
    (series,) = [s for s in data["series"] if s["arm"] == "edgekit" and s["metric"] == "latency"]
    assert len(series["points"]) == 40
    assert set(series["points"][0]) == {"created", "source", "value", "variant"}
    assert series["changes"][0]["direction"] == "worse"
    assert series["changes"][0]["effect"]["low"] < 1.05
    assert data["level"] == history.level


def test_levels_are_the_medians_between_changes() -> None:
    series = one(build_history(result(day, latency=2 if day >= 20 else 1) for day in range(40)))
    (first, second, before), (third, fourth, after) = levels(series)
    assert (first, second, third, fourth) == (0, 20, 20, 40)
    assert after / before == pytest.approx(2, rel=0.02)


def test_a_row_and_the_summary_read_well() -> None:
    history = build_history(result(day, latency=1.05 if day >= 24 else 1) for day in range(40))
    ((model, (row,)),) = change_tables(history)
    assert (model, row[:3]) == ("kws", ["2026-01-25 (024.json)", "edgekit", "p50"])
    assert row[3].endswith(" ms")
    assert row[5].startswith("x 1.0")
    assert row[7] == "worse"
    assert summary(history) == "1 change in 9 of 9 series tested; chance of a false alarm among them: 0.01"


def test_arms_of_several_machines_are_told_apart() -> None:
    elsewhere = {**HERE, "cpu": "Intel Xeon"}
    history = build_history(
        result(day, latency=1.2 if day >= 20 else 1, fingerprint=machine)
        for day in range(40)
        for machine in (HERE, elsewhere)
    )
    ((_, rows),) = change_tables(history)
    assert {row[1].split(" (")[0] for row in rows} == {"edgekit on AMD EPYC, 4 cores", "edgekit on Intel Xeon, 4 cores"}


def test_the_page_escapes_what_it_is_given_and_draws_every_series() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    history = build_history(
        result(day, title="<kws>", latency=1.2 if day >= 20 else 1, accuracy=0.9 if day < 15 else 0.95)
        for day in range(30)
    )
    page = history_page(history)
    assert "&lt;kws&gt;" in page
    assert "<kws>" not in page
    assert page.count("<svg") == len(history.series) == 9
    start, end = page.index("<svg"), page.index("</svg>") + len("</svg>")
    ET.fromstring(page[start:end])  # noqa: S314 - our own output
