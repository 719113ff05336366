"""A gate as a test: each outcome in a pytest run of its own, what is kept of it, and what the plugin costs others."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit.gate
from edgekit.bench.gate.codec import gate_from_json
from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.results import read_results
from edgekit.bench.statistics import Interval

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PLUGIN = "edgekit.pytest_plugin"

VERDICT = Verdict(
    model="kws",
    metric="latency",
    outcome=Outcome.PASS,
    effect=Interval(0.001, -0.004, 0.006),
    threshold=0.025,
    base=60_000.0,
    head=60_060.0,
    pairs=10,
    seconds=1.9,
    detectable=0.034,
    reason="at most 0.6 % slower; 2.5 % is allowed",
)
VERDICTS = {
    Outcome.PASS: VERDICT,
    Outcome.FAIL: replace(VERDICT, outcome=Outcome.FAIL, effect=Interval(0.051, 0.048, 0.055), reason="4.8 % slower"),
    Outcome.INCONCLUSIVE: replace(VERDICT, outcome=Outcome.INCONCLUSIVE, reason="40 sessions would tell"),
    Outcome.INCOMPARABLE: replace(VERDICT, outcome=Outcome.INCOMPARABLE, effect=None, reason="'kws' was renamed"),
}
TEST = "def test_kws(edgekit_gate):\n    report = edgekit_gate('old.onnx', 'new.onnx'{})\n    assert report.verdicts\n"


def _report(outcome: Outcome) -> GateReport:
    return GateReport(
        base="old.onnx",
        head="new.onnx",
        profile="pr",
        verdicts=(VERDICTS[outcome],),
        notes=(),
        seed=0,
        command="pytest test_kws",
        fingerprint={"cpu": "A"},
        created="2026-01-02T03:04:05+00:00",
        seconds=2.0,
    )


Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome], Calls]:
    """Makes the gate find an outcome without measuring; the calls that it gets from then on."""

    def find(outcome: Outcome) -> Calls:
        calls: Calls = []

        def gate(*args: Any, **named: Any) -> GateReport:
            calls.append((args, named))
            return _report(outcome)

        monkeypatch.setattr(edgekit.gate, "gate", gate)
        return calls

    return find


@pytest.fixture(autouse=True)
def only_our_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs get the plugin by `-p`, and not a second time where it is installed as an entry point."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", PLUGIN, "-rs", *args)


@pytest.mark.parametrize(
    ("outcome", "options", "expected"),
    [
        (Outcome.PASS, "", "passed"),
        (Outcome.FAIL, "", "failed"),
        (Outcome.INCOMPARABLE, "", "failed"),
        (Outcome.INCONCLUSIVE, "", "skipped"),
        (Outcome.INCONCLUSIVE, ", on_inconclusive='fail'", "failed"),
        (Outcome.INCONCLUSIVE, ", on_inconclusive='pass'", "passed"),
        (Outcome.FAIL, ", on_inconclusive='pass'", "failed"),
        (Outcome.INCOMPARABLE, ", on_inconclusive='pass'", "failed"),
        (Outcome.PASS, ", on_inconclusive='ignore'", "failed"),
    ],
)
def test_outcomes(pytester: pytest.Pytester, gated: Any, outcome: Outcome, options: str, expected: str) -> None:
    gated(outcome)
    pytester.makepyfile(TEST.format(options))
    _run(pytester).assert_outcomes(**{expected: 1})


def test_a_failure_shows_the_table_and_no_traceback(pytester: pytest.Pytester, gated: Any) -> None:
    gated(Outcome.FAIL)
    pytester.makepyfile(TEST.format(""))
    result = _run(pytester)
    result.stdout.fnmatch_lines(["FAIL: 1 of 1 worse than allowed (kws latency)", "*+5.1 %*", "FAIL*4.8 % slower"])
    result.stdout.no_fnmatch_line("*def test_kws*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_skip_says_what_it_would_take(pytester: pytest.Pytester, gated: Any) -> None:
    gated(Outcome.INCONCLUSIVE)
    pytester.makepyfile(TEST.format(""))
    result = _run(pytester)
    result.stdout.fnmatch_lines(["SKIPPED*INCONCLUSIVE: 1 of 1 not decided (kws latency): 40 sessions would tell"])


def test_an_unknown_word_is_told_the_known_ones(pytester: pytest.Pytester, gated: Any) -> None:
    calls = gated(Outcome.PASS)
    pytester.makepyfile(TEST.format(", on_inconclusive='ignore'"))
    _run(pytester).stdout.fnmatch_lines(["*on_inconclusive = 'ignore'; expected skip, fail, pass"])
    assert not calls


def test_arguments_reach_the_gate(pytester: pytest.Pytester, gated: Any) -> None:
    calls = gated(Outcome.PASS)
    options = ", latency=0.05, metrics=['size'], data='x.npz', recipe='simple-cnn', max_drop=0.02"
    pytester.makepyfile(test_kws=TEST.format(options))
    assert _run(pytester).ret == 0
    ((base, head, rules), named), *rest = calls
    assert (str(base), str(head), rules.metrics, rest) == ("old.onnx", "new.onnx", ("size",), [])
    assert rules.profile.thresholds["latency"] == 0.05
    assert (named["data"].recipe.name, named["data"].samples) == ("simple-cnn", Path("x.npz"))
    assert (named["data"].max_drop, named["command"]) == (0.02, "pytest test_kws.py::test_kws")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_result_is_kept(pytester: pytest.Pytester, gated: Any, outcome: Outcome) -> None:
    gated(outcome)
    pytester.makepyfile(test_kws=TEST.format(""))
    _run(pytester, "--edgekit-gate-json=results/new", "--junitxml=junit.xml")
    assert read_results(pytester.path / "results/new/test_kws.py-test_kws.json") == [_report(outcome)]
    assert _properties(pytester.path / "junit.xml") == [_report(outcome)]


def _properties(path: Path) -> list[GateReport]:
    """The gates in a JUnit file."""
    found = ET.parse(path).iterfind(".//property[@name='edgekit_gate']")  # noqa: S314 - written a moment ago
    return [gate_from_json(json.loads(element.attrib["value"])) for element in found]


def test_each_gate_has_a_file_of_its_own(pytester: pytest.Pytester, gated: Any) -> None:
    gated(Outcome.PASS)
    pytester.makepyfile(
        test_kws="import pytest\n"
        "@pytest.mark.parametrize('name', ['a/b', 'a b'])\n"
        "def test_two(edgekit_gate, name):\n"
        "    edgekit_gate('1.onnx', '2.onnx')\n"
        "    edgekit_gate('3.onnx', '4.onnx')\n"
    )
    _run(pytester, "--edgekit-gate-json=.", "--junitxml=junit.xml")
    names = sorted(path.name for path in pytester.path.glob("*.json"))
    assert names == [f"test_kws.py-test_two-a-b{number}.json" for number in ("-2", "-3", "-4", "")]
    assert len(_properties(pytester.path / "junit.xml")) == 4


def test_without_the_option_nothing_is_written(pytester: pytest.Pytester, gated: Any) -> None:
    gated(Outcome.PASS)
    pytester.makepyfile(TEST.format(""))
    _run(pytester)
    assert not list(pytester.path.rglob("*.json"))


def test_a_missing_model_is_an_error_that_names_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST.format(""))
    result = _run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*MeasurementError: no model at old.onnx; check the path, or name a recipe"])


def test_a_real_model_gated_against_itself_is_not_worse(pytester: pytest.Pytester) -> None:
    pytest.importorskip("onnxruntime", reason="the gate runs ONNX files with it")
    _make_model(pytester.path / "tiny.onnx")
    pytester.makepyfile(
        "def test_tiny(edgekit_gate):\n"
        "    report = edgekit_gate('tiny.onnx', 'tiny.onnx', latency=0.5, metrics=('latency', 'size'))\n"
        "    assert [verdict.metric for verdict in report.verdicts] == ['latency', 'size']\n"
        "    assert report.verdicts[0].pairs >= 10\n"
    )
    pytester.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


def _make_model(path: Path) -> None:
    """relu(x @ weights), x: (1, 64) float32."""
    onnx = pytest.importorskip("onnx", reason="the test model is made with onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", floats, [1, 64])],
        [helper.make_tensor_value_info("y", floats, [1, 64])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def test_a_run_that_does_not_use_the_plugin_loads_nothing_for_it(pytester: pytest.Pytester) -> None:
    """The plugin is in every pytest run where edgekit is installed: numpy alone would take longer than many of them."""
    pytester.makepyfile(
        "import json, sys\n"
        "def test_modules():\n"
        "    print('LOADED', json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    loaded = [_loaded(pytester.path, *plugins) for plugins in ([], ["-p", PLUGIN])]
    assert "edgekit" in loaded[1] - loaded[0] <= {"edgekit", *sys.stdlib_module_names}
    assert not loaded[1] & {"numpy", "onnx", "click", "rich", "torch"}


def _loaded(folder: Path, *plugins: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "-s", "-q", *plugins]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    line = next(line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    return set(json.loads(line.removeprefix("LOADED")))


def test_the_plugin_is_declared() -> None:
    tomllib = pytest.importorskip("tomllib", reason="part of Python from 3.11 on")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"edgekit": PLUGIN}
