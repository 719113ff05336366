"""`edgekit bench`: a bundle, or a recipe built on the spot, against the tools one would take otherwise."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import emit, json_option, progress_bar

if TYPE_CHECKING:
    from edgekit.bench.report import Report
    from edgekit.progress import Progress


@click.command("bench")
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
    "--sessions",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Fresh sessions of each arm; 6 are the fewest with an interval.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help="Interleaved rounds a session; by default as many as 0.15 s of the slowest arm's calls allow, from 3 to 12.",
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
@json_option
def command(
    subjects: tuple[str, ...],
    against: tuple[str, ...],
    reference: str | None,
    sessions: int,
    rounds: int | None,
    seed: int,
    timeout: float,
    json_path: str | None,
) -> None:
    """Latency, memory, size and accuracy of bundles or recipes and their peers, measured interleaved.

    A recipe is built first, and its int8 graphs are given to the peers too.
    """
    from edgekit.bench.report import report_to_json
    from edgekit.cli.tables import show_reports

    timing = {"sessions": sessions, "rounds": rounds, "seed": seed, "timeout_s": timeout}
    with progress_bar() as progress:
        reports = [_bench(subject, against, reference, timing, progress) for subject in subjects]
    data = [report_to_json(report) for report in reports]
    emit(data[0] if len(data) == 1 else data, json_path, lambda: show_reports(reports))


def _bench(
    subject: str, against: tuple[str, ...], reference: str | None, timing: dict[str, Any], progress: Progress
) -> Report:
    from edgekit.benchmark import DEFAULT_PEERS, Contest, benchmark
    from edgekit.build import build
    from edgekit.building.graphs import graphs_in
    from edgekit.recipes import load_recipe

    litert = tuple(Path(peer.removeprefix("litert=")) for peer in against if peer.startswith("litert="))
    peers = tuple(peer for peer in against if not peer.startswith("litert=")) or DEFAULT_PEERS
    if subject.endswith(".edgekit"):
        recipe = load_recipe(reference) if reference else None
        contest = Contest(peers, litert, recipe, reference or "")
        return benchmark(Path(subject), contest, progress=progress, **timing)
    recipe = load_recipe(subject)
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder = Path(name)
        bundle = build(recipe, output=folder / f"{recipe.name}.edgekit", workspace=folder / "work", progress=progress)
        contest = Contest(peers, litert, recipe, subject, graphs=graphs_in(folder / "work"))
        return benchmark(bundle.path, contest, progress=progress, **timing)
