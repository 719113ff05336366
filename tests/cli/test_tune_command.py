"""`edgekit tune`: its table, what it says a load will do, its JSON and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import edgekit
from edgekit import tuning
from edgekit.bundle import Bundle
from edgekit.cli.main import cli
from tests.several_payloads import measuring, payload, write

pytest.importorskip("onnxruntime", reason="the payloads run on it")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tune", *map(str, arguments)])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write(tmp_path / "tiny.edgekit", "first", payload("[second]"), payload("broken", backend="exotic"))


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, int]], None]:
    """Says how many nanoseconds each payload takes here."""
    return lambda latencies_ns: monkeypatch.setattr(tuning, "measure", measuring(latencies_ns))


def loaded(bundle: Bundle) -> tuple[str, bool]:
    with edgekit.load(bundle.path) as session:
        return session.info.payload, session.info.tuned


def test_table_tells_what_was_measured_and_what_load_will_run(
    bundle: Bundle, takes: Callable[[dict[str, int]], None]
) -> None:
    takes({"first": 2000, "[second]": 1500})
    result = run(bundle.path, "--threads", "1")
    assert result.exit_code == 0, result.stderr
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    rows = {line[0].strip(): [cell.strip() for cell in line[1:] if cell.strip()] for line in lines}
    assert rows["first"] == ["f32", "2.00 µs [2.00, 2.00]", "base", "[second] is faster"]
    assert rows["[second]"] == ["f32", "1.50 µs [1.50, 1.50]", "0.75 [0.75, 0.75]", "chosen: faster than first"]
    assert rows["broken"][:3] == ["f32", "-", "-"]
    assert rows["broken"][3].startswith("not measured: unknown backend 'exotic'")
    assert "From now on edgekit.load runs [second] on this machine, with 1 thread (" in result.stdout
    assert f"edgekit tune {bundle.path} --target cpu --threads 1 --forget" in result.stdout
    assert loaded(bundle) == ("[second]", True)


def test_json_holds_the_choice_and_raw_times(bundle: Bundle, takes: Callable[[dict[str, int]], None]) -> None:
    takes({"first": 1000, "[second]": 1500})
    result = run(bundle.path, "--sessions", "6", "--threads", "2", "--json", "-")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert (data["chosen"], data["threads"]) == ("first", 2)
    assert Path(data["remembered"]).is_file()
    assert [len(row["calls_ns"] or ()) for row in data["payloads"]] == [6, 6, 0]
    assert data["payloads"][1]["ratio"]["value"] == pytest.approx(1.5)


def test_forget_goes_back_to_the_bundles_order(bundle: Bundle, takes: Callable[[dict[str, int]], None]) -> None:
    takes({"first": 2000, "[second]": 1500})
    assert run(bundle.path).exit_code == 0
    result = run(bundle.path, "--forget")
    assert (result.exit_code, "the choice is forgotten" in result.stdout) == (0, True)
    assert loaded(bundle) == ("first", False)
    result = run(bundle.path, "--forget", "--json", "-")
    assert json.loads(result.stdout) == {"bundle": str(bundle.path), "forgotten": False}


def test_single_payload_leaves_nothing_to_choose(tmp_path: Path, cache: Path) -> None:
    result = run(write(tmp_path / "one.edgekit", "first").path)
    assert result.exit_code == 0, result.stderr
    assert "There is nothing to choose: first is the only payload that works here" in result.stdout
    assert not (cache / "tuned").exists()


def test_errors_are_exit_code_1_and_wrong_usage_2(bundle: Bundle, cache: Path) -> None:
    cache.write_text("not a folder")
    result = run(bundle.path)
    assert result.exit_code == 1
    assert "EDGEKIT_CACHE" in result.stderr
    assert run(bundle.path, "--target", "cpu2").exit_code == 1
    assert run("gone.edgekit").exit_code == 1
    assert run(bundle.path, "--sessions", "5").exit_code == 2
    assert run(bundle.path, "--threads", "0").exit_code == 2
