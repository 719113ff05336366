"""`edgekit bench history`: stored benchmark results over time, and where their level changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.output import emit, json_option, progress_bar, table, write_text
from edgekit.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.bench.history.series import History
    from edgekit.bench.report import Report


@click.command("history")
@click.argument("results", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RESULT.json|FOLDER...")
@click.option(
    "--min-points",
    type=click.IntRange(min=6),
    default=12,
    show_default=True,
    help="Series with fewer results are not tested.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Chance of one false alarm or more in all series together.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the permutations.")
@click.option(
    "-o",
    "--html",
    "page_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with a chart of each series.",
)
@json_option
def command(
    results: tuple[Path, ...],
    min_points: int,
    alpha: float,
    seed: int,
    page_path: Path | None,
    json_path: str | None,
) -> None:
    """Find where latency, load time, memory, size or accuracy changed over stored results.

    Reads what `edgekit bench --json` wrote, files or folders of them. Results of different machines are never
    joined. Exits with 0 whether or not there are changes: `edgekit gate` is what fails a build.
    """
    from edgekit.bench.history.series import build_history, history_to_json

    files = _files(results)
    with progress_bar() as progress:
        history = build_history(_read(files), min_points=min_points, alpha=alpha, seed=seed, progress=progress)
    if page_path is not None:
        from edgekit.bench.history.render import history_page

        write_text(page_path, history_page(history))
    emit(history_to_json(history), json_path, lambda: _show(history, page_path))


def _files(paths: tuple[Path, ...]) -> list[Path]:
    """The files given, and those in the folders given, each once."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise MeasurementError(f"{path} holds no *.json; store results there with: edgekit bench ... --json FILE")
        found += inside
    return list({path.resolve(): path for path in found}.values())


def _read(files: list[Path]) -> Iterator[tuple[str, Report]]:
    """One file at a time: the raw times of hundreds would fill the memory."""
    from edgekit.bench.results import read_reports

    for path in files:
        for report in read_reports(path):
            yield path.name, report


def _show(history: History, page_path: Path | None) -> None:
    from edgekit.bench.history.render import CHANGE_TITLES, change_tables, summary

    for model, rows in change_tables(history):
        table(f"{model}: changes, newest first", CHANGE_TITLES, rows)
    click.echo(summary(history))
    for note in history.notes:
        click.echo(note)
    if page_path is not None:
        click.echo(f"wrote {page_path}")
