"""How results are shown: what a build tried and ships, what a bundle holds, what a benchmark found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.units import accuracy_cell, duration, size
from edgekit.bundle import FORMAT, Bundle, TargetEntry
from edgekit.cli.output import stdout, table

if TYPE_CHECKING:
    from edgekit.bench.report import Report
    from edgekit.bench.scenarios.report import ScenarioReport
    from edgekit.building.variants import Candidate
    from edgekit.tensors import State


def candidates_json(bundle: Bundle) -> dict[str, Any]:
    """What a build decided, by target."""
    return {
        "bundle": str(bundle.path),
        "sha256": bundle.sha256,
        "size_bytes": bundle.path.stat().st_size,
        "targets": {entry.target.name: list(entry.candidates) for entry in bundle.manifest.targets},
    }


def show_candidates(bundle: Bundle) -> None:
    """A table for each target: every variant that was tried, with its verdict."""
    for entry in bundle.manifest.targets:
        rows = [dict(row) for row in entry.candidates]
        table(
            f"{bundle.path} ({size(bundle.path.stat().st_size)}): target {entry.target.name}",
            ["variant", "", "p50", "/ float", "accuracy", "drop, up to", "size", "executed", "why"],
            [_candidate_cells(row) for row in _in_order(rows)],
        )
        for line in (*_searches(rows), *_untried(rows), *_floors(rows, entry)):
            click.echo(line)


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was compiled: what ships, what was measured by its latency, and the rest."""
    return sorted((row for row in rows if row["compiled"]), key=lambda row: (not row["ships"], _p50_ns(row)))


def _p50_ns(row: Mapping[str, Any]) -> float:
    p50 = (row["latency"] or {}).get("p50_ns")
    return math.inf if p50 is None else float(p50["value"])


def _candidate_cells(row: dict[str, Any]) -> list[str]:
    accuracy, drop, ratio = row["accuracy"], row["drop"], row.get("float_ratio")
    p50_ns = _p50_ns(row)
    return [
        row["name"],
        "ships" if row["ships"] else "front" if row.get("on_front") else "",
        duration(p50_ns) if math.isfinite(p50_ns) else "-",
        f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high'] or math.inf:.2f}]" if ratio else "-",
        " ".join(accuracy_cell(Accuracy(**accuracy) if accuracy else None)),
        f"{drop['value']:+.4f}, {drop['upper95']:+.4f}" if drop else "-",
        size(row["size_bytes"]) if row["size_bytes"] else "-",
        (row.get("executed") or "-").partition(";")[0],
        row["reason"],
    ]


def _searches(rows: list[dict[str, Any]]) -> list[str]:
    return [f"search from {row['name']}: {row['search']['outcome']}" for row in rows if row.get("search")]


def _untried(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each reason that something was not compiled."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not row["compiled"]:
            reasons.setdefault(row["reason"], []).append(row["name"])
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _floors(rows: list[dict[str, Any]], entry: TargetEntry) -> list[str]:
    floors = {row["precision"].partition("+")[0]: row["floor_ns"] for row in rows if row.get("floor_ns")}
    if not floors:
        return []
    times = ", ".join(f"{duration(floor)} in {precision}" for precision, floor in floors.items())
    return [f"floor: {times}, the arithmetic alone at the profile's peak rates ({entry.target.peak.source})"]


def list_json(listed: Mapping[str, Sequence[Candidate]]) -> dict[str, Any]:
    """What a build would try, by target."""
    return {
        name: [{"name": each.variant.name, "what": each.what, "excluded": each.excluded or None} for each in found]
        for name, found in listed.items()
    }


def show_list(listed: Mapping[str, Sequence[Candidate]]) -> None:
    """A table for each target: what a build would try, and why it would not try the rest."""
    for name, found in listed.items():
        rows = [[each.variant.name, "-" if each.excluded else "tried", each.what, each.excluded] for each in found]
        table(f"target {name}", ["variant", "", "what", "why not"], rows)
    click.echo(
        "Of those that differ in their ranges alone, the one with the least noise is compiled, scored and timed."
    )


def _state_line(name: str, held: State) -> str:
    least, most = min(held.delays), max(held.delays)
    steps = f"{least} to {most} steps" if least != most else f"{most} step{'s' if most > 1 else ''}"
    return f"{name}: {held.output} of {steps} before{', by row' if isinstance(held.delay, tuple) else ''}"


def show_contents(bundle: Bundle) -> None:
    """What the manifest says, for people."""
    manifest = bundle.manifest
    facts = [
        [
            "recipe",
            f"{manifest.recipe.name}, metric {manifest.recipe.metric}, budget {manifest.recipe.max_drop:g}",
        ],
        *[["input", str(spec)] for spec in manifest.inputs],
        *[["output", str(spec)] for spec in manifest.outputs],
        *[["state", _state_line(name, held)] for name, held in manifest.state.items()],
        ["golden samples", str(manifest.golden_samples)],
        [
            "made by",
            f"edgekit {manifest.edgekit}; " + ", ".join(f"{k} {v}" for k, v in manifest.created_by.items()),
        ],
        *[["source", f"{name} {digest}"] for name, digest in manifest.source.items()],
        ["bundle", f"sha256 {bundle.sha256}, {size(bundle.path.stat().st_size)}, format {FORMAT}"],
    ]
    table(str(bundle.path), ["", ""], facts)
    for entry in manifest.targets:
        rows = [
            [
                p.name,
                p.backend,
                p.precision,
                size(sum(manifest.files[path].size_bytes for path in p.files.values())),
                p.reason,
            ]
            for p in entry.payloads
        ]
        table(
            f"payloads for {entry.target.name}, best first",
            ["payload", "backend", "precision", "size", "why"],
            rows,
        )
    show_candidates(bundle)


def report_data(report: Report | ScenarioReport) -> dict[str, Any]:
    """A benchmark's report as JSON."""
    from edgekit.bench.report import Report, report_to_json
    from edgekit.bench.scenarios.report import scenario_to_json

    return report_to_json(report) if isinstance(report, Report) else scenario_to_json(report)


def show_reports(reports: Sequence[Report | ScenarioReport]) -> None:
    """The table of each benchmark report."""
    from edgekit.bench.render import terminal_table
    from edgekit.bench.report import Report
    from edgekit.bench.scenarios.report import scenario_table

    for report in reports:
        stdout().print(terminal_table(report) if isinstance(report, Report) else scenario_table(report))
