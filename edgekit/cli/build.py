"""`edgekit build`: from a recipe or an ONNX file to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.output import emit, json_option, progress_bar

if TYPE_CHECKING:
    from edgekit.recipes import Recipe

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("build")
@click.argument("recipe", metavar="RECIPE|MODEL.onnx")
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="A target name or TOML file; repeat for several. Default: this machine's CPU.",
)
@click.option("-o", "--output", type=FILE, help="The bundle to write.")
@click.option(
    "--only",
    multiple=True,
    metavar="WORD",
    help="Try only variants with this word in their name (f32, openvino, nncf, ...); repeat for several.",
)
@click.option(
    "--explain", is_flag=True, help="List what would be tried, and why the rest would not, and build nothing."
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Begin no further variant after so long; those begun are still scored and timed.",
)
@click.option(
    "--alternatives",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Carry so many of the next fastest variants too, for `edgekit tune` to choose from on the device.",
)
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Fresh sessions of each variant while timing; below 6 there is no interval, and nothing compressed ships.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the order in which variants are timed, and of the samples that guide the search.",
)
@click.option("--fresh", is_flag=True, help="Take nothing from what earlier builds have left in the cache.")
@click.option("--calibration", type=FILE, help="For MODEL.onnx: an .npz with real samples of each input.")
@click.option(
    "--evaluation",
    type=FILE,
    help="For MODEL.onnx: the same with an array `target`; int8 ships only with it.",
)
@click.option(
    "--metric",
    help="For MODEL.onnx: top1, negative_mae, pkg.module:function or path/to/file.py:function.  [default: top1]",
)
@click.option("--max-drop", type=float, help="For MODEL.onnx: how much of the metric may be lost.  [default: 0.01]")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="DIM=LOW:HIGH",
    help="For MODEL.onnx: sizes of a dynamic dimension.",
)
@json_option
def command(
    recipe: str,
    targets: tuple[str, ...],
    output: Path | None,
    only: tuple[str, ...],
    explain: bool,
    max_seconds: float | None,
    alternatives: int,
    sessions: int,
    seed: int,
    fresh: bool,
    calibration: Path | None,
    evaluation: Path | None,
    metric: str | None,
    max_drop: float | None,
    ranges: tuple[str, ...],
    json_path: str | None,
) -> None:
    """Export, check parity, quantize, compile, measure, and bundle what is fastest within the accuracy budget."""
    from edgekit.build import Settings, build, list_candidates
    from edgekit.cli.tables import candidates_json, list_json, show_candidates, show_list
    from edgekit.recipes import load_recipe
    from edgekit.target import load_target

    if output is None and not explain:
        raise click.UsageError("Missing option '-o': the bundle to write. --explain lists candidates without it.")
    loaded_targets = [load_target(name) for name in targets]
    if recipe.endswith(".onnx"):
        loaded = _onnx(Path(recipe), calibration, evaluation, metric=metric, max_drop=max_drop, ranges=ranges)
    elif calibration or evaluation or ranges or metric or max_drop is not None:
        raise click.UsageError(
            "--calibration, --evaluation, --metric, --max-drop and --range are for ONNX files; a recipe brings its own"
        )
    else:
        loaded = load_recipe(recipe)
    if output is None or explain:
        with progress_bar() as progress:
            listed = list_candidates(loaded, loaded_targets, only=only, progress=progress)
        emit(list_json(listed), json_path, lambda: show_list(listed))
        return
    settings = Settings(only, sessions, max_seconds, alternatives, seed, fresh)
    warnings: list[str] = []
    with progress_bar() as progress:
        bundle = build(
            loaded, loaded_targets, output=output, settings=settings, progress=progress, warn=warnings.append
        )
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    emit(candidates_json(bundle), json_path, lambda: show_candidates(bundle))


def _onnx(
    path: Path,
    calibration: Path | None,
    evaluation: Path | None,
    *,
    metric: str | None,
    max_drop: float | None,
    ranges: tuple[str, ...],
) -> Recipe:
    from edgekit.building.onnx_recipe import onnx_recipe
    from edgekit.errors import CalibrationError

    if calibration is None:
        raise CalibrationError(
            f"{path} comes without data: give --calibration data.npz, an array of real samples for each input. "
            "Measuring and quantizing need them, and edgekit makes none up"
        )
    if evaluation is None and (metric or max_drop is not None):
        raise click.UsageError("--metric and --max-drop say how --evaluation is judged; give that too")
    return onnx_recipe(
        path,
        calibration=calibration,
        evaluation=evaluation,
        metric=(metric or "top1") if evaluation else None,
        max_drop=0.01 if max_drop is None else max_drop,
        ranges=dict(_range(text) for text in ranges),
    )


def _range(text: str) -> tuple[str, tuple[int, int]]:
    name, _, bounds = text.partition("=")
    low, _, high = bounds.partition(":")
    if not name or not low.isdigit() or not high.isdigit():
        raise click.UsageError(f"--range {text}: expected DIM=LOW:HIGH, for example batch=1:8")
    return name, (int(low), int(high))
