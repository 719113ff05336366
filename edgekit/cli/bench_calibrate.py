"""`edgekit bench calibrate`: what the gate can see on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.output import emit, json_option, progress_bar, table

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("calibrate")
@click.argument("subject", metavar="X.edgekit|MODEL.onnx|RECIPE")
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Of each slowdown.")
@click.option(
    "--slowdown",
    "slowdowns",
    multiple=True,
    type=click.FloatRange(min=0),
    help="A share to slow the model by: 0.05 is 5 %, 0 is identical; repeat.  [default: 0, 0.03, 0.05, 0.1]",
)
@click.option("--profile", default="pr", show_default=True, metavar="NAME", help="Thresholds and looks: pr or nightly.")
@click.option("--threshold", type=float, metavar="SHARE", help="Latency threshold in place of the profile's.")
@click.option("--data", type=FILE, help="An .npz with real samples of each input of MODEL.onnx.")
@click.option("--only", multiple=True, metavar="WORD", help="For RECIPE: build only variants with this word.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order of trials and arms.")
@json_option
def command(
    subject: str,
    trials: int,
    slowdowns: tuple[float, ...],
    profile: str,
    threshold: float | None,
    data: Path | None,
    only: tuple[str, ...],
    seed: int,
    json_path: str | None,
) -> None:
    """Run the gate on a model against itself, as it is and slowed by known shares, and say what it can tell apart.

    Prints false alarms, power, coverage of the true effect and time, and recommends a threshold.
    """
    from edgekit.bench.gate.calibrate import EFFECTS
    from edgekit.bench.gate.calibrate_render import COLUMNS, advice, calibration_rows, calibration_to_json
    from edgekit.calibration import calibrate_gate
    from edgekit.gate import profile_named
    from edgekit.gating.subjects import Data

    rules = profile_named(profile, {} if threshold is None else {"latency": threshold})
    with progress_bar() as progress:
        found = calibrate_gate(
            subject,
            rules,
            data=Data(samples=data),
            only=only,
            trials=trials,
            effects=slowdowns or EFFECTS,
            seed=seed,
            progress=progress,
        )

    def show() -> None:
        title = f"{subject}: latency threshold {rules.thresholds['latency'] * 100:g} %, looks {rules.looks}"
        table(title, COLUMNS, calibration_rows(found))
        click.echo("\n".join(advice(found)))

    emit(calibration_to_json(found), json_path, show)
