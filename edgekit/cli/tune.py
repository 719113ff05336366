"""`edgekit tune`: which payload of a bundle is the fastest on this machine, remembered for `edgekit.load`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.output import emit, json_option, progress_bar, table

if TYPE_CHECKING:
    from edgekit.tuning import Contender, Tuning


@click.command("tune")
@click.argument("bundle", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--target", help="Which of the bundle's targets to tune; the best one for this machine by default.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Intra-op threads, for which alone the choice holds; the target profile's number by default.",
)
@click.option(
    "--sessions",
    type=click.IntRange(min=6),
    default=8,
    show_default=True,
    help="Fresh sessions of each payload; 6 are the fewest with an interval.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order in which payloads run.")
@click.option("--forget", is_flag=True, help="Forget the choice, and measure nothing.")
@json_option
def command(
    bundle: Path,
    target: str | None,
    threads: int | None,
    sessions: int,
    seed: int,
    forget: bool,
    json_path: str | None,
) -> None:
    """Measure the payloads of BUNDLE on this machine, and let edgekit.load run the fastest here.

    The bundle stays as it is: the choice is remembered in edgekit's cache folder, for this bundle, machine and number
    of threads. The first payload keeps its place unless another one is faster with its whole 95 % interval.
    """
    from edgekit import tuning

    if forget:
        found = tuning.forget(bundle, target=target, threads=threads)
        data = {"bundle": str(bundle), "forgotten": found}
        emit(data, json_path, lambda: click.echo(f"{bundle}: {_forgotten(found)}"))
        return
    with progress_bar() as progress:
        result = tuning.tune(bundle, target=target, threads=threads, sessions=sessions, seed=seed, progress=progress)
    emit(tuning.tuning_to_json(result), json_path, lambda: _show(result))


def _forgotten(found: bool) -> str:
    return "the choice is forgotten; edgekit.load keeps to the bundle's order" if found else "nothing was chosen for it"


def _show(result: Tuning) -> None:
    base = next(contender.name for contender in result.contenders if not contender.failure)
    table(
        f"{result.bundle}: target {result.target}, {_threads(result)}",
        ["payload", "precision", "p50", f"time / {base}", "outcome"],
        [_cells(contender) for contender in result.contenders],
    )
    click.echo(_conclusion(result))


def _cells(contender: Contender) -> list[str]:
    from edgekit.bench.units import NOTHING, duration_cell, ratio_cell
    from edgekit.tuning import p50_ns

    measured = contender.measurement is not None
    ratio = " ".join(filter(None, ratio_cell(contender.ratio))) if measured else NOTHING
    p50 = " ".join(filter(None, duration_cell(p50_ns(contender))))
    return [contender.name, contender.precision, p50, ratio, " ".join(contender.outcome.split())]


def _conclusion(result: Tuning) -> str:
    from edgekit.runtime.tuned import command as tune_command

    if result.remembered is None:
        return (
            f"There is nothing to choose: {result.chosen} is the only payload that works here; nothing is remembered."
        )
    again = tune_command(result.bundle, result.target, result.threads)
    return (
        f"From now on edgekit.load runs {result.chosen} on this machine, with {_threads(result)} "
        f"({result.remembered}). To go back to the bundle's order: {again} --forget"
    )


def _threads(result: Tuning) -> str:
    return f"{result.threads} thread{'s' if result.threads > 1 else ''}"
