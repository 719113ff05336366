"""`edgekit gate`: head against base, with an exit code for CI."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import emit, json_option, progress_bar, stdout, write_text

if TYPE_CHECKING:
    from edgekit.bench.gate.verdict import GateReport

FILE = click.Path(dir_okay=False, path_type=Path)
INCONCLUSIVE_CODES = {"report": 4, "fail": 3, "pass": 0}


@click.command("gate")
@click.argument("subjects", nargs=-1, required=True, metavar="[BASE] HEAD")
@click.option("--base-rev", metavar="REV", help="The base is HEAD as it is at this git revision; then give HEAD alone.")
@click.option("--head-rev", metavar="REV", help="Take HEAD from this revision, not from the working folder.")
@click.option(
    "--build-command",
    metavar="COMMAND",
    help="With a revision: a shell command that makes the model, run in each tree.",
)
@click.option("--profile", default="pr", show_default=True, metavar="NAME", help="Thresholds and looks: pr or nightly.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="METRIC=SHARE",
    help="Largest harmless change: latency=0.05 allows 5 %; repeat for latency, load, rss, size.",
)
@click.option("--max-drop", type=float, help="Accuracy that may be lost.  [default: the recipe's budget, else 0.01]")
@click.option(
    "--metric", "metrics", multiple=True, help="Judge this alone: latency, load, rss, size, accuracy; repeat."
)
@click.option("--data", type=FILE, help="An .npz with real samples of each input; with `target`, evaluation data too.")
@click.option("--score", default="top1", show_default=True, help="How --data with `target` is scored.")
@click.option("--recipe", "reference", help="The recipe that brings samples and evaluation data for bundles.")
@click.option("--only", multiple=True, metavar="WORD", help="For recipes: build only variants with this word.")
@click.option(
    "--on-inconclusive",
    type=click.Choice(sorted(INCONCLUSIVE_CODES)),
    default="report",
    show_default=True,
    help="Exit code where it could not be told: 4 to report it, 3 to fail, 0 to pass. The verdict stays what it is.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order in which the two run.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one step of a model may take: opening it, a chunk of calls, or the whole evaluation.",
)
@click.option("--markdown", type=FILE, help="Write the report as Markdown, for a comment or a step summary.")
@click.option("--junit", type=FILE, help="Write the verdicts as JUnit XML.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    subjects: tuple[str, ...],
    on_inconclusive: str,
    markdown: Path | None,
    junit: Path | None,
    json_path: str | None,
    **options: Any,
) -> None:
    """Judge HEAD against BASE: bundles, ONNX files, folders of them, recipes, or stored results.

    \b
    edgekit gate old.edgekit new.edgekit
    edgekit gate --base-rev main recipes/kws.py
    edgekit gate --base-rev main --build-command 'make model' models/kws.onnx --data samples.npz

    Exit codes: 0 pass, 1 error, 2 usage, 3 fail, 4 inconclusive, 5 incomparable or no baseline.
    """
    from edgekit.bench.gate import render as gate_render
    from edgekit.bench.gate.codec import gate_to_json
    from edgekit.bench.gate.verdict import EXIT_CODES, Outcome

    _refuse_lost_results(markdown, junit)
    report = _gate(subjects, **options)
    for path, text in ((markdown, gate_render.markdown), (junit, gate_render.junit)):
        if path is not None:
            write_text(path, text(report))
    emit(gate_to_json(report), json_path, lambda: stdout().print(gate_render.terminal(report)))
    codes = {**EXIT_CODES, Outcome.INCONCLUSIVE: INCONCLUSIVE_CODES[on_inconclusive]}
    ctx.exit(codes[report.outcome])


def _gate(
    subjects: tuple[str, ...],
    *,
    base_rev: str | None,
    head_rev: str | None,
    build_command: str | None,
    profile: str,
    thresholds: tuple[str, ...],
    max_drop: float | None,
    metrics: tuple[str, ...],
    data: Path | None,
    score: str,
    reference: str | None,
    only: tuple[str, ...],
    seed: int,
    timeout: float,
) -> GateReport:
    from edgekit.bench.gate.judge import METRICS, Rules
    from edgekit.gate import Making, Side, gate, profile_named
    from edgekit.gating.subjects import Data
    from edgekit.recipes import load_recipe

    base, head = _sides(subjects, base_rev)
    rules = Rules(profile_named(profile, dict(map(_threshold, thresholds))), metrics or METRICS, seed, timeout)
    samples = Data(load_recipe(reference) if reference else None, data, score, max_drop)
    with progress_bar() as progress:
        return gate(
            Side(base, base_rev or ""),
            Side(head, head_rev or ""),
            rules,
            data=samples,
            making=Making(build_command, only),
            command=shlex.join(["edgekit", *sys.argv[1:]]),
            progress=progress,
        )


def _sides(subjects: tuple[str, ...], base_rev: str | None) -> tuple[str, str]:
    if len(subjects) == 1 and base_rev:
        return subjects[0], subjects[0]
    if len(subjects) != 2:
        raise click.UsageError("give BASE and HEAD, or HEAD alone with --base-rev REV")
    return subjects[0], subjects[1]


def _threshold(text: str) -> tuple[str, float]:
    metric, _, share = text.partition("=")
    try:
        return metric, float(share)
    except ValueError:
        raise click.UsageError(f"--threshold {text}: expected METRIC=SHARE, for example latency=0.05") from None


def _refuse_lost_results(*paths: Path | None) -> None:
    """Before the work: a result that took minutes must have somewhere to go."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise click.BadParameter(f"{str(path)!r} is not in a folder that is there; create the folder first")
