"""Our results as pytest-benchmark's files, held against pytest-benchmark itself, both ways."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from example_reports import example_report
from pytest_benchmark.stats import Stats

import edgekit.benchmark
from edgekit.bench.gate.judge import PROFILES
from edgekit.bench.pytest_json import _stats, from_pytest_benchmark, to_pytest_benchmark
from edgekit.bench.report import Report, write_report
from edgekit.bench.results import read_reports, read_results
from edgekit.bench.statistics import timed_calls
from edgekit.cli.main import cli
from edgekit.errors import MeasurementError
from edgekit.gating.stored import compare_stored

pytest_plugins = ["pytester"]
REPORT = example_report()
PLAIN_SUITE = "def test_sum(benchmark):\n    benchmark.pedantic(sum, args=([1, 2],), rounds=3)\n"


def _text(*reports: Report) -> str:
    return json.dumps(to_pytest_benchmark(reports), allow_nan=False)


def _other_report() -> Report:
    return replace(REPORT, title="another model", notes=())


def test_reports_survive_with_every_raw_time() -> None:
    reports = [REPORT, _other_report()]
    assert from_pytest_benchmark(json.loads(_text(*reports))) == reports


def test_a_report_that_is_there_twice_stays_two() -> None:
    assert from_pytest_benchmark(json.loads(_text(REPORT, REPORT))) == [REPORT] * 2


def test_the_raw_times_lie_where_the_form_promises_them() -> None:
    data = json.loads(_text(REPORT))
    assert data["machine_info"]["edgekit"] == REPORT.fingerprint
    for entry, row in zip(data["benchmarks"], REPORT.rows, strict=True):
        extra = entry["extra_info"]["edgekit"]
        assert (extra["arm"], extra["seed"]) == (row.name, 0)
        assert extra["calls_ns"] == [[list(chunk) for chunk in session] for session in row.calls_ns]


def test_the_document_has_the_keys_of_a_real_one(pytester: pytest.Pytester) -> None:
    real, ours = json.loads(_real_file(pytester).read_text()), json.loads(_text(REPORT))
    assert set(ours) == set(real)
    assert set(ours["commit_info"]) == set(real["commit_info"])
    assert set(ours["machine_info"]) == {*real["machine_info"], "edgekit"}
    assert set(ours["benchmarks"][0]) == set(real["benchmarks"][0])
    assert set(ours["benchmarks"][0]["stats"]) == set(real["benchmarks"][0]["stats"])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 101])
def test_statistics_are_those_that_pytest_benchmark_computes(count: int) -> None:
    times = (1e6 * np.random.default_rng(count).pareto(1.5, count)).astype(int) + 1
    theirs = Stats()
    for ns in times:
        theirs.update(ns / 1e9)
    ours = _stats([[[10**9, int(ns)] for ns in times]])  # each chunk's first call is left out
    assert (ours.pop("data"), ours.pop("iterations")) == (theirs.data, 1)
    outliers = ours.pop("outliers")
    assert outliers == theirs.outliers
    assert ours == pytest.approx({name: getattr(theirs, name) for name in ours})


def test_pytest_benchmark_compares_our_file(tmp_path: Path) -> None:
    for name in ("old.json", "new.json"):
        (tmp_path / name).write_text(_text(REPORT))
    done = _compare(tmp_path, "old.json", "new.json")
    for row in REPORT.rows:
        assert f"{row.name} (old" in done.stdout
        assert f"{row.name} (new" in done.stdout
    between = _compare(tmp_path, "old.json", "new.json", "--between=median")
    assert between.stdout.count("+0.0%") == len(REPORT.rows)
    assert "backend=torch" in _compare(tmp_path, "old.json", "--group-by=param:backend").stdout


def _compare(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_benchmark", "compare", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Failed to load" not in done.stderr
    return done


@pytest.fixture(autouse=True)
def only_these_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs get both plugins by `-p`, and ours not a second time where it is installed as an entry point."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def _run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "pytest_benchmark.plugin", "-p", "edgekit.pytest_plugin", *args)


def _real_file(pytester: pytest.Pytester) -> Path:
    """What pytest-benchmark writes of a test that knows nothing of edgekit."""
    pytester.makepyfile(PLAIN_SUITE)
    assert _run(pytester, "--benchmark-json=real.json").ret == 0
    return pytester.path / "real.json"


@pytest.mark.filterwarnings("ignore:Benchmark machine_info is different")
def test_a_live_run_compares_itself_with_our_file(pytester: pytest.Pytester) -> None:
    data = to_pytest_benchmark([REPORT])
    data["benchmarks"][0]["fullname"] = "test_live.py::test_sum"
    (pytester.path / "ours.json").write_text(json.dumps(data))
    pytester.makepyfile(test_live=PLAIN_SUITE)
    result = _run(pytester, "--benchmark-compare=ours.json", "--benchmark-storage=.", "--benchmark-sort=name")
    assert result.ret == 0
    for name in ("test_sum (ours)", "test_sum (NOW)"):
        result.stdout.fnmatch_lines([f"{name} *"])


def test_a_file_without_our_data_is_refused(pytester: pytest.Pytester) -> None:
    path = _real_file(pytester)
    for read in (read_reports, read_results):
        with pytest.raises(
            MeasurementError, match=r"real\.json: this pytest-benchmark file holds no edgekit data; make"
        ):
            read(path)


def _make_suite(pytester: pytest.Pytester) -> None:
    """A suite that plays our times back, and has a benchmark of its own."""
    write_report(REPORT, pytester.path / "report.json")
    pytester.makepyfile(
        """
        from pathlib import Path
        import pytest
        from edgekit.bench.results import read_reports

        @pytest.mark.benchmark(disable_gc=True)
        @pytest.mark.parametrize("arm", ["edgekit", "onnxruntime", "openvino", "litert", "torch"])
        def test_latency(edgekit_benchmark, arm):
            edgekit_benchmark(read_reports(Path("report.json"))[0], arm)

        def test_own(benchmark):
            benchmark.pedantic(len, args=([],), rounds=3)
        """
    )


def test_a_file_of_a_real_run_with_our_fixture_is_read(pytester: pytest.Pytester) -> None:
    _make_suite(pytester)
    result = _run(pytester, "--benchmark-json=run.json")
    result.assert_outcomes(passed=6)
    (found,) = read_results(pytester.path / "run.json")
    assert isinstance(found, Report)
    assert found.notes[:-1] == REPORT.notes
    assert re.fullmatch(r"Benchmarks .* no edgekit data are left out: test_\w+\.py::test_own\.", found.notes[-1])
    assert replace(found, notes=REPORT.notes) == REPORT


def test_what_pytest_benchmark_shows_of_our_fixture_are_the_times_that_were_measured(pytester: pytest.Pytester) -> None:
    _make_suite(pytester)
    result = _run(pytester, "--benchmark-json=run.json", "--benchmark-only")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines([f"*benchmark {REPORT.title!r}: 5 tests*"])
    entries = json.loads((pytester.path / "run.json").read_text())["benchmarks"]
    for entry, row in zip(entries, REPORT.rows, strict=False):
        assert entry["stats"]["data"] == (timed_calls(row.calls_ns) / 1e9).tolist()
        assert entry["options"]["timer"] == "edgekit: replayed perf_counter_ns"


def test_a_stored_file_may_be_the_base_of_a_gate(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(_text(REPORT))
    pairing = compare_stored(str(tmp_path / "base.json"), str(tmp_path / "base.json"), PROFILES["pr"])
    assert {verdict.metric for verdict in pairing.verdicts} == {"latency", "size"}


def test_bench_writes_such_a_file_and_report_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgekit.benchmark, "benchmark", lambda *_, **__: REPORT)
    run, page = tmp_path / "run.json", tmp_path / "page.md"
    assert _edgekit("bench", "x.edgekit", "--pytest-benchmark", run).exit_code == 0
    assert json.loads(run.read_text()) == json.loads(_text(REPORT))
    assert _edgekit("report", run, "-o", page).exit_code == 0
    assert all(row.name in page.read_text() for row in REPORT.rows)


def test_bench_refuses_what_it_could_not_write_before_the_work(tmp_path: Path) -> None:
    for options in (("--pytest-benchmark", tmp_path / "none" / "x.json"), ("--pytest-benchmark", tmp_path)):
        assert "is not a file in a folder that is there" in _edgekit("bench", "x.edgekit", *options).stderr
    result = _edgekit("bench", "x.edgekit", "--scenario", "offline", "--pytest-benchmark", tmp_path / "x.json")
    assert (result.exit_code, "goes with --scenario single-stream" in result.stderr) == (2, True)


def _edgekit(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_reports_of_two_machines_are_refused() -> None:
    with pytest.raises(MeasurementError, match="of different machines or software; write a file for each"):
        to_pytest_benchmark([REPORT, replace(REPORT, fingerprint={"cpu": "B"})])
    with pytest.raises(MeasurementError, match="there is no report to write"):
        to_pytest_benchmark([])


def _broken(change: Any) -> Any:
    data = json.loads(_text(REPORT))
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("machine_info"), "not a file of pytest-benchmark"),
        (lambda d: d.update(benchmarks=None), "damaged: TypeError"),
        (lambda d: d["benchmarks"][0].pop("fullname"), "damaged: KeyError: 'fullname'"),
        (lambda d: d["benchmarks"][0].update(extra_info=3), "damaged: AttributeError"),
        (lambda d: d["benchmarks"][0]["extra_info"].update(edgekit=[1]), "damaged: TypeError"),
        (lambda d: d["benchmarks"][0]["extra_info"]["edgekit"].pop("calls_ns"), "damaged: KeyError: 'calls_ns'"),
        (lambda d: d["benchmarks"][0]["extra_info"]["edgekit"]["row"].pop("load_ns"), "damaged: KeyError: 'load_ns'"),
        (lambda d: d["benchmarks"].pop(1), "base 'onnxruntime' is none of its rows"),
        (lambda d: [b["extra_info"].clear() for b in d["benchmarks"]], "holds no edgekit data"),
    ],
)
def test_damaged_files_are_refused(change: Any, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        from_pytest_benchmark(_broken(change))
