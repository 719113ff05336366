"""Rendering: the same table in three forms, nothing unescaped, labels that keep clear of each other."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from example_reports import example_report, measurement

from edgekit.bench.render import column_titles, html, label, markdown, row_cells, terminal_table
from edgekit.bench.report import build_report
from edgekit.bench.units import duration


def test_a_line_reads_well() -> None:
    report = example_report()
    line = [" ".join(filter(None, cell)) for cell in row_cells(report.rows[0])]
    assert line[0] == "edgekit (openvino f32)"
    assert re.fullmatch(r"\d\.\d\d µs \[\d\.\d\d, \d\.\d\d\]", line[1])
    assert re.fullmatch(r"withheld 384 of 662, ≤ \d\.\d\d µs", line[3])
    assert line[4].endswith("k/s")
    assert line[5:10] == ["14.0 ms", "100 µs", "56.0 MB", "83.0 kB", "97.8 % [96.6, 98.7]"]
    assert re.fullmatch(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]", line[10])
    assert column_titles(report)[-2:] == ["top1", "time / onnxruntime"]


def test_a_label_repeats_nothing_that_the_name_says() -> None:
    rows = build_report("t", [measurement("openvino-f32", 1e6)], base="openvino-f32", fingerprint={}).rows
    assert label(rows[0]) == "openvino-f32"


def test_the_base_and_what_was_not_measured_are_plain() -> None:
    arms = [measurement("a", 1e6, sessions=2, rounds=1), measurement("b", 1e6, sessions=2, rounds=1)]
    report = build_report("t", arms, base="a", fingerprint={})
    base, other = (row_cells(row) for row in report.rows)
    assert base[-1] == ("base", "")
    assert other[-1][1] == "no interval"
    assert base[1] == ("withheld", f"8 of 11, ≤ {duration(report.rows[0].withheld[0].upper)}")
    assert base[2] == ("withheld", "8 of 64")
    assert base[9] == ("-", "")


def test_tags_stand_under_the_arms_name_and_are_explained_below() -> None:
    slow, other = measurement("slow", 1e6), measurement("other", 1e6)
    falling = [[[int(ns * (1 - 0.02 * at)) for ns in chunk] for at, chunk in enumerate(s)] for s in slow.calls_ns]
    report = build_report("t", [replace(slow, calls_ns=falling)], base="slow", fingerprint={})
    assert row_cells(report.rows[0])[0] == ("slow (openvino f32)", "no-steady-state")
    assert row_cells(build_report("t", [other], base="other", fingerprint={}).rows[0])[0][1] == ""
    assert [note.partition(":")[0] for note in report.notes] == ["Processing out", "Withheld", "no-steady-state"]
    assert "no-steady-state" in markdown([report])


def test_the_terminal_table_shows_every_arm_in_a_common_width() -> None:
    console_module = pytest.importorskip("rich.console")
    out = io.StringIO()
    console_module.Console(file=out, width=120, color_system=None).print(terminal_table(example_report()))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    for text in ("edgekit", "(openvino", "litert (f32)", "97.8 %", "[96.6, 98.7]", "base", "Peers run <b>one</b>"):
        assert text in out.getvalue()


def test_the_terminal_table_takes_brackets_in_names_as_they_are() -> None:
    console_module = pytest.importorskip("rich.console")
    out = io.StringIO()
    report = build_report("[red]t", [measurement("a[bold]", 1e6)], base="a[bold]", fingerprint={})
    console_module.Console(file=out, width=120, color_system=None).print(terminal_table(report))
    assert "a[bold]" in out.getvalue()
    assert "[red]t" in out.getvalue()


def test_markdown_escapes_pipes_in_cells() -> None:
    arms = [measurement("a|b", 1e6)]
    text = markdown([build_report("t", arms, base="a|b", fingerprint={}, notes=["a note"])])
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert r"a\|b" in text
    assert text.endswith("- a note\n")


def test_the_page_escapes_what_it_is_given_and_stands_alone() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = html([example_report()])
    assert "kws on &lt;cpu&gt; | test" in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert "A &amp; B" in page
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "href"))
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ET.fromstring(svg)  # noqa: S314 - our own output
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
        used = {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)}
        assert used <= set(ids)


def test_without_accuracies_there_is_no_scatter() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = html([build_report("t", [measurement("a", 1e6)], base="a", fingerprint={"cpu": "x"})])
    assert page.count("<svg") == 1
    assert "Latency against accuracy" not in page


def test_labels_of_near_points_do_not_overlap() -> None:
    pytest.importorskip("matplotlib")
    from edgekit.bench.plots import scatter_figure

    figure = scatter_figure(example_report())
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert all(figure.axes[0].bbox.x0 <= box.x0 and box.x1 <= figure.axes[0].bbox.x1 for box in boxes)


def test_every_ratio_has_its_interval_in_the_chart_and_the_base_has_none() -> None:
    from edgekit.bench.plots import ratio_figure, ratio_intervals

    report = example_report()
    compared = [row for row in report.rows if row.ratio is not None]
    (axes,) = ratio_figure(report).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [row.name for row in compared][::-1]
    assert len(axes.containers) == len(compared) == len(report.rows) - 1
    alone = replace(report, rows=tuple(row for row in report.rows if row.ratio is None))
    assert ratio_intervals(alone) == ""
