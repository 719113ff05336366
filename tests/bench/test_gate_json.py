"""The gate's JSON: all of a result comes back, and a foreign or damaged file is refused with its fault."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example_gates import FASTER, SLOWER, UNBOUNDED, example_gate, full_gate
from example_reports import example_report

from edgekit.bench.gate.codec import gate_from_json, gate_to_json
from edgekit.bench.report import report_to_json
from edgekit.bench.results import read_results
from edgekit.errors import MeasurementError


def _through_text(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


def test_a_result_survives_json() -> None:
    report = full_gate()
    data = _through_text(gate_to_json(report))
    assert (data["edgekit_gate"], data["outcome"]) == (1, "FAIL")
    assert gate_from_json(data) == report


def test_a_result_without_verdicts_survives_json() -> None:
    assert gate_from_json(_through_text(gate_to_json(example_gate()))) == example_gate()


def test_infinite_bounds_are_null() -> None:
    one_sided = replace(UNBOUNDED, effect=replace(FASTER.effect, high=math.inf))
    both, high = _through_text(gate_to_json(example_gate(UNBOUNDED, one_sided)))["verdicts"]
    assert (both["effect"]["low"], both["effect"]["high"]) == (None, None)
    assert (high["effect"]["low"], high["effect"]["high"]) == (-0.2701, None)


def test_an_infinite_detectable_change_is_none() -> None:
    report = example_gate(replace(SLOWER, detectable=math.inf))
    assert gate_from_json(_through_text(gate_to_json(report))).verdicts[0].detectable is None


def _with(value: Any, *path: Any) -> Any:
    def damage(data: dict[str, Any]) -> dict[str, Any]:
        inner: Any = data
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return data

    return damage


def _without(*path: Any) -> Any:
    def damage(data: dict[str, Any]) -> dict[str, Any]:
        inner: Any = data
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return data

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: [d], "no result of the gate; make one with: edgekit gate"),
        (lambda d: {"edgekit_report": 1}, "no result of the gate"),
        (_with(2, "edgekit_gate"), "gate version 2; this edgekit reads version 1"),
        (_without("verdicts"), "damaged: KeyError: 'verdicts'"),
        (_without("seed"), "damaged: KeyError: 'seed'"),
        (_without("outcome"), "damaged: KeyError: 'outcome'"),
        (_with("PASS", "outcome"), "the gate says PASS, its verdicts FAIL"),
        (_with("MAYBE", "outcome"), "'MAYBE' is not a valid Outcome"),
        (_with("pass", "verdicts", 0, "outcome"), "'pass' is not a valid Outcome"),
        (_with(None, "verdicts"), "damaged: TypeError"),
        (_with("one", "notes"), "notes is 'one'; expected a list of texts"),
        (_with([1], "notes"), "notes is .1.; expected a list of texts"),
        (_with("cpu", "fingerprint"), "fingerprint is 'cpu'; expected an object"),
        (_with("often", "verdicts", 0, "pairs"), "pairs is 'often'; expected int"),
        (_with(None, "verdicts", 0, "threshold"), "threshold is None; expected float"),
        (_with(1, "verdicts", 0, "colour"), "unexpected keyword argument 'colour'"),
        (_with(None, "verdicts", 0, "effect", "value"), "value is None; expected float"),
        (_with(9.0, "verdicts", 0, "effect", "low"), r"effect is 0.0512 in \[9.0, 0.0554\]"),
        (_with(math.nan, "verdicts", 0, "effect", "value"), "effect is nan"),
        (_without("verdicts", 0, "effect", "high"), "damaged: KeyError: 'high'"),
        (_with("slow", "verdicts", 0, "tags"), "tags is 'slow'"),
    ],
)
def test_foreign_and_damaged_results_are_refused(damage: Any, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        gate_from_json(damage(_through_text(gate_to_json(full_gate()))))


def test_a_file_may_hold_results_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps([gate_to_json(full_gate()), report_to_json(example_report())]), encoding="utf-8")
    assert read_results(path) == [full_gate(), example_report()]
    path.write_text(json.dumps(gate_to_json(full_gate())), encoding="utf-8")
    assert read_results(path) == [full_gate()]


def test_a_file_of_neither_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"r\.json: this is not an edgekit report"):
        read_results(path)
    path.write_text('{"edgekit_gate": 9}', encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"r\.json: gate version 9"):
        read_results(path)
