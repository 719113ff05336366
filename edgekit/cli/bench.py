"""`edgekit bench`: a bundle, or a recipe built on the spot, against the tools one would take otherwise."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import emit, json_option, progress_bar, refuse_no_folder, write_text

if TYPE_CHECKING:
    from edgekit.bench.report import Report
    from edgekit.bench.scenarios.report import ScenarioReport
    from edgekit.benchmark import Contest
    from edgekit.progress import Progress

SINGLE_STREAM, MULTI_STREAM, SERVER = "single-stream", "multi-stream", "server"
SUBCOMMANDS = {
    "history": "Stored results over time, and where they changed.",
    "calibrate": "What the gate can tell apart on this machine.",
}
SCENARIOS = (SINGLE_STREAM, MULTI_STREAM, "offline", SERVER, "cold-start")


class WithSubcommands(click.Command):
    """`edgekit bench X`, and what has a command of its own: `edgekit bench history` and `edgekit bench calibrate`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if not args or args[0] not in SUBCOMMANDS:
            return super().make_context(info_name, args, parent, **extra)
        command: click.Command = import_module(f"edgekit.cli.bench_{args[0]}").command
        return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands of their own"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.command("bench", cls=WithSubcommands)
@click.argument("subjects", nargs=-1, required=True, metavar="X.edgekit|RECIPE...")
@click.option(
    "--against",
    multiple=True,
    metavar="PEER",
    help="torch, torch-aot (AOTInductor), onnxruntime, openvino, or litert=FILE.tflite; repeat for several. "
    "Default: torch, onnxruntime, openvino.",
)
@click.option("--recipe", "reference", help="The recipe of a bundle: brings its torch model and evaluation data.")
@click.option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default=SINGLE_STREAM,
    show_default=True,
    help="What is measured: single calls, queries of several samples, throughput, arrivals in an open loop, or "
    "fresh processes.",
)
@click.option(
    "--streams", type=click.IntRange(min=1), metavar="N", help="Samples of a multi-stream query.  [default: 8]"
)
@click.option(
    "--qps",
    type=click.FloatRange(min=0, min_open=True),
    metavar="F",
    help="Queries that arrive in a second, with --scenario server; by default half of what the first arm can serve.",
)
@click.option(
    "--processing",
    type=click.Choice(("out", "in")),
    default="out",
    show_default=True,
    help="Whether the recipe's processing, before and after the network, is timed with it.",
)
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Fresh sessions of each arm; 6 are the fewest with an interval.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help="Interleaved rounds a session; by default as many as 0.15 s of the slowest arm's calls allow, from 3 to 8.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order in which arms run.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one step of an arm may take: opening it, a chunk of calls, or the whole evaluation.",
)
@click.option(
    "--pytest-benchmark",
    "pytest_path",
    metavar="FILE",
    callback=refuse_no_folder,
    help=f"Write the result, with every raw time, for pytest-benchmark compare FILE; with {SINGLE_STREAM} alone.",
)
@json_option
def command(
    subjects: tuple[str, ...],
    against: tuple[str, ...],
    reference: str | None,
    scenario: str,
    streams: int | None,
    qps: float | None,
    processing: str,
    sessions: int,
    rounds: int | None,
    seed: int,
    timeout: float,
    pytest_path: str | None,
    json_path: str | None,
) -> None:
    """Latency, memory, size and accuracy of bundles or recipes and their peers, measured interleaved.

    A recipe is built first, and its int8 graphs are given to the peers too. Accuracy comes with single-stream alone.
    """
    if streams is not None and scenario != MULTI_STREAM:
        raise click.UsageError(f"--streams goes with --scenario {MULTI_STREAM}")
    if qps is not None and scenario != SERVER:
        raise click.UsageError(f"--qps goes with --scenario {SERVER}")
    if pytest_path is not None and scenario != SINGLE_STREAM:
        raise click.UsageError(f"--pytest-benchmark goes with --scenario {SINGLE_STREAM}")
    from edgekit.cli.tables import report_data, show_reports

    timing = {"sessions": sessions, "rounds": rounds, "seed": seed}
    asked = {"scenario": scenario, "qps": qps, **({"streams": streams} if streams else {})}
    contests = [(subject, _contest(subject, against, reference, processing)) for subject in subjects]
    with progress_bar() as progress:
        measure = _measurer(timing, asked, timeout, progress)
        reports = [_bench(subject, contest, measure, progress) for subject, contest in contests]
    if pytest_path is not None:
        _write_pytest_benchmark(Path(pytest_path), reports)
    data = [report_data(report) for report in reports]
    emit(data[0] if len(data) == 1 else data, json_path, lambda: show_reports(reports))


def _write_pytest_benchmark(path: Path, reports: Sequence[Report | ScenarioReport]) -> None:
    from edgekit.bench.pytest_json import to_pytest_benchmark
    from edgekit.bench.report import Report

    document = to_pytest_benchmark([report for report in reports if isinstance(report, Report)])
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


Measure = Callable[[Path, "Contest"], "Report | ScenarioReport"]


def _measurer(timing: dict[str, Any], asked: dict[str, Any], timeout_s: float, progress: Progress) -> Measure:
    """What measures a bundle in the scenario that was asked for; a number that is no use is an error at once."""
    from edgekit.bench.scenarios.figures import Plan
    from edgekit.benchmark import benchmark, benchmark_scenario

    plan = Plan(**asked, **timing)
    if plan.scenario == SINGLE_STREAM:
        return lambda path, contest: benchmark(path, contest, progress=progress, timeout_s=timeout_s, **timing)
    return lambda path, contest: benchmark_scenario(path, contest, plan, progress=progress, timeout_s=timeout_s)


def _contest(subject: str, against: tuple[str, ...], reference: str | None, processing: str) -> Contest:
    from edgekit.benchmark import DEFAULT_PEERS, Contest
    from edgekit.recipes import load_recipe

    litert = tuple(Path(peer.removeprefix("litert=")) for peer in against if peer.startswith("litert="))
    peers = tuple(peer for peer in against if not peer.startswith("litert=")) or DEFAULT_PEERS
    named = reference if subject.endswith(".edgekit") else subject
    recipe = load_recipe(named) if named else None
    return Contest(peers, litert, recipe, named or "", processing=processing)


def _bench(subject: str, contest: Contest, measure: Measure, progress: Progress) -> Report | ScenarioReport:
    """Measure the bundle, or build the recipe and then measure what came of it."""
    from edgekit.build import build
    from edgekit.building.graphs import graphs_for_peers

    if subject.endswith(".edgekit") or contest.recipe is None:
        return measure(Path(subject), contest)
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder, recipe = Path(name), contest.recipe
        bundle = build(recipe, output=folder / f"{recipe.name}.edgekit", workspace=folder / "work", progress=progress)
        return measure(bundle.path, replace(contest, graphs=graphs_for_peers(folder / "work")))
