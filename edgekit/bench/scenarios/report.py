"""The report of arms in one scenario: made from results, shown as a table, written as JSON and read back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edgekit.bench.render import fingerprint_lines, markdown_table, rich_table
from edgekit.bench.report import PROCESSING, instance, optional, withheld_notes
from edgekit.bench.scenarios.figures import COLD_START, MULTI_STREAM, OFFLINE, OVERLOADED, SERVER, Plan, ScenarioResult
from edgekit.bench.statistics import Interval, Ratio, Withheld
from edgekit.bench.units import (
    Cell,
    duration_cell,
    energy_cell,
    percentile_cell,
    rate_cell,
    ratio_cell,
    share_cell,
    size,
)
from edgekit.errors import MeasurementError

if TYPE_CHECKING:
    from rich.table import Table

VERSION = 1
KEY = "edgekit_scenario"
UNIT_NOTES = {
    MULTI_STREAM: "A query is {streams} samples; its latency is the time of its calls.",
    OFFLINE: "Rates are of the calls alone; samples are copied to the inputs between them.",
    SERVER: "Latencies count from when a query was due: waiting, and the copy of its sample, are in them. "
    "Late: time in which a query was due and the arm free, but not begun. Intervals are over sessions.",
    COLD_START: "Medians over fresh processes that have numpy and edgekit already; the total ends with a first result.",
}


@dataclass(frozen=True)
class ScenarioReport:
    """Arms that were run in turn in one scenario.

    base: name of the arm that ratios are against.
    settings: what was asked for: sessions, and what the scenario takes.
    processing, notes, fingerprint, seed, created: as in `edgekit.bench.report.Report`.
    """

    title: str
    scenario: str
    settings: Mapping[str, Any]
    results: tuple[ScenarioResult, ...]
    base: str
    processing: str
    notes: tuple[str, ...]
    fingerprint: Mapping[str, Any]
    seed: int
    created: str


def build_scenario_report(
    title: str,
    plan: Plan,
    *,
    results: Sequence[ScenarioResult],
    processing: str,
    fingerprint: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> ScenarioReport:
    """The report of what `plan` gave; its notes say what was timed, and explain what is special of an arm."""
    taken = {MULTI_STREAM: ("streams",), SERVER: ("qps",)}.get(plan.scenario, ())
    settings = {name: getattr(plan, name) for name in ("sessions", *taken)}
    about = UNIT_NOTES[plan.scenario].format(streams=plan.streams)
    return ScenarioReport(
        title=title,
        scenario=plan.scenario,
        settings=settings,
        results=tuple(results),
        base=results[0].name,
        processing=processing,
        notes=(PROCESSING[processing], about, *withheld_notes(results), *notes, *_result_notes(results)),
        fingerprint=dict(fingerprint),
        seed=plan.seed,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _result_notes(results: Sequence[ScenarioResult]) -> list[str]:
    notes = [f"{result.name}: {result.how}, since {result.why}." for result in results if result.why]
    notes += [note for result in results for note in result.notes]
    return notes + [_overload_note(result) for result in results if OVERLOADED in result.tags]


def _overload_note(result: ScenarioResult) -> str:
    offered, served = (rate_cell(result.figures[name])[0] for name in ("offered_per_s", "served_per_s"))
    return (
        f"{OVERLOADED}: {result.name} is offered {offered} and serves {served}; its queue grows without bound, and its "
        "latencies with it."
    )


def scenario_titles(report: ScenarioReport) -> list[str]:
    """The head of the table in all its forms."""
    return ["arm", *(title.format(base=report.base) for title, _ in COLUMNS[report.scenario])]


def scenario_cells(report: ScenarioReport) -> list[list[Cell]]:
    """The table's lines, in the order of `scenario_titles`."""
    return [
        [(result.name, ", ".join(result.tags)), *(cell(result) for _, cell in COLUMNS[report.scenario])]
        for result in report.results
    ]


def scenario_table(report: ScenarioReport) -> Table:
    """A table for rich's console.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    return rich_table(report.title, scenario_titles(report), rows=scenario_cells(report), notes=report.notes)


def scenario_markdown(report: ScenarioReport) -> str:
    """Title, table and notes, as GitHub shows them."""
    return markdown_table(report.title, scenario_titles(report), rows=scenario_cells(report), notes=report.notes)


def scenario_part(report: ScenarioReport) -> dict[str, Any]:
    """A scenario's part of a page, for `edgekit.bench.render.page`."""
    return {
        "template": "scenarios/scenario.html.jinja",
        "title": report.title,
        "report": report,
        "titles": scenario_titles(report),
        "rows": scenario_cells(report),
        "environment": fingerprint_lines(report.fingerprint),
    }


def scenario_to_json(report: ScenarioReport) -> dict[str, Any]:
    """A JSON-ready form that `scenario_from_json` reads back; an interval's missing bound is null."""
    data: dict[str, Any] = {KEY: VERSION, **asdict(report)}
    for result in data["results"]:
        for interval in (*result["figures"].values(), result["ratio"], result["energy_uj_per_sample"]):
            if interval is not None and math.isinf(interval["high"]):
                interval.update(low=None, high=None)
    return data


def scenario_from_json(data: Any) -> ScenarioReport:
    """The inverse of `scenario_to_json`; raw times come back as lists.

    Raises:
        MeasurementError: not a scenario's report, one of another version, or a damaged one.
    """
    if not isinstance(data, dict) or KEY not in data:
        raise MeasurementError(
            "this is no scenario's report; make one with: edgekit bench ... --scenario S --json FILE"
        )
    if data[KEY] != VERSION:
        raise MeasurementError(f"scenario version {data[KEY]!r}; this edgekit reads version {VERSION}")
    body = {key: value for key, value in data.items() if key != KEY}
    try:
        results = tuple(_result_from_json(part, str(data["scenario"])) for part in body["results"])
        return instance(ScenarioReport, {**body, "results": results, "notes": tuple(body["notes"])})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeasurementError(f"the report is damaged: {type(error).__name__}: {error}") from error


def _result_from_json(data: dict[str, Any], scenario: str) -> ScenarioResult:
    missing = (-math.inf, math.inf) if scenario == COLD_START else (0.0, math.inf)
    parts = {
        "figures": {name: _bounded(Interval, figure, missing) for name, figure in data["figures"].items()},
        "ratio": _bounded(Ratio, data["ratio"], (0.0, math.inf)),
        "energy_uj_per_sample": _bounded(Interval, data["energy_uj_per_sample"], missing),
        "withheld": tuple(instance(Withheld, part) for part in data["withheld"]),
        "tags": tuple(data["tags"]),
        "notes": tuple(data["notes"]),
    }
    return instance(ScenarioResult, {**data, **parts})


def _bounded(kind: Any, data: dict[str, Any] | None, missing: tuple[float, float]) -> Any:
    """An interval with the bounds that null stands for."""
    if data is not None and data["high"] is None:
        data = {**data, "low": missing[0], "high": missing[1]}
    return optional(kind, data)


def _figure(name: str, cell: Callable[[Interval | None], Cell]) -> Callable[[ScenarioResult], Cell]:
    return lambda result: cell(result.figures[name])


def _percentile(q: float) -> tuple[str, Callable[[ScenarioResult], Cell]]:
    def cell(result: ScenarioResult) -> Cell:
        withheld = {part.percentile: part for part in result.withheld}
        return percentile_cell(result.figures[f"p{q}_ns"], withheld.get(q))

    return f"p{q}", cell


RATIO = ("time / {base}", lambda result: ratio_cell(result.ratio))
HOW = ("query", lambda result: (result.how, ""))

# Scenario -> the columns of its table after the arm's name, each with what it shows of a result.
COLUMNS: dict[str, tuple[tuple[str, Callable[[ScenarioResult], Cell]], ...]] = {
    MULTI_STREAM: (HOW, _percentile(50), _percentile(90), _percentile(99), RATIO),
    OFFLINE: (
        HOW,
        ("samples", _figure("samples_per_s", rate_cell)),
        ("energy a sample", lambda result: energy_cell(result.energy_uj_per_sample)),
        RATIO,
    ),
    SERVER: (
        ("offered", _figure("offered_per_s", rate_cell)),
        ("served", _figure("served_per_s", rate_cell)),
        ("busy", _figure("utilisation", share_cell)),
        ("late", _figure("late", share_cell)),
        _percentile(50),
        _percentile(90),
        _percentile(99),
    ),
    COLD_START: (
        ("import", _figure("import_ns", duration_cell)),
        ("load", _figure("load_ns", duration_cell)),
        ("first run", _figure("first_inference_ns", duration_cell)),
        ("total", _figure("total_ns", duration_cell)),
        ("peak RSS", lambda result: (size(figure.value) if (figure := result.figures["peak_rss_bytes"]) else "-", "")),
    ),
}
