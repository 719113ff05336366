"""From a recipe to a bundle; `build` reads as the road that it walks."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgekit.bench.accuracy import resolve_metric
from edgekit.bench.environment import fingerprint
from edgekit.bench.samples import read_samples
from edgekit.building.graphs import make_graphs
from edgekit.building.judge import judge, shipped
from edgekit.building.pack import BuiltTarget, Golden, write
from edgekit.building.samples import lay_out_samples
from edgekit.building.source import float_model
from edgekit.building.trial import Workbench, check_outputs, compile_variants, golden_outputs, score_trials, time_trials
from edgekit.building.variants import FLOAT, REFERENCE, Variant, variants
from edgekit.bundle import Bundle
from edgekit.errors import BundleError
from edgekit.progress import Progress, silent
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target, load_target, why_not_measurable
from edgekit.tensors import Array
from edgekit.transforms.quantize import calibration_samples

SESSIONS = 8  # fresh sessions of each variant while timing: few that still settle ratios of some percent


def build(
    recipe: Recipe,
    targets: Sequence[Target] = (),
    *,
    output: Path,
    only: Sequence[str] = (),
    sessions: int = SESSIONS,
    seed: int = 0,
    workspace: Path | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Export, check, quantize, compile, measure, choose, and write the bundle `output`.

    targets: this machine's CPU if none.
    only: try only the variants that these words name, see `edgekit.building.variants`; the float reference always is.
    sessions: fresh sessions of each variant while timing. With fewer than 6 there is no interval, and then nothing
        compressed ships.
    seed: of the order in which variants are timed.
    workspace: an empty folder to keep the intermediate files in (`float.onnx`, ...); a temporary one if None.

    Raises:
        EdgekitError: one of its subclasses, see `edgekit.errors`; nothing is left at `output` then.
    """
    targets = tuple(targets) or (load_target("cpu"),)
    planned = {target: _plan(target, only) for target in targets}
    _check_output(output)
    if recipe.metric is not None:
        resolve_metric(recipe.metric)
    calibration = _calibration(recipe, planned.values())
    with _folder(workspace) as folder:
        progress("export and parity", 0, 1)
        source = float_model(recipe)
        progress("export and parity", 1, 1)
        samples = lay_out_samples(recipe, folder / "samples")
        built = []
        for target, plan in planned.items():
            graphs = make_graphs(source, calibration, plan, target=target, folder=folder, progress=progress)
            place = folder / target.name
            bench = Workbench(recipe, source, target, samples, graphs, place, sessions, seed, progress)
            built.append(_build_target(bench, plan))
        return write(output, recipe, source, built)


def _build_target(bench: Workbench, planned: Sequence[Variant]) -> BuiltTarget:
    """Try every planned variant and judge it; what cannot run here is compiled, and neither scored nor timed."""
    trials = compile_variants(bench, planned)
    trials = check_outputs(bench, trials)
    if why_not_measurable(bench.target) is None:
        trials = time_trials(bench, score_trials(bench, trials))
    verdicts = judge(trials, bench.recipe.budget)
    outputs = {trial.variant.name: golden_outputs(bench, trial) for trial, _ in shipped(trials, verdicts)}
    golden = Golden(list(read_samples(bench.samples.golden)), outputs)
    return BuiltTarget(bench.target, tuple(trials), verdicts, golden, str(fingerprint()["cpu"]))


def _plan(target: Target, only: Sequence[str]) -> tuple[Variant, ...]:
    """The variants to try; f32 alone where the target cannot be measured here: nothing else could be shown faster."""
    planned = variants(target, only)
    if why_not_measurable(target):
        planned = tuple(variant for variant in planned if variant.precision == "f32")
    return planned if REFERENCE in planned else (REFERENCE, *planned)


def _calibration(recipe: Recipe, plans: Iterable[tuple[Variant, ...]]) -> list[dict[str, Array]]:
    """Checked first of all: a build that must fail should not export for minutes before it does."""
    if any(variant.method != FLOAT for plan in plans for variant in plan):
        return calibration_samples(recipe)
    return []


def _check_output(output: Path) -> None:
    if not output.parent.is_dir():
        raise BundleError(f"the folder {output.parent} does not exist; make it, or give another place with -o")
    if output.is_dir():
        raise BundleError(f"{output} is a folder; give the name of a file in it with -o")
    if not os.access(output.parent, os.W_OK):
        raise BundleError(f"the folder {output.parent} cannot be written to; give another place with -o")


@contextlib.contextmanager
def _folder(workspace: Path | None) -> Iterator[Path]:
    if workspace is not None:
        workspace.mkdir(parents=True, exist_ok=True)
        if any(workspace.iterdir()):
            raise BundleError(
                f"the workspace {workspace} is not empty; another build's graphs could be taken for this one's"
            )
        yield workspace
        return
    with tempfile.TemporaryDirectory(prefix="edgekit-build-") as folder:
        yield Path(folder)
