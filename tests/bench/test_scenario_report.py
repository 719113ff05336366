"""A scenario's report: a table for each, notes that explain, JSON that brings it back, and a part of a page."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.bench.scenarios.arrivals import Served
from edgekit.bench.scenarios.figures import (
    Plan,
    Throughput,
    Way,
    cold_start_result,
    multi_stream_result,
    offline_result,
    server_result,
)
from edgekit.bench.scenarios.report import (
    ScenarioReport,
    build_scenario_report,
    scenario_cells,
    scenario_from_json,
    scenario_markdown,
    scenario_part,
    scenario_table,
    scenario_titles,
    scenario_to_json,
)
from edgekit.errors import MeasurementError

ARM = Arm("one|a", "onnxruntime", "f32", {"model": "/m"})
MS = 1_000_000


def results(scenario: str, sessions: int = 6) -> list:
    """Two arms, the second of which is slower; in the server scenario too slow."""
    names = ARM, replace(ARM, name="two")
    if scenario == "multi-stream":
        calls = [[[[100 * k] * 80] * 3] * sessions for k in (1, 2)]
        ways = [Way(names[0], 1, "batch of 8"), Way(names[1], 8, "8 calls in a row", "it refused")]
        return [multi_stream_result(ways[0], calls[0], None), multi_stream_result(ways[1], calls[1], calls[0])]
    if scenario == "offline":
        found = [Throughput(((10,),) * sessions, ((1000 * k,),) * sessions, ((50,),) * sessions) for k in (1, 2)]
        pairs = [(Way(arm, 1, "single samples"), part) for arm, part in zip(names, found, strict=True)]
        return [offline_result(*pairs[0], None), offline_result(*pairs[1], pairs[0])]
    if scenario == "server":
        arrivals = [[MS * n for n in range(1, 101)]] * sessions
        return [
            server_result(Way(arm, 1, "one at a time"), arrivals, [Served((ns,) * 100, (ns,) * 100)] * sessions)
            for arm, ns in zip(names, (MS // 2, 2 * MS), strict=True)
        ]
    lists = dict.fromkeys(("import_ns", "load_ns", "first_inference_ns", "peak_rss_bytes"), (MS,) * sessions)
    return [cold_start_result(Measurement(arm, 0, (), **lists, size_bytes=None)) for arm in names]


def report(scenario: str, sessions: int = 6) -> ScenarioReport:
    return build_scenario_report(
        "kws <1>",
        Plan(scenario, sessions=sessions),
        results=results(scenario, sessions),
        processing="out",
        fingerprint={"cpu": "A & B"},
        notes=["a note"],
    )


ALL = pytest.mark.parametrize("scenario", ["multi-stream", "offline", "server", "cold-start"])


@ALL
def test_every_line_has_a_cell_for_every_title(scenario: str) -> None:
    one = report(scenario)
    assert {len(line) for line in scenario_cells(one)} == {len(scenario_titles(one))}
    assert scenario_titles(one)[0] == "arm"


@ALL
@pytest.mark.parametrize("sessions", [3, 6])
def test_a_report_survives_json_with_and_without_intervals(scenario: str, sessions: int) -> None:
    one = report(scenario, sessions)
    text = json.dumps(scenario_to_json(one), allow_nan=False)
    again = scenario_from_json(json.loads(text))
    bare = [replace(result, raw={}) for result in one.results]
    assert replace(again, results=tuple(replace(result, raw={}) for result in again.results)) == replace(
        one, results=tuple(bare)
    )
    assert json.loads(text)["results"][0]["raw"] == json.loads(json.dumps(one.results[0].raw))


@ALL
def test_the_terminal_table_fits_a_common_width_and_says_what_was_timed(scenario: str) -> None:
    console_module = pytest.importorskip("rich.console")
    out = io.StringIO()
    console_module.Console(file=out, width=120, color_system=None).print(scenario_table(report(scenario)))
    text = " ".join(out.getvalue().split())
    assert max(map(len, out.getvalue().splitlines())) <= 120
    assert "Processing out: calls are the network alone" in text
    assert "a note" in text


def test_cells_read_well() -> None:
    multi, offline = scenario_cells(report("multi-stream")), scenario_cells(report("offline"))
    assert multi[1][1:3] == [("8 calls in a row", ""), ("1.60 µs", "[1.60, 1.60]")]
    assert multi[1][4] == ("withheld", "162 of 662")
    assert multi[1][5][0] == "16.00"
    assert offline[0][1:4] == [
        ("single samples", ""),
        ("10.0M/s", "[10.0, 10.0]"),
        ("5.00 µJ", "[5.00, 5.00]"),
    ]
    server, cold = scenario_cells(report("server")), scenario_cells(report("cold-start", sessions=3))
    assert server[0][3] == ("50.0 %", "[50.0, 50.0]")
    assert server[1][0] == ("two", "overloaded")
    assert server[1][5] == ("-", "")
    assert cold[0][4] == ("3.00 ms", "no interval")


def test_energy_that_is_not_told_is_unavailable() -> None:
    one = report("offline")
    bare = replace(one, results=tuple(replace(result, energy_uj_per_sample=None) for result in one.results))
    assert scenario_cells(bare)[0][3] == ("unavailable", "")


def test_notes_say_why_an_arm_had_no_batch_and_what_overloaded_means() -> None:
    assert "two: 8 calls in a row, since it refused." in report("multi-stream").notes
    (note,) = (note for note in report("server").notes if note.startswith("overloaded"))
    assert note.startswith("overloaded: two is offered 1.00k/s and serves 980/s; its queue grows without bound")


@ALL
def test_settings_hold_what_the_scenario_takes(scenario: str) -> None:
    extra = {"multi-stream": {"streams": 8}, "server": {"qps": None}}.get(scenario, {})
    assert report(scenario).settings == {"sessions": 6, **extra}


def test_markdown_and_page_escape_what_they_are_given() -> None:
    pytest.importorskip("jinja2")
    from edgekit.bench.render import page

    one = report("offline")
    assert r"one\|a" in scenario_markdown(one)
    html = page([scenario_part(one)])
    assert "kws &lt;1&gt;" in html
    assert "A &amp; B" in html
    assert html.count("<table") == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: [], "no scenario's report"),
        (lambda d: {"edgekit_report": 2}, "no scenario's report"),
        (lambda d: {**d, "edgekit_scenario": 99}, "scenario version 99; this edgekit reads version 1"),
        (lambda d: {key: d[key] for key in d if key != "results"}, "damaged: KeyError: 'results'"),
        (lambda d: {**d, "seed": "x"}, "seed is 'x'; expected int"),
        (lambda d: {**d, "results": [{**d["results"][0], "colour": 1}]}, "unexpected keyword argument 'colour'"),
    ],
)
def test_foreign_and_damaged_reports_are_refused(damage, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        scenario_from_json(damage(json.loads(json.dumps(scenario_to_json(report("server"))))))
