"""The gate as a whole: real models, measured; and everything that must never read as a pass."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.gate.verdict import EXIT_CODES, GateReport, Outcome, Verdict
from edgekit.bench.report import write_report
from edgekit.bundle import Bundle
from edgekit.errors import EdgekitError, MeasurementError
from edgekit.files import sha256_of
from edgekit.gate import Side, gate, profile_named
from edgekit.gating import pairs
from edgekit.gating.subjects import Data
from tests.bench.example_reports import example_report
from tests.conftest import tiny_recipe
from tests.gating.conftest import QUICK

Make = Callable[..., Path]


def run(base: object, head: object, **options: object) -> GateReport:
    return gate(Side(str(base)), Side(str(head)), QUICK, **options)  # type: ignore[arg-type]


def only(report: GateReport, metric: str) -> Verdict:
    (found,) = (verdict for verdict in report.verdicts if verdict.metric == metric)
    return found


def test_a_model_passes_against_itself(make_model: Make, tmp_path: Path) -> None:
    report = run(make_model("old.onnx"), make_model("new.onnx"), command="edgekit gate old new")
    assert report.outcome is Outcome.PASS
    assert [(verdict.model, verdict.metric) for verdict in report.verdicts] == [("new", "latency"), ("new", "size")]
    assert any("made up" in note for note in report.notes)
    assert any("identical" in note for note in report.notes)
    assert report.command == "edgekit gate old new"
    head = report.raw["new"]["head"]
    assert len(head["calls_ns"]) == 8
    assert head["sha256"] == {"model": sha256_of(tmp_path / "new.onnx")}
    assert head["threads"] == 1
    json.dumps(report.raw)


def test_outputs_that_differ_are_said_where_nothing_judges_them(make_model: Make) -> None:
    report = run(make_model("old.onnx"), make_model("new.onnx", value=30.0))
    assert any("DIFFER" in note for note in report.notes)


def test_accuracy_is_judged_where_there_are_labels(make_model: Make, labelled: Path) -> None:
    base, good, bad = make_model("a.onnx"), make_model("b.onnx"), make_model("c.onnx", value=5.0)
    data = Data(samples=labelled, max_drop=0.05)
    assert only(run(base, good, data=data), "size").outcome is Outcome.PASS
    with_accuracy = replace(QUICK, metrics=("accuracy",))
    passed = gate(Side(str(base)), Side(str(good)), with_accuracy, data=data)
    failed = gate(Side(str(base)), Side(str(bad)), with_accuracy, data=data)
    assert only(passed, "accuracy").outcome is Outcome.PASS
    assert only(failed, "accuracy").outcome is Outcome.FAIL
    assert only(failed, "accuracy").pairs == 300


def test_bundles_are_judged_on_their_golden_inputs_or_their_recipe(built: Bundle) -> None:
    report = run(built.path, built.path, data=Data(recipe=tiny_recipe()))
    assert report.outcome is Outcome.PASS
    plain = run(built.path, built.path)
    assert plain.outcome is Outcome.PASS
    assert any("no evaluation data" in note for note in plain.notes)
    assert not any("made up" in note for note in plain.notes)


def test_builds_that_chose_different_variants_are_said(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = iter(["onnxruntime-int8-ort", "openvino-int8-ort"])
    monkeypatch.setattr(pairs, "shipped_variant", lambda _subject: next(variants))
    notes = run(built.path, built.path).notes
    assert any("the base runs onnxruntime-int8-ort, the head openvino-int8-ort" in note for note in notes)


def test_folders_match_by_name_and_what_is_alone_is_incomparable(make_model: Make) -> None:
    for name in ("base/kept", "base/dropped", "head/kept", "head/added"):
        make_model(f"{name}.onnx")
    folder = make_model("x.onnx").parent
    report = run(folder / "base", folder / "head")
    outcomes = {(verdict.model, verdict.metric): verdict.outcome for verdict in report.verdicts}
    assert outcomes.pop(("dropped", "match")) is Outcome.INCOMPARABLE
    assert outcomes.pop(("added", "match")) is Outcome.INCOMPARABLE
    assert outcomes == {("kept", "latency"): Outcome.PASS, ("kept", "size"): Outcome.PASS}
    assert EXIT_CODES[report.outcome] == 5
    assert "'dropped' is in the base alone: removed, added or renamed" in report.verdicts[1].reason


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"x": "image"}, r"the inputs are \['x'\] in the base and \['image'\] in the head"),
        ({"dtype": "float64"}, "input 'x' is .*float32.* in the base and .*float64.* in the head"),
        ({"batch": 2}, "input 'x' is .*3, 6.* in the base and .*2, 6.* in the head"),
    ],
)
def test_models_of_other_tensors_are_incomparable(make_model: Make, head: dict, reason: str) -> None:
    report = run(make_model("a.onnx", batch=3), make_model("b.onnx", **{"batch": 3, **head}))
    assert report.outcome is Outcome.INCOMPARABLE
    assert len(report.verdicts) == 1
    assert re.search(reason, report.verdicts[0].reason)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_head_that_gives_no_numbers_is_an_error(make_model: Make, labelled: Path, value: float) -> None:
    base, head = make_model("a.onnx"), make_model("b.onnx", value=value)
    with pytest.raises(MeasurementError, match="output 'y' of the head holds NaN or infinity on timed sample") as error:
        run(base, head)
    assert error.value.arm == "head"
    with pytest.raises(MeasurementError, match="holds NaN"):
        run(base, head, data=Data(samples=labelled))


@pytest.mark.parametrize(("samples", "message"), [(0, "hold no samples"), (1, "1 samples allow no interval")])
def test_no_or_one_sample_is_an_error(make_model: Make, tmp_path: Path, samples: int, message: str) -> None:
    np.savez(tmp_path / "few.npz", x=np.ones((samples, 6), np.float32), target=np.zeros(samples, np.int64))
    rules = replace(QUICK, metrics=("accuracy",))
    with pytest.raises(EdgekitError, match=message):
        gate(
            Side(str(make_model("a.onnx"))),
            Side(str(make_model("b.onnx"))),
            rules,
            data=Data(samples=tmp_path / "few.npz"),
        )


def test_integers_are_never_made_up(make_model: Make) -> None:
    with pytest.raises(MeasurementError, match="input 'x' takes int32, and edgekit makes up no such values"):
        run(make_model("a.onnx", dtype="int32"), make_model("b.onnx", dtype="int32"))


def test_what_is_not_there_is_an_error(make_model: Make, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no model at"):
        run(tmp_path / "gone.onnx", make_model("b.onnx"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MeasurementError, match="holds no model"):
        run(tmp_path / "empty", make_model("b.onnx"))
    make_model("twice/a.onnx")
    (tmp_path / "twice" / "a.edgekit").write_bytes(b"")
    with pytest.raises(MeasurementError, match="two files called 'a'"):
        run(tmp_path / "twice", make_model("b.onnx"))


def test_a_stored_baseline_is_never_a_pass(make_model: Make, tmp_path: Path) -> None:
    """From another machine, or this one at another time: the times are incomparable, and it is said why."""
    report = example_report()
    write_report(report, tmp_path / "base.json")
    found = run(tmp_path / "base.json", make_model("b.onnx"))
    assert found.outcome is Outcome.INCOMPARABLE
    assert "from another machine (cpu: A & B against" in found.verdicts[0].reason
    write_report(report, tmp_path / "head.json")
    same = run(tmp_path / "base.json", tmp_path / "head.json")
    assert same.outcome is Outcome.INCOMPARABLE
    assert {verdict.outcome for verdict in same.verdicts if verdict.metric == "size"} == {Outcome.PASS}
    assert "in another job" in only_first(same, "latency").reason


def only_first(report: GateReport, metric: str) -> Verdict:
    return next(verdict for verdict in report.verdicts if verdict.metric == metric)


def test_a_renamed_arm_of_a_stored_baseline_is_named(tmp_path: Path) -> None:
    report = example_report()
    write_report(report, tmp_path / "base.json")
    write_report(replace(report, title="renamed"), tmp_path / "head.json")
    found = run(tmp_path / "base.json", tmp_path / "head.json")
    assert found.outcome is Outcome.INCOMPARABLE
    assert all("removed, added or renamed" in verdict.reason for verdict in found.verdicts)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"edgekit_report": 99}'])
def test_a_corrupt_baseline_is_an_error(make_model: Make, tmp_path: Path, content: str) -> None:
    (tmp_path / "base.json").write_text(content)
    with pytest.raises(MeasurementError, match=r"base\.json"):
        run(tmp_path / "base.json", make_model("b.onnx"))


def test_profiles_are_known_by_name() -> None:
    assert profile_named("pr", {"latency": 0.5}).thresholds["latency"] == 0.5
    assert profile_named("nightly").looks == (20, 40, 80)
    with pytest.raises(MeasurementError, match="unknown profile 'nightli'; did you mean 'nightly'"):
        profile_named("nightli")
    with pytest.raises(MeasurementError, match="no metric 'latncy' has a threshold; did you mean 'latency'"):
        profile_named("pr", {"latncy": 0.5})
