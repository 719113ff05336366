"""`edgekit report`: results of the gate and of bench become one page, alone or together."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgekit.bench.gate.codec import gate_to_json
from edgekit.bench.report import write_report
from edgekit.cli.main import cli

sys.path.append(str(Path(__file__).parents[1] / "bench"))

from example_gates import SLOWER, example_gate
from example_reports import example_report


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """A file of the gate's, and one of bench's."""
    gate, bench = tmp_path / "gate.json", tmp_path / "bench.json"
    gate.write_text(json.dumps(gate_to_json(example_gate(SLOWER))), encoding="utf-8")
    write_report(example_report(), bench)
    return gate, bench


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def test_a_gate_becomes_markdown(results: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(results[0], "-o", tmp_path / "x.md", "--json", tmp_path / "x.json")
    assert result.exit_code == 0, result.stderr
    assert "## ❌ FAIL" in (tmp_path / "x.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text())["reports"] == ["origin/main → models/kws.py"]


def test_gate_and_bench_share_one_page(results: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    result = run(*results, "-o", tmp_path / "x.html")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert page.count("<h1>") == 2
    assert page.count("<style>") == page.count("</html>") == 1
    assert "<title>origin/main → models/kws.py, kws on &lt;cpu&gt; | test</title>" in page


def test_a_damaged_gate_is_refused(results: tuple[Path, Path], tmp_path: Path) -> None:
    results[0].write_text('{"edgekit_gate": 1}')
    result = run(results[0], "-o", tmp_path / "x.html")
    assert result.exit_code == 1
    assert "gate.json: the result of the gate is damaged" in result.stderr
    assert not (tmp_path / "x.html").exists()
