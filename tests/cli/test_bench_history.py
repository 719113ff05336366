"""`edgekit bench history`: files and folders are read, a change is shown, and a damaged file ends it with a reason."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgekit.bench.report import Report, Row, write_report
from edgekit.bench.statistics import Interval
from edgekit.cli.bench_history import command
from edgekit.errors import MeasurementError


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of results; from the 19th on the latency is 8 % higher."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    for day in range(1, 31):
        latency = 1e6 * (1.08 if day >= 19 else 1) * float(np.exp(rng.normal(0, 0.01)))
        write_report(_report(day, latency), folder / f"2026-01-{day:02}.json")
    return folder


def _report(day: int, latency_ns: float) -> Report:
    measured = {
        "name": "edgekit",
        "backend": "openvino",
        "precision": "f32",
        "threads": 1,
        "p50_ns": Interval(latency_ns, latency_ns, latency_ns),
        "import_ns": 1e6,
        "load_ns": 1e6,
        "first_inference_ns": 1e6,
        "size_bytes": 83_000,
        "calls_ns": (((int(latency_ns),),),),
    }
    row = Row(**{item.name: None for item in fields(Row) if item.default is MISSING} | measured)
    return Report("kws", (row,), "edgekit", (), {"cpu": "AMD EPYC"}, 0, f"2026-01-{day:02}T03:00:00+00:00")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_change_is_shown_and_is_no_failure(stored: Path) -> None:
    result = run(stored)
    assert result.exit_code == 0
    assert "2026-01-19" in result.stdout
    assert "worse" in result.stdout
    assert "1 change in 3 of 3 series tested" in result.stdout


def test_json_goes_to_stdout_in_place_of_the_table(stored: Path) -> None:
    data = json.loads(run(*sorted(stored.glob("*.json")), "--json", "-").stdout)
    assert [len(series["changes"]) for series in data["series"]] == [1, 0, 0]
    assert data["series"][0]["changes"][0]["source"] == "2026-01-19.json"


def test_options_reach_the_search(stored: Path) -> None:
    data = json.loads(run(stored, "--min-points", 31, "--alpha", 0.2, "--seed", 4, "--json", "-").stdout)
    assert (data["min_points"], data["alpha"], data["seed"]) == (31, 0.2, 4)
    assert not any(series["tested"] for series in data["series"])


def test_a_file_given_twice_counts_once(stored: Path) -> None:
    data = json.loads(run(stored, stored / "2026-01-03.json", "--json", "-").stdout)
    assert len(data["series"][0]["points"]) == 30


def test_a_page_is_written(stored: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    result = run(stored, "-o", tmp_path / "history.html")
    assert f"wrote {tmp_path / 'history.html'}" in result.stdout.replace("\n", "")
    assert (tmp_path / "history.html").read_text(encoding="utf-8").count("<svg") == 3


def test_a_damaged_file_ends_it_with_its_name(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"edgekit_report": 1, "rows": [', encoding="utf-8")
    result = run(stored, tmp_path)
    assert isinstance(result.exception, MeasurementError)  # exit code 1 in the group that this command is part of
    assert "bad.json cannot be read as a report" in str(result.exception)


def test_an_empty_folder_and_a_missing_file_say_so(tmp_path: Path) -> None:
    assert "holds no *.json" in str(run(tmp_path).exception)
    assert "gone.json cannot be read" in str(run(tmp_path / "gone.json").exception)
