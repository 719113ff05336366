"""Shows a report: a table in the terminal, a Markdown table, and an HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from edgekit.bench.report import Report, Row
from edgekit.bench.units import Cell, accuracy_cell, duration, duration_cell, rate, ratio_cell, size
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.table import Table


def column_titles(report: Report) -> list[str]:
    """The head of the table that all three forms show."""
    metrics = dict.fromkeys(row.accuracy.metric for row in report.rows if row.accuracy)
    accuracy = " / ".join(metrics) or "accuracy"
    speed = ["p50", "p90", "rate", "load", "first run", "peak RSS", "size"]
    return ["arm", *speed, accuracy, f"time / {report.base}"]


def row_cells(row: Row) -> list[Cell]:
    """One line of the table, in the order of `column_titles`."""
    return [
        (label(row), ""),
        duration_cell(row.p50_ns),
        duration_cell(row.p90_ns),
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

    Raises:
        MissingDependencyError: rich is not installed.
    """
    try:
        from rich import box
        from rich.table import Table
        from rich.text import Text
    except ImportError as error:
        raise MissingDependencyError("rich", extra="bench") from error
    table = Table(title=Text(report.title), box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption = Text("\n".join(report.notes)) if report.notes else None
    for position, title in enumerate(column_titles(report)):
        table.add_column(Text(title), justify="left" if position == 0 else "right", overflow="fold")
    for row in report.rows:
        # Text, since a bracket in a name would otherwise be taken for markup
        table.add_row(*(Text("\n".join(filter(None, cell))) for cell in row_cells(row)))
    return table


def markdown(reports: Sequence[Report]) -> str:
    """Title, table and notes of each report, as GitHub shows them."""
    return "\n".join(map(_markdown, reports))


def _markdown(report: Report) -> str:
    titles = [_escaped(title) for title in column_titles(report)]
    head = ["| " + " | ".join(titles) + " |", "|" + "|".join(["---"] + ["--:"] * (len(titles) - 1)) + "|"]
    rows = [
        "| " + " | ".join(_escaped(" ".join(filter(None, cell))) for cell in row_cells(row)) + " |"
        for row in report.rows
    ]
    notes = [f"- {note}" for note in report.notes]
    return "\n".join([f"### {report.title}", "", *head, *rows, *([""] if notes else []), *notes, ""])


def html(reports: Sequence[Report]) -> str:
    """One page with each report, light or dark as the reader's system is, with the figures inside as SVG.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError("jinja2", extra="bench") from error
    from edgekit.bench.plots import latency_against_accuracy, latency_distributions

    source = (resources.files("edgekit.bench") / "report.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    return template.render(
        parts=[
            {
                "report": report,
                "titles": column_titles(report),
                "rows": [row_cells(row) for row in report.rows],
                "scatter": latency_against_accuracy(report, name=f"scatter{number}"),
                "distributions": latency_distributions(report, name=f"distributions{number}"),
                "environment": _flat(report.fingerprint),
                "import_times": [(label(row), duration(row.import_ns)) for row in report.rows],
            }
            for number, report in enumerate(reports)
        ]
    )


def _flat(fingerprint: Mapping[str, Any]) -> list[tuple[str, str]]:
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


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
