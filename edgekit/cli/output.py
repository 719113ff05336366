"""What every command shares: `--json`, tables on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.errors import EdgekitError
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
        help="Write the result as JSON to FILE; - is stdout, in place of the table.",
    )(function)


def emit(data: Any, json_path: str | None, show: Callable[[], None]) -> None:
    """Show the result for people, write it as JSON, or both."""
    if json_path != "-":
        show()
    if json_path is None:
        return
    text = json.dumps(data, indent=2, sort_keys=True) + "\n"
    if json_path == "-":
        click.echo(text, nl=False)
    else:
        write_text(Path(json_path), text)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename; an OSError becomes an error that says what to do."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise EdgekitError(f"cannot write {path}: {error.strerror or error}; nothing was left there") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
        if done == total:
            click.echo(f"{what}: {total} done in {time.monotonic() - begun[what]:.1f} s", err=True)

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

        yield report
