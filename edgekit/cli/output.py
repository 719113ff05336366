"""What every command shares: `--json`, tables on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.files import replacing
from edgekit.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Adds `--json FILE`; the command gets it as `json_path`."""
    return click.option(
        "--json",
        "json_path",
        metavar="FILE",
        callback=refuse_no_folder,
        help="Write the result as JSON to FILE; - is stdout, in place of the table.",
    )(function)


def refuse_no_folder(_ctx: click.Context, _option: click.Parameter, path: str | None) -> str | None:
    """Before the work: a result that took minutes must have somewhere to go."""
    if path not in (None, "-") and (Path(path).is_dir() or not Path(path).parent.is_dir()):
        raise click.BadParameter(f"{path!r} is not a file in a folder that is there; create the folder first")
    return path


def emit(data: Any, json_path: str | None, show: Callable[[], None]) -> None:
    """Write the result as JSON, show it for people, or both: the file first, so that no terminal can lose it."""
    text = json.dumps(data, indent=2, sort_keys=True) + "\n" if json_path else ""
    if json_path == "-":
        click.echo(text, nl=False)
        return
    if json_path:
        write_text(Path(json_path), text)
    show()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, the whole of it or nothing."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout; the first column never wraps."""
    from rich import box
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        drawn.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    stdout().print(drawn)


def stdout() -> Console:
    """A console on standard output; 160 columns wide where that is a file, and brackets in our texts are text."""
    from rich.console import Console

    console = Console(markup=False)
    return console if console.is_terminal else Console(markup=False, width=160)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress callback that draws on stderr: bars on a terminal, elsewhere (a CI log) a line when a step begins."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_steps()
        return
    with _bars(console) as report:
        yield report


def _log_steps() -> Progress:
    begun: dict[str, float] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in begun:
            begun[what] = time.monotonic()
            click.echo(f"{what} ...", err=True)
        if done == total:  # the next model has steps of the same names
            click.echo(f"{what}: {total} done in {time.monotonic() - begun.pop(what):.1f} s", err=True)

    return report


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=console) as drawn:
        tasks: dict[str, rich_progress.TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=total)
            drawn.update(tasks[what], completed=done, total=total)
            if done == total:  # the next model has steps of the same names
                del tasks[what]

        yield report
