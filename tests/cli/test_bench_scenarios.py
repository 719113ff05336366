"""`edgekit bench --scenario`: options reach the measurement, wrong ones are refused, results come as table and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgekit import benchmark
from edgekit.bench.scenarios import run as scenario_runs
from edgekit.bench.scenarios.figures import SCENARIOS, STREAMS, Plan
from edgekit.bundle import Bundle
from edgekit.cli import bench
from edgekit.cli.main import cli
from edgekit.errors import MeasurementError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["bench", *map(str, arguments)])


def test_the_command_knows_the_scenarios_without_loading_them() -> None:
    assert bench.SCENARIOS == SCENARIOS
    result = run("--help")
    assert "[default: 8]" in result.stdout
    assert STREAMS == 8


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, benchmark.Contest, float]]:
    """What would have been measured."""
    seen: list[tuple[Plan, benchmark.Contest, float]] = []

    def stop(path: Path, contest: benchmark.Contest, plan: Plan, *, timeout_s: float, **options: object) -> None:
        seen.append((plan, contest, timeout_s))
        raise MeasurementError("enough")

    monkeypatch.setattr(benchmark, "benchmark_scenario", stop)
    return seen


@pytest.mark.parametrize(
    ("options", "plan"),
    [
        (("--scenario", "offline"), Plan("offline")),
        (("--scenario", "multi-stream", "--streams", "3"), Plan("multi-stream", streams=3)),
        (("--scenario", "server", "--qps", "250", "--seed", "4"), Plan("server", qps=250.0, seed=4)),
        (("--scenario", "cold-start", "--sessions", "7", "--rounds", "2"), Plan("cold-start", sessions=7, rounds=2)),
    ],
)
def test_options_reach_the_plan(built: Bundle, plans: list, options: tuple[str, ...], plan: Plan) -> None:
    assert run(built.path, *options, "--timeout", "9").exit_code == 1
    ((found, contest, timeout_s),) = plans
    assert (found, contest.processing, timeout_s) == (plan, "out", 9.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--streams", "4"), "--streams goes with --scenario multi-stream"),
        (("--scenario", "server", "--streams", "4"), "--streams goes with --scenario multi-stream"),
        (("--scenario", "offline", "--qps", "4"), "--qps goes with --scenario server"),
        (("--scenario", "server", "--qps", "0"), "0"),
        (("--scenario", "serve"), "'serve' is not one of"),
        (("--processing", "on"), "'on' is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(built: Bundle, options: tuple[str, ...], message: str) -> None:
    result = run(built.path, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_processing_needs_a_recipe_that_has_some(built: Bundle) -> None:
    result = run(built.path, "--processing", "in")
    assert result.exit_code == 1
    assert "name the recipe of the bundle, or leave processing out" in result.stderr


@pytest.mark.parametrize("scenario", ["multi-stream", "offline", "server", "cold-start"])
def test_every_scenario_gives_a_table_and_json(
    built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    monkeypatch.setattr(scenario_runs, "OFFLINE_CHUNK_NS", 200_000)
    monkeypatch.setattr(scenario_runs, "PILOT_NS", 200_000)
    monkeypatch.setattr(scenario_runs, "SERVER_S", 0.02)
    result = run(
        built.path, "--scenario", scenario, "--against", "onnxruntime", "--sessions", "1", "--json", tmp_path / "x.json"
    )
    assert result.exit_code == 0, result.stderr
    data = json.loads((tmp_path / "x.json").read_text())
    assert (data["edgekit_scenario"], data["scenario"], data["processing"]) == (1, scenario, "out")
    assert len(data["results"]) == 2
    assert "onnxruntime f32" in result.stdout
    assert "Processing out" in result.stdout
    for name in ("x.md", "x.html"):
        page = CliRunner().invoke(cli, ["report", str(tmp_path / "x.json"), "-o", str(tmp_path / name)])
        assert page.exit_code == 0, page.stderr
        assert "onnxruntime f32" in (tmp_path / name).read_text(encoding="utf-8")
