"""Reports: rows say what was measured, JSON brings all of it back, and a foreign or damaged file is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_reports import example_report, measurement

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.report import build_report, report_from_json, report_to_json, write_report
from edgekit.bench.results import read_reports
from edgekit.bench.statistics import compare
from edgekit.errors import MeasurementError


def test_rows_hold_what_was_measured() -> None:
    slow, fast = measurement("slow", 2e6), measurement("fast", 1e6)
    accuracy = Accuracy("top1", 0.9, 0.88, 0.92, 500)
    report = build_report("t", [fast, slow], base="slow", fingerprint={"cpu": "x"}, accuracies={"fast": accuracy})
    first, base = report.rows
    assert (first.name, first.backend, first.threads) == ("fast", "openvino", 1)
    assert first.ratio == compare(fast.calls_ns, slow.calls_ns)
    assert first.ratio is not None
    assert first.ratio.value == pytest.approx(0.5, rel=0.05)
    assert (base.ratio, base.accuracy, first.accuracy) == (None, None, accuracy)
    assert first.p50_ns is not None
    assert first.throughput_per_s == pytest.approx(1e9 / first.p50_ns.value)
    assert first.load_ns == np.median(fast.load_ns)
    assert first.calls_ns == fast.calls_ns


def test_percentiles_of_too_few_calls_are_withheld() -> None:
    few = measurement("few", 1e6, sessions=1, rounds=2)
    (row,) = build_report("t", [few], base="few", fingerprint={}).rows
    assert (row.p50_ns, row.p90_ns, row.p99_ns, row.throughput_per_s) == (None, None, None, None)
    assert [(part.percentile, part.count, part.needed) for part in row.withheld] == [
        (50, 8, 11),
        (90, 8, 64),
        (99, 8, 662),
    ]
    assert [part.upper is None for part in row.withheld] == [False, True, True]


def test_p99_is_given_from_its_minimum_count_on() -> None:
    (row,) = build_report("t", [measurement("many", 1e6, rounds=24)], base="many", fingerprint={}).rows
    assert row.withheld == ()
    assert row.p90_ns is not None
    assert row.p99_ns is not None
    assert row.p90_ns.value < row.p99_ns.value


def test_a_report_says_whether_processing_was_in_the_calls() -> None:
    out, raw = measurement("a", 1e6), measurement("a", 1e6)
    raw = replace(raw, arm=replace(raw.arm, processing=True))
    for one, word in ((out, "out"), (raw, "in")):
        report = build_report("t", [one], base="a", fingerprint={})
        assert report.processing == word
        assert report.notes[0].startswith(f"Processing {word}: calls ")


def test_rows_are_tagged_against_the_base() -> None:
    base = measurement("base", 1e6)
    tailed = [[[ns * (3 if at % 2 else 1) for at, ns in enumerate(c)] for c in s] for s in base.calls_ns]
    arms = [replace(measurement("head", 1e6), calls_ns=tailed), base]
    report = build_report("t", arms, base="base", fingerprint={})
    assert [row.tags for row in report.rows] == [("tails-disagree",), ()]
    assert report.notes[-1].startswith("tails-disagree: head takes ")


def test_a_report_of_version_1_is_read_and_completed_from_its_raw_times() -> None:
    report = example_report()
    old = json.loads(json.dumps(report_to_json(report)))
    old["edgekit_report"] = 1
    del old["processing"]
    for row in old["rows"]:
        for name in ("p99_ns", "withheld", "tags"):
            del row[name]
    assert report_from_json(old) == report


def test_unknown_arms_are_refused() -> None:
    one = measurement("one", 1e6)
    with pytest.raises(MeasurementError, match="no arm 'on' was measured; did you mean 'one'"):
        build_report("t", [one], base="on", fingerprint={})
    with pytest.raises(MeasurementError, match="no arm 'two'"):
        build_report("t", [one], base="one", fingerprint={}, accuracies={"two": Accuracy("top1", 1, 1, 1, 9)})


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    report = example_report()
    write_report(report, tmp_path / "r.json")
    assert read_reports(tmp_path / "r.json") == [report]
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def test_reports_of_several_models_are_read_from_one_file(tmp_path: Path) -> None:
    report = example_report()
    (tmp_path / "r.json").write_text(json.dumps([report_to_json(report)] * 2), encoding="utf-8")
    assert read_reports(tmp_path / "r.json") == [report, report]
    (tmp_path / "r.json").write_text("[]", encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"r\.json holds no report"):
        read_reports(tmp_path / "r.json")


def test_a_report_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"cannot write .*r\.json.*create the folder first"):
        write_report(example_report(), tmp_path / "gone" / "r.json")


def test_a_missing_interval_survives_json() -> None:
    arms = [measurement("a", 1e6, sessions=3), measurement("b", 1e6, sessions=3)]
    report = build_report("t", arms, base="a", fingerprint={})
    text = json.dumps(report_to_json(report), allow_nan=False)
    again = report_from_json(json.loads(text))
    assert again == report
    assert again.rows[1].ratio is not None
    assert again.rows[1].ratio.high == math.inf


def _without(data: dict[str, Any], *path: Any) -> dict[str, Any]:
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return data


def _with(data: dict[str, Any], value: Any, *path: Any) -> dict[str, Any]:
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: [d], "not an edgekit report"),
        (lambda d: {"benchmarks": []}, "not an edgekit report"),
        (lambda d: _with(d, 99, "edgekit_report"), "version 99"),
        (lambda d: _without(d, "rows"), "damaged: KeyError: 'rows'"),
        (lambda d: _without(d | {"edgekit_report": 1}, "rows"), "damaged: KeyError: 'rows'"),
        (lambda d: _with(d | {"edgekit_report": 1}, "nobody", "base"), "damaged: KeyError: 'nobody'"),
        (lambda d: _without(d, "processing"), "damaged: KeyError: 'processing'"),
        (lambda d: _without(d, "rows", 0, "load_ns"), "damaged: KeyError: 'load_ns'"),
        (lambda d: _with(d, "fast", "rows", 0, "load_ns"), "load_ns is 'fast'; expected float"),
        (lambda d: _with(d, 1, "rows", 0, "colour"), "unexpected keyword argument 'colour'"),
        (lambda d: _with(d, None, "rows", 0, "name"), "name is None; expected str"),
        (lambda d: _with(d, [[["x"]]], "rows", 0, "calls_ns"), "damaged: ValueError"),
        (lambda d: _with(d, "nobody", "base"), "base 'nobody' is none of its rows"),
        (lambda d: _with(d, {"value": 1}, "rows", 0, "p50_ns"), "damaged: KeyError: 'low'"),
    ],
)
def test_foreign_and_damaged_reports_are_refused(damage: Any, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        report_from_json(damage(json.loads(json.dumps(report_to_json(example_report())))))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"edgekit_report": 1', encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"r\.json cannot be read as a report"):
        read_reports(tmp_path / "r.json")
    (tmp_path / "r.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeasurementError, match="cannot be read as a report"):
        read_reports(tmp_path / "r.json")
    with pytest.raises(MeasurementError, match="cannot be read as a report"):
        read_reports(tmp_path / "gone.json")
    (tmp_path / "r.json").write_text("{}", encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"r\.json: this is not an edgekit report"):
        read_reports(tmp_path / "r.json")
