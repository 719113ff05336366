"""Shows a report: a table in the terminal, a Markdown table, and an HTML page that needs no other file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from edgekit.bench.report import Report, Row
from edgekit.bench.units import Cell, accuracy_cell, duration, percentile_cell, rate, ratio_cell, size
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.table import Table

PERCENTILE_TITLES = ("p50", "p90", "p99")
RATE = "rate"
ARM_WIDTH = 12  # at least, of the first column: narrower, even "litert (f32)" would break
INTERVAL_WIDTH = 12  # of "[6.26, 6.31]", and wide enough to break "384 of 662, ≤ 7.62 µs" at the comma


def column_titles(report: Report) -> list[str]:
    """The head of the table that all three forms show."""
    metrics = dict.fromkeys(row.accuracy.metric for row in report.rows if row.accuracy)
    accuracy = " / ".join(metrics) or "accuracy"
    speed = [*PERCENTILE_TITLES, RATE, "load", "first run", "peak RSS", "size"]
    return ["arm", *speed, accuracy, f"time / {report.base}"]


def row_cells(row: Row) -> list[Cell]:
    """One line of the table, in the order of `column_titles`."""
    withheld = {part.percentile: part for part in row.withheld}
    return [
        (label(row), ", ".join(row.tags)),
        percentile_cell(row.p50_ns, withheld.get(50)),
        percentile_cell(row.p90_ns, withheld.get(90)),
        percentile_cell(row.p99_ns, withheld.get(99)),
        (rate(row.throughput_per_s), ""),
        (duration(row.load_ns), ""),
        (duration(row.first_inference_ns), ""),
        (size(row.peak_rss_bytes), ""),
        (size(row.size_bytes), ""),
        accuracy_cell(row.accuracy),
        ratio_cell(row.ratio),
    ]


def label(row: Row) -> str:
    """The arm's name, with the runtime and precision it does not say itself: `edgekit (onnxruntime f32)`."""
    unsaid = [word for word in (row.backend, row.precision) if word not in row.name]
    return f"{row.name} ({' '.join(unsaid)})" if unsaid else row.name


def terminal_table(report: Report) -> Table:
    """A table for rich's console, intervals under their values so that it fits a common terminal.

    The rate is left out: it is 1 / p50, and p99 needs its place.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    titles = column_titles(report)
    shown = [position for position, title in enumerate(titles) if title != RATE]
    rows = [row_cells(row) for row in report.rows]
    return rich_table(
        report.title,
        [titles[position] for position in shown],
        rows=[[row[position] for position in shown] for row in rows],
        notes=report.notes,
    )


def rich_table(title: str, titles: Sequence[str], *, rows: Sequence[Sequence[Cell]], notes: Sequence[str]) -> Table:
    """Cells as a table for rich's console, the second part of each under its first; the notes stand below.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    try:
        from rich import box
        from rich.table import Table
        from rich.text import Text
    except ImportError as error:
        raise MissingDependencyError("rich", extra="bench") from error
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption = Text("\n".join(notes)) if notes else None
    for position, name in enumerate(titles):
        widest = INTERVAL_WIDTH if name in PERCENTILE_TITLES else None
        side: Literal["left", "right"] = "left" if position == 0 else "right"
        least = None if position else ARM_WIDTH
        table.add_column(Text(name), justify=side, overflow="fold", min_width=least, max_width=widest)
    for row in rows:
        # Text, since a bracket in a name would otherwise be taken for markup
        table.add_row(*(Text("\n".join(filter(None, cell))) for cell in row))
    return table


def markdown(reports: Sequence[Report]) -> str:
    """Title, table and notes of each report, as GitHub shows them."""
    return "\n".join(
        markdown_table(
            report.title, column_titles(report), rows=[row_cells(row) for row in report.rows], notes=report.notes
        )
        for report in reports
    )


def markdown_table(title: str, titles: Sequence[str], *, rows: Sequence[Sequence[Cell]], notes: Sequence[str]) -> str:
    """Cells as a table under a heading, the notes as a list below it."""
    head = [_markdown_line(titles), "|" + "|".join(["---"] + ["--:"] * (len(titles) - 1)) + "|"]
    lines = [_markdown_line([" ".join(filter(None, cell)) for cell in row]) for row in rows]
    listed = [f"- {escaped(note)}" for note in notes]
    return "\n".join([f"### {escaped(title)}", "", *head, *lines, *([""] if listed else []), *listed, ""])


def _markdown_line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(map(escaped, texts)) + " |"


def html(reports: Sequence[Report]) -> str:
    """One page with each report, light or dark as the reader's system is, with the figures inside as SVG.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    return page([report_part(report, number) for number, report in enumerate(reports)])


def page(parts: Sequence[Mapping[str, Any]]) -> str:
    """One HTML page of parts, each drawn by its own template; all share one style.

    parts: what a template needs, with its file name as "template" and a "title".

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError("jinja2", extra="bench") from error
    folder = resources.files("edgekit.bench")
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("page.html.jinja").render(parts=parts)


def report_part(report: Report, number: int) -> dict[str, Any]:
    """A benchmark's part of a page.

    number: unlike that of any other part, as the figures' ids are made of it.
    """
    from edgekit.bench.plots import latency_against_accuracy, latency_distributions, ratio_intervals

    return {
        "template": "report.html.jinja",
        "title": report.title,
        "report": report,
        "titles": column_titles(report),
        "rows": [row_cells(row) for row in report.rows],
        "scatter": latency_against_accuracy(report, name=f"scatter{number}"),
        "ratios": ratio_intervals(report, name=f"ratios{number}"),
        "distributions": latency_distributions(report, name=f"distributions{number}"),
        "environment": fingerprint_lines(report.fingerprint),
        "import_times": [(label(row), duration(row.import_ns)) for row in report.rows],
    }


def fingerprint_lines(fingerprint: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fingerprint as lines of a table, one level deep."""
    lines: list[tuple[str, str]] = []
    for name, value in fingerprint.items():
        if isinstance(value, Mapping):
            lines += [(inner, str(text)) for inner, text in value.items()]
        elif name == "memory_bytes" and isinstance(value, int):
            lines.append(("memory", size(value)))
        else:
            lines.append(
                (
                    name.replace("_", " "),
                    ", ".join(map(str, value)) if isinstance(value, list) else str(value),
                )
            )
    return lines


def escaped(text: str) -> str:
    """Text as one line of Markdown, safe in a table's cell: no pipe, tag or code mark of it takes effect."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\|`*]", r"\\\g<0>", line)
