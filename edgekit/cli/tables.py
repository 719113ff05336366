"""How results are shown: what a build tried and ships, what a bundle holds, what a benchmark found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.units import accuracy_cell, duration, size
from edgekit.bundle import FORMAT, Bundle, TargetEntry
from edgekit.cli.output import stdout, table

if TYPE_CHECKING:
    from edgekit.bench.report import Report
    from edgekit.bench.scenarios.report import ScenarioReport


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
        table(
            f"{bundle.path} ({size(bundle.path.stat().st_size)}): target {entry.target.name}",
            ["variant", "", "p50", "floor", "accuracy", "drop, up to (95 %)", "size", "why"],
            [_candidate_cells(row) for row in _ships_first(entry)],
        )
        if source := entry.target.peak.source:
            click.echo(f"floor: the arithmetic alone at the profile's peak rates ({source})")


def _ships_first(entry: TargetEntry) -> list[dict[str, Any]]:
    return sorted((dict(row) for row in entry.candidates), key=lambda row: not row["ships"])


def _candidate_cells(row: dict[str, Any]) -> list[str]:
    accuracy, drop = row["accuracy"], row["drop"]
    p50 = (row["latency"] or {}).get("p50_ns")
    return [
        row["name"],
        "ships" if row["ships"] else "",
        duration(p50["value"]) if p50 else "-",
        duration(row["floor_ns"]) if row["floor_ns"] else "-",
        " ".join(accuracy_cell(Accuracy(**accuracy) if accuracy else None)),
        f"{drop['value']:+.4f}, {drop['upper95']:+.4f}" if drop else "-",
        size(row["size_bytes"]),
        row["reason"],
    ]


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
