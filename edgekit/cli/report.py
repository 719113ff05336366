"""`edgekit report`: the results of `edgekit bench --json` and `edgekit gate --json` as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import emit, json_option, write_text
from edgekit.errors import MeasurementError

if TYPE_CHECKING:
    from edgekit.bench.gate.verdict import GateReport
    from edgekit.bench.report import Report
    from edgekit.bench.scenarios.report import ScenarioReport

    Result = Report | ScenarioReport | GateReport

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report")
@click.argument("results", type=FILE, nargs=-1, required=True, metavar="RESULT.json...")
@click.option("-o", "--output", type=FILE, required=True, help="The page to write: .html or .md.")
@json_option
def command(results: tuple[Path, ...], output: Path, json_path: str | None) -> None:
    """Render one or more results of bench and gate as a page that needs no other file."""
    from edgekit.bench.results import read_results

    if output.suffix not in (".html", ".md"):
        raise MeasurementError(f"{output}: a report is written as .html or .md")
    reports = [report for path in results for report in read_results(path)]
    text = _html(reports) if output.suffix == ".html" else "\n".join(map(_markdown, reports))
    write_text(output, text)
    emit(
        {"output": str(output), "reports": [_title(report) for report in reports]},
        json_path,
        lambda: click.echo(f"wrote {output}"),
    )


def _html(reports: Sequence[Result]) -> str:
    from edgekit.bench.render import page

    return page([_part(report, number) for number, report in enumerate(reports)])


def _part(report: Result, number: int) -> dict[str, Any]:
    from edgekit.bench.gate.render import gate_part
    from edgekit.bench.gate.verdict import GateReport
    from edgekit.bench.render import report_part
    from edgekit.bench.scenarios.report import ScenarioReport, scenario_part

    if isinstance(report, GateReport):
        return gate_part(report, number)
    return scenario_part(report) if isinstance(report, ScenarioReport) else report_part(report, number)


def _markdown(report: Result) -> str:
    from edgekit.bench import render
    from edgekit.bench.gate import render as gate_render
    from edgekit.bench.gate.verdict import GateReport
    from edgekit.bench.scenarios.report import ScenarioReport, scenario_markdown

    if isinstance(report, GateReport):
        return gate_render.markdown(report)
    return scenario_markdown(report) if isinstance(report, ScenarioReport) else render.markdown([report])


def _title(report: Result) -> str:
    from edgekit.bench.gate.verdict import GateReport
    from edgekit.bench.gate.words import title

    return title(report) if isinstance(report, GateReport) else report.title
