"""`edgekit gate`: exit codes, files, and what is refused before the work begins."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgekit import gate as module
from edgekit.bench.gate.codec import gate_from_json
from edgekit.bench.gate.verdict import GateReport, Outcome
from edgekit.cli.main import cli
from tests.bench.example_gates import full_gate


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["gate", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Replaces the gate by one whose outcome the head's name says, and notes what it was asked."""
    calls: list[dict] = []

    def fake(base: module.Side, head: module.Side, rules: object, **options: object) -> GateReport:
        calls.append({"base": base, "head": head, "rules": rules, **options})
        report = full_gate()
        outcome = Outcome(head.name.upper())
        return replace(report, verdicts=tuple(replace(v, outcome=outcome) for v in report.verdicts), raw={})

    monkeypatch.setattr(module, "gate", fake)
    return calls


@pytest.mark.parametrize(
    ("outcome", "options", "code"),
    [
        ("pass", [], 0),
        ("fail", [], 3),
        ("inconclusive", [], 4),
        ("inconclusive", ["--on-inconclusive", "fail"], 3),
        ("inconclusive", ["--on-inconclusive", "pass"], 0),
        ("incomparable", ["--on-inconclusive", "pass"], 5),
        ("fail", ["--on-inconclusive", "pass"], 3),
    ],
)
def test_exit_codes(asked: list[dict], outcome: str, options: list[str], code: int) -> None:
    result = run("base", outcome, *options)
    assert result.exit_code == code
    assert outcome.upper() in result.stdout


def test_every_form_is_written(asked: list[dict], tmp_path: Path) -> None:
    files = {name: tmp_path / f"gate.{name}" for name in ("json", "markdown", "junit")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    assert run("base", "fail", *options).exit_code == 3
    assert gate_from_json(json.loads(files["json"].read_text())).outcome is Outcome.FAIL
    assert files["markdown"].read_text().startswith("<!-- edgekit-gate -->")
    assert ET.parse(files["junit"]).getroot().tag == "testsuites"  # noqa: S314 - our own file


def test_options_reach_the_gate(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/edgekit", "gate", "--build-command", "make model", "kws.py"])
    result = run(
        "--base-rev", "main", "pass", "--profile", "nightly", "--threshold", "latency=0.03", "--metric", "latency",
        "--max-drop", "0.2", "--only", "f32", "--build-command", "make model", "--seed", "7",
    )  # fmt: skip
    assert result.exit_code == 0
    (call,) = asked
    assert (str(call["base"]), str(call["head"])) == ("main:pass", "pass")
    assert call["rules"].profile.thresholds["latency"] == 0.03
    assert call["rules"].profile.looks == (20, 40, 80)
    assert call["rules"].metrics == ("latency",)
    assert call["rules"].seed == 7
    assert call["data"].max_drop == 0.2
    assert call["making"] == module.Making("make model", ("f32",))
    assert call["command"] == "edgekit gate --build-command 'make model' kws.py"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["only-one"], 2, "give BASE and HEAD, or HEAD alone with --base-rev REV"),
        (["a", "b", "c"], 2, "give BASE and HEAD"),
        (["a", "b", "--threshold", "latency"], 2, "expected METRIC=SHARE"),
        (["a", "b", "--threshold", "speed=1"], 1, "no metric 'speed' has a threshold"),
        (["a", "b", "--profile", "x"], 1, "unknown profile 'x'"),
        (["a", "b", "--metric", "speed"], 1, "unknown metric 'speed'"),
        (["a", "b", "--junit", "/no/such/folder/x.xml"], 2, "create the folder first"),
        (["gone.onnx", "gone.onnx"], 1, "no model at gone.onnx"),
    ],
)
def test_wrong_use_is_told_before_the_work(arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
