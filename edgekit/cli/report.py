"""`edgekit report`: the results of `edgekit bench --json` as one page."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.output import emit, json_option, write_text
from edgekit.errors import MeasurementError

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report")
@click.argument("results", type=FILE, nargs=-1, required=True, metavar="RESULT.json...")
@click.option("-o", "--output", type=FILE, required=True, help="The page to write: .html or .md.")
@json_option
def command(results: tuple[Path, ...], output: Path, json_path: str | None) -> None:
    """Render one or more benchmark results as a page that needs no other file."""
    from edgekit.bench.render import html, markdown
    from edgekit.bench.report import read_reports

    if output.suffix not in (".html", ".md"):
        raise MeasurementError(f"{output}: a report is written as .html or .md")
    reports = [report for path in results for report in read_reports(path)]
    render = html if output.suffix == ".html" else markdown
    text = render(reports)
    write_text(output, text)
    emit(
        {"output": str(output), "reports": [report.title for report in reports]},
        json_path,
        lambda: click.echo(f"wrote {output}"),
    )
