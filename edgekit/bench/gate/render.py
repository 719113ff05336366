"""Shows what a gate decided: in the terminal, as a pull request's comment, as JUnit XML, and as a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgekit.bench.gate.bar import LEGEND, interval_bar, scale_line
from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.gate.words import (
    change_cell,
    circumstances,
    detectable,
    evidence_cell,
    headline,
    label,
    one_line,
    reason,
    summary,
    threshold,
    title,
    used_tags,
    values,
)
from edgekit.bench.render import escaped, fingerprint_lines, page
from edgekit.bench.units import Cell
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

MARKER = "<!-- edgekit-gate -->"
"""Opens the comment, so that the next run finds it again and replaces it."""

TITLES = ("model", "metric", "verdict", "change", "allowed", "base → head", "measured", "detects")
MARKS = {Outcome.FAIL: "❌", Outcome.INCOMPARABLE: "🚫", Outcome.INCONCLUSIVE: "❔", Outcome.PASS: "✅"}
COLOURS = {
    Outcome.FAIL: "bold red",
    Outcome.INCOMPARABLE: "bold magenta",
    Outcome.INCONCLUSIVE: "bold yellow",
    Outcome.PASS: "green",
}
# Characters that no XML 1.0 document may hold, not even escaped.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verdict_cells(verdict: Verdict) -> list[Cell]:
    """One line of the table, in the order of `TITLES`."""
    return [
        (one_line(verdict.model), ""),
        (one_line(verdict.metric), ""),
        (verdict.outcome.value, ""),
        change_cell(verdict),
        (threshold(verdict), ""),
        (values(verdict), ""),
        evidence_cell(verdict),
        (detectable(verdict), ""),
    ]


def terminal(report: GateReport) -> Group:
    """The verdict, a table with each interval as a bar, and the reasons, for rich's console.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    try:
        from rich.console import Group
        from rich.text import Text
    except ImportError as error:
        raise MissingDependencyError("rich", extra="bench") from error
    # Text, since a bracket in a name would otherwise be taken for markup
    first = Text(headline(report), style=COLOURS[report.outcome])
    what = Text(f"{title(report)}: {circumstances(report)}", style="dim")
    tags = [Text(f"{tag}: {meaning}") for tag, meaning in used_tags(report).items() if meaning]
    notes = [Text(f"note: {note}") for note in report.notes]
    again = Text(f"again: {report.command}")
    if not report.verdicts:
        return Group(first, what, *notes, again)
    legend = Text(LEGEND, style="dim")
    return Group(first, what, _verdict_table(report), legend, Text(), _reasons(report), *tags, *notes, again)


def _verdict_table(report: GateReport) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in TITLES:
        left, whole = name in TITLES[:3], name in TITLES[1:3]
        table.add_column(Text(name), overflow="fold", justify="left" if left else "right", no_wrap=whole)
    table.add_column(Text(scale_line(columns=5)), no_wrap=True)
    for verdict in report.verdicts:
        texts = [Text("\n".join(filter(None, cell))) for cell in verdict_cells(verdict)]
        texts[2].stylize(COLOURS[verdict.outcome])
        texts[5] = Text(values(verdict).replace(" → ", "\n→ "))  # as narrow as can be
        table.add_row(*texts, _bar(verdict))
    return table


def _bar(verdict: Verdict) -> Text:
    from rich.text import Text

    return Text(interval_bar(verdict, columns=5), style=COLOURS[verdict.outcome].removeprefix("bold "))


def _reasons(report: GateReport) -> Table:
    """Why, for each verdict: beside the table, the reasons would leave it no room."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for verdict in report.verdicts:
        outcome = Text(verdict.outcome.value, style=COLOURS[verdict.outcome])
        grid.add_row(outcome, Text(label(verdict)), Text(reason(verdict)))
    return grid


def markdown(report: GateReport) -> str:
    """A pull request's comment or a job's summary, as GitHub and GitLab show it; it opens with `MARKER`."""
    sections = [
        f"{MARKER}\n## {MARKS[report.outcome]} {escaped(headline(report))}",
        f"{escaped(title(report))}: {escaped(circumstances(report))}",
        *([_markdown_table(report), _markdown_bars(report)] if report.verdicts else []),
        "\n".join([*_markdown_tags(report), *(f"- {escaped(note)}" for note in report.notes)]),
        f"The same again:\n\n{fenced(report.command)}",
        _markdown_fingerprint(report),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _markdown_table(report: GateReport) -> str:
    titles = (*TITLES, "why")
    rows = [
        [*(" ".join(filter(None, cell)) for cell in verdict_cells(verdict)), reason(verdict)]
        for verdict in report.verdicts
    ]
    for row, verdict in zip(rows, report.verdicts, strict=True):
        row[2] = f"{MARKS[verdict.outcome]} {row[2]}"
    ruler = "|" + "|".join(["---"] * 3 + ["--:"] * (len(TITLES) - 3) + ["---"]) + "|"
    return "\n".join([_line(titles), ruler, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"


def _markdown_bars(report: GateReport) -> str:
    """Each interval as a line of text; `LEGEND` says how to read it."""
    names = [label(verdict) for verdict in report.verdicts]
    width = max(map(len, names))
    lines = [f"{'':{width}}  {scale_line()}"]
    for name, verdict in zip(names, report.verdicts, strict=True):
        lines.append(f"{name:{width}}  {interval_bar(verdict)}  {' '.join(change_cell(verdict))}".rstrip())
    return f"{fenced(chr(10).join(lines))}\n\n<sub>{escaped(LEGEND)}</sub>"


def _markdown_tags(report: GateReport) -> list[str]:
    return [f"- **{escaped(tag)}**: {escaped(meaning)}" for tag, meaning in used_tags(report).items() if meaning]


def _markdown_fingerprint(report: GateReport) -> str:
    lines = [_line(line) for line in fingerprint_lines(report.fingerprint)]
    table = "\n".join(["| | |", "|---|---|", *lines])
    return f"<details><summary>The machine and its software</summary>\n\n{table}\n\n</details>"


def fenced(text: str) -> str:
    """A code block of Markdown, with a fence longer than any row of backticks inside."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def junit(report: GateReport) -> str:
    """JUnit XML: a suite for each model, a case for each metric.

    FAIL is a failure, INCOMPARABLE an error, INCONCLUSIVE skipped. Nothing compared is an error too, of a case of its
    own.
    """
    root = ET.Element("testsuites", name="edgekit gate", time=f"{report.seconds:.3f}")
    for model in dict.fromkeys(verdict.model for verdict in report.verdicts):
        _add_suite(root, report, [verdict for verdict in report.verdicts if verdict.model == model])
    if not report.verdicts:
        case = ET.SubElement(_suite(root, report, "gate"), "testcase", classname="edgekit.gate", name="comparison")
        _add_result(case, "error", Outcome.INCOMPARABLE, headline(report))
    for element in (root, *root):
        _count(element)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_suite(root: ET.Element, report: GateReport, verdicts: Sequence[Verdict]) -> None:
    model = _xml_text(verdicts[0].model)
    suite = _suite(root, report, model)
    suite.set("time", f"{sum(verdict.seconds for verdict in verdicts):.3f}")
    results = {Outcome.FAIL: "failure", Outcome.INCOMPARABLE: "error", Outcome.INCONCLUSIVE: "skipped"}
    for verdict in verdicts:
        case = ET.SubElement(suite, "testcase", classname=f"edgekit.gate.{model}", name=_xml_text(verdict.metric))
        case.set("time", f"{verdict.seconds:.3f}")
        if verdict.outcome in results:
            _add_result(case, results[verdict.outcome], verdict.outcome, summary(verdict))


def _suite(root: ET.Element, report: GateReport, name: str) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=name, timestamp=report.created[:19])
    facts = [("base", report.base), ("head", report.head), ("profile", report.profile), ("seed", str(report.seed))]
    properties = ET.SubElement(suite, "properties")
    for key, value in (*facts, ("command", report.command), *fingerprint_lines(report.fingerprint)):
        ET.SubElement(properties, "property", name=_xml_text(key), value=_xml_text(value))
    return suite


def _add_result(case: ET.Element, kind: str, outcome: Outcome, message: str) -> None:
    result = ET.SubElement(case, kind, message=_xml_text(message))
    if kind != "skipped":  # which takes a message only, in the common schemas
        result.set("type", outcome.value)
        result.text = _xml_text(message)


def _count(element: ET.Element) -> None:
    counts = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for attribute, tag in counts.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _xml_text(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def gate_html(reports: Sequence[GateReport]) -> str:
    """One page with each gate's verdicts and intervals; see `edgekit.bench.render.page`.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    return page([gate_part(report, number) for number, report in enumerate(reports)])


def gate_part(report: GateReport, number: int) -> dict[str, Any]:
    """A gate's part of a page.

    number: unlike that of any other part, as the figure's ids are made of it.
    """
    from edgekit.bench.gate.plots import interval_chart

    return {
        "template": "gate/gate.html.jinja",
        "title": title(report),
        "report": report,
        "headline": headline(report),
        "circumstances": circumstances(report),
        "titles": (*TITLES, "why"),
        "rows": [(verdict.outcome.value, verdict_cells(verdict), reason(verdict)) for verdict in report.verdicts],
        "chart": interval_chart(report, name=f"intervals{number}"),
        "tags": used_tags(report),
        "environment": fingerprint_lines(report.fingerprint),
    }
