"""How a gate is shown: the verdict first, bars that never lie about the threshold, nothing unescaped in any form."""

from __future__ import annotations

import io
import itertools
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from example_gates import (
    AWKWARD,
    FASTER,
    GONE,
    SAME_ACCURACY,
    SAME_SIZE,
    SLOWER,
    UNBOUNDED,
    UNCLEAR,
    example_gate,
    full_gate,
)

from edgekit.bench.gate.bar import interval_bar, scale_line
from edgekit.bench.gate.render import MARKER, fenced, gate_html, junit, markdown, terminal, verdict_cells
from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.gate.words import change_cell, headline, summary
from edgekit.bench.statistics import Interval


def _changed(value: float, low: float, high: float, threshold: float = 0.1) -> Verdict:
    return replace(SLOWER, effect=Interval(value, low, high), threshold=threshold)


def _printed(report: GateReport, width: int = 120) -> str:
    console_module = pytest.importorskip("rich.console")
    out = io.StringIO()
    console_module.Console(file=out, width=width, color_system=None, markup=False).print(terminal(report))
    return out.getvalue()


def test_the_headline_counts_what_decided() -> None:
    assert headline(full_gate()) == "FAIL: 1 of 8 worse than allowed (resnet8 latency)"
    assert headline(example_gate(UNCLEAR, SAME_SIZE)) == "INCONCLUSIVE: 1 of 2 not decided (resnet8 load)"
    assert headline(example_gate(SAME_SIZE, FASTER)) == "PASS: all 2 within the threshold"
    assert headline(example_gate()) == "INCOMPARABLE: nothing was compared"
    many = [replace(GONE, model=f"m{number}") for number in range(5)]
    assert headline(example_gate(*many)).endswith("(m0 latency, m1 latency, m2 latency and 2 more)")


def test_a_line_reads_well() -> None:
    assert [" ".join(filter(None, cell)) for cell in verdict_cells(SLOWER)] == [
        "resnet8",
        "latency",
        "FAIL",
        "+5.1 % [+4.8, +5.5]",
        "2.5 %",
        "195 µs → 205 µs",
        "20 pairs 4.12 s",
        "3.1 %",
    ]
    accuracy = [" ".join(filter(None, cell)) for cell in verdict_cells(SAME_ACCURACY)]
    assert accuracy[3:] == ["+0.0005 [-0.0011, +0.0021]", "0.01", "0.9219 → 0.9214", "10000 samples", "0.0126"]
    assert [cell[0] for cell in verdict_cells(SAME_SIZE)][3:] == ["+0.0 %", "2 %", "372 kB → 372 kB", "exact", "-"]
    assert [cell[0] for cell in verdict_cells(GONE)][3:] == ["-", "-", "45.3 µs → -", "-", "-"]
    assert verdict_cells(replace(GONE, base=None))[5] == ("-", "")


def test_a_bound_never_reads_like_the_threshold_that_it_is_beyond() -> None:
    assert change_cell(_changed(0.06, 0.0252, 0.09, threshold=0.025)) == ("+6.00 %", "[+2.52, +9.00]")
    assert change_cell(_changed(0.01, 0.0, 0.02499, threshold=0.025)) == ("+1.000 %", "[+0.000, +2.499]")


def test_bounds_that_are_not_there_are_said() -> None:
    assert change_cell(UNBOUNDED) == ("+1.3 %", "no interval")
    assert change_cell(_changed(0.01, -1.0, math.inf)) == ("+1.0 %", "no interval")
    assert change_cell(_changed(0.01, -0.02, math.inf)) == ("+1.0 %", "[-2.0, +∞]")
    assert change_cell(_changed(-0.0001, -0.0002, 0.0)) == ("+0.0 %", "[+0.0, +0.0]")


@pytest.mark.parametrize(
    ("verdict", "bar"),
    [
        (_changed(0.15, 0.12, 0.2), "|---------0---------T-[==*====]---------|"),
        (_changed(0.0, -0.05, 0.05), "|----[====*====]----T-------------------|"),
        (_changed(0.11, 0.05, 0.22), "|---------0----[====T*==========]-------|"),
        (_changed(0.1, 0.1, 0.1), "|---------0--------*T-------------------|"),
        (_changed(0.101, 0.1005, 0.102), "|---------0---------T[*]----------------|"),
        (_changed(0.0995, 0.099, 0.1), "|---------0------[*]T-------------------|"),
        (_changed(0.1, 0.0999, 0.1001), "|---------0-------[*T]------------------|"),
        (_changed(0.0, 0.0, 0.0), "|---------*---------T-------------------|"),
        (_changed(0.0, 0.0, 0.0, threshold=0.0), "|--------*T-----------------------------|"),
        (_changed(0.02, 0.02, 0.02, threshold=0.0), "|---------T---------*-------------------|"),
        (_changed(3.0, 2.9, 3.1), "|---------0---------T------------------*>"),
        (_changed(0.5, 0.5, 0.5), "|---------0---------T------------------*>"),
        (_changed(-0.6, -0.7, -0.5), "<*--------0---------T-------------------|"),
        (_changed(-0.098, -0.1, -0.0975), "[*]-------0---------T-------------------|"),
        (_changed(0.3, 0.2, 0.9), "|---------0---------T---------[========*>"),
        (_changed(0.05, -math.inf, math.inf), "<==============*====T===================>"),
        (GONE, "|------------- not compared ------------|"),
    ],
)
def test_bars(verdict: Verdict, bar: str) -> None:
    assert interval_bar(verdict) == bar


@pytest.mark.parametrize("columns", [5, 6, 10])
def test_a_bar_is_on_the_side_of_the_threshold_that_the_interval_is_on(columns: int) -> None:
    points = (-5.0, -0.1, -0.096, -0.02, 0.0, 0.0951, 0.0999, 0.1, 0.1001, 0.105, 0.29, 0.3, 5.0)
    for low, value, high in itertools.combinations_with_replacement(points, 3):
        bar = interval_bar(_changed(value, low, high), columns=columns)
        assert len(bar) == 4 * columns + 1 == len(scale_line(columns=columns))
        mark, first, last = bar.index("T"), re.search(r"[\[<*]", bar), max(bar.rfind(c) for c in "]>*")
        assert first is not None
        assert bar.count("T") == bar.count("*") == 1
        if high <= 0.1:
            assert last < mark
        elif low > 0.1:
            assert first.start() > mark
        else:
            assert first.start() < mark < last


def test_the_terminal_shows_verdict_table_and_reasons() -> None:
    text = _printed(full_gate())
    lines = text.splitlines()
    assert lines[0].startswith("FAIL: 1 of 8")
    assert max(map(len, lines)) <= 120
    for expected in ("[+4.8, +5.5]", "|----0----T----[*]--|", "INCOMPARABLE  old-model latency", "note: Measured on"):
        assert expected in text
    assert "no-steady-state: calls became slower" in text
    assert "edgekit gate models/kws.py --base-rev origin/main --seed 7" in text


def test_the_terminal_takes_names_as_they_are_but_for_what_moves_its_cursor() -> None:
    text = _printed(example_gate(AWKWARD), width=200)
    assert "[red]\ufffd$x$" in text
    assert "\x1b" not in text


def test_the_terminal_says_when_nothing_was_compared() -> None:
    text = _printed(example_gate())
    assert text.startswith("INCOMPARABLE: nothing was compared")
    assert "verdict" not in text


def test_markdown_opens_with_the_marker_and_the_verdict() -> None:
    lines = markdown(full_gate()).splitlines()
    assert lines[0] == MARKER == "<!-- edgekit-gate -->"
    assert lines[1] == "## ❌ FAIL: 1 of 8 worse than allowed (resnet8 latency)"


def test_markdown_tables_keep_their_columns() -> None:
    text = re.sub(r"(?s)````text.*?````", "", markdown(full_gate()))
    table = [line for line in text.splitlines() if line.startswith("|")]
    counts = [len(re.findall(r"(?<!\\)\|", line)) for line in table]
    assert counts[:10] == [10] * 10
    assert set(counts[10:]) == {3}
    assert r"| cpu | A &amp; B \| &lt;C&gt; |" in table


def test_markdown_lets_no_name_out_of_its_place() -> None:
    text = markdown(full_gate())
    fences = re.findall(r"(?m)^````.*$", text)
    assert fences == ["````text", "````"]
    outside = re.sub(r"(?s)````text.*?````", "", text)
    assert re.findall(r"<[^>]*>", outside) == [
        MARKER,
        *("<sub>", "</sub>", "<details>", "<summary>", "</summary>", "</details>"),
    ]
    assert r"\*no\* second line" in outside
    assert r"\`\`\`d\`" in outside


def test_markdown_shows_bars_notes_tags_and_the_command() -> None:
    text = markdown(full_gate())
    assert "|---------0---------T--------[*=]-------|  +5.1 % [+4.8, +5.5]\n" in text
    bars = text.split("````")[1].splitlines()[2:7]
    assert {line.find("T", 30) for line in bars} == {bars[0].find("T", 30)}
    assert "- **no-steady-state**: calls became slower" in text
    assert "- Measured on a machine with 2 cores" in text
    assert "```text\nedgekit gate models/kws.py --base-rev origin/main --seed 7\n```" in text
    assert text.endswith("</details>\n")


def test_markdown_without_verdicts_is_no_pass() -> None:
    text = markdown(example_gate(notes=()))
    assert "## 🚫 INCOMPARABLE: nothing was compared" in text
    assert "| model" not in text


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("a") == "```text\na\n```"
    assert fenced("a ```` b") == "`````text\na ```` b\n`````"


def test_junit_has_a_suite_for_each_model_and_a_case_for_each_metric() -> None:
    root = ET.fromstring(junit(full_gate()))  # noqa: S314 - our own output
    assert [suite.get("name") for suite in root[:2]] == ["resnet8", "kws"]
    assert [case.get("name") for case in root[0].iter("testcase")] == ["latency", "load", "size", "accuracy"]
    assert [case.get("time") for case in root[0].iter("testcase")] == ["4.120", "9.700", "0.000", "0.000"]
    found = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert found["edgekit.gate.resnet8", "latency"] == ["failure"]
    assert found["edgekit.gate.resnet8", "load"] == ["skipped"]
    assert found["edgekit.gate.resnet8", "size"] == []
    assert found["edgekit.gate.old-model", "latency"] == ["error"]
    counts = [root.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["8", "1", "2", "2"]
    assert [root[0].get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "1"]


def test_junit_messages_carry_the_numbers() -> None:
    root = ET.fromstring(junit(full_gate()))  # noqa: S314 - our own output
    failure, skipped = root.find(".//failure"), root.find(".//skipped")
    assert failure is not None
    assert skipped is not None
    assert failure.get("message") == (
        "resnet8 latency: at least 4.8 % slower; 2.5 % is allowed [no-steady-state] (+5.1 % [+4.8, +5.5], "
        "allowed 2.5 %; 195 µs → 205 µs; 20 pairs, 4.12 s; detectable 3.1 %)"
    )
    assert "about 160 pairs needed" in (skipped.get("message") or "")
    assert "about 90 samples needed" in summary(replace(SAME_ACCURACY, needed=90))


def test_junit_carries_the_fingerprint_and_what_no_xml_may_hold_does_not_get_in() -> None:
    text = junit(full_gate())
    root = ET.fromstring(text)  # noqa: S314 - our own output
    properties = {item.get("name"): item.get("value") for item in root[0].iter("property")}
    assert properties["cpu"] == "A & B | <C>"
    assert properties["numpy"] == "2.0"
    assert properties["seed"] == "7"
    assert properties["head"] == "models/kws.py"
    assert "\x1b" not in text
    assert root[-1].get("name") == "a|b <i>c</i> ]]> & ```d` [red]\ufffd$x$"


def test_junit_of_nothing_is_an_error() -> None:
    root = ET.fromstring(junit(example_gate()))  # noqa: S314 - our own output
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
    error = root.find(".//error")
    assert error is not None
    assert error.get("message") == "INCOMPARABLE: nothing was compared"


def test_the_page_escapes_what_it_is_given_and_stands_alone() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = gate_html([full_gate(), example_gate(), example_gate(SAME_SIZE)])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert '<td class="FAIL">FAIL</td>' in page
    assert page.count("<svg") == 2
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "href"))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ET.fromstring(svg)  # noqa: S314 - our own output


def test_the_chart_has_a_row_for_each_comparison_in_the_colour_of_its_outcome() -> None:
    pytest.importorskip("matplotlib")
    from edgekit.bench.gate.plots import LOOKS, interval_chart, interval_figure

    figure = interval_figure(full_gate())
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()][-1] == "resnet8 latency"
    assert len(axes.texts) == 8
    colours = {line.get_color() for line in axes.lines}
    assert colours >= {LOOKS[outcome][0] for outcome in (Outcome.FAIL, Outcome.PASS, Outcome.INCONCLUSIVE)}
    assert interval_chart(example_gate(GONE)) == ""
