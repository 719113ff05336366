"""From a recipe to a bundle; `build` reads as the road that it walks."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edgekit.bench.accuracy import resolve_metric
from edgekit.bench.environment import fingerprint
from edgekit.bench.samples import read_samples
from edgekit.building.clock import Clock
from edgekit.building.graphs import Graphs
from edgekit.building.guide import Guide, make_guide
from edgekit.building.judge import Trial, judge, shipped
from edgekit.building.narrow import narrow
from edgekit.building.pack import BuiltTarget, Golden, write
from edgekit.building.samples import Samples, lay_out_samples
from edgekit.building.search import search, worth_a_search
from edgekit.building.source import FloatModel, float_model
from edgekit.building.store import open_store
from edgekit.building.trial import (
    Workbench,
    check_outputs,
    compile_variants,
    golden_outputs,
    inspect_trials,
    score_trials,
    time_trials,
)
from edgekit.building.variants import FLOAT, FLOAT_WORDS, Candidate, Variant, candidates, tried
from edgekit.bundle import Bundle
from edgekit.errors import BundleError
from edgekit.export import save_model
from edgekit.parity import onnx_function
from edgekit.progress import Progress, silent
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target, load_target, why_not_measurable
from edgekit.transforms.quantize import Calibration, Workpiece
from edgekit.transforms.quantize.lint import lint_calibration, raise_errors

SESSIONS = 8  # fresh sessions of each variant while timing: few that still settle ratios of some percent


@dataclass(frozen=True)
class Settings:
    """How much a build tries, and how.

    only: try only the variants that these words name, see `edgekit.building.variants`; the float reference always is.
    sessions: fresh sessions of each variant while timing. With fewer than 6 there is no interval, and then nothing
        compressed ships.
    max_seconds: after which no further variant is begun; those that are, are still scored and timed. None for no limit.
    alternatives: how many of the next fastest variants the bundle carries too, for `edgekit tune` to choose from.
    seed: of the order in which variants are timed, and of the samples that guide the search.
    fresh: make everything anew, and take nothing from what earlier builds have left in the cache.
    """

    only: Sequence[str] = ()
    sessions: int = SESSIONS
    max_seconds: float | None = None
    alternatives: int = 0
    seed: int = 0
    fresh: bool = False


def build(
    recipe: Recipe,
    targets: Sequence[Target] = (),
    *,
    output: Path,
    settings: Settings = Settings(),
    workspace: Path | None = None,
    progress: Progress = silent,
    warn: Callable[[str], None] = warnings.warn,
) -> Bundle:
    """Export, check, quantize, compile, measure, choose, and write the bundle `output`.

    targets: this machine's CPU if none.
    workspace: an empty folder to keep the intermediate files in (`float.onnx`, ...); a temporary one if None.
    warn: is told what is wrong with the calibration data, but not so wrong that it is an error.

    Raises:
        EdgekitError: one of its subclasses, see `edgekit.errors`; nothing is left at `output` then.
    """
    targets = tuple(targets) or (load_target("cpu"),)
    clock = Clock(settings.max_seconds)
    _check_output(output)
    if recipe.metric is not None:
        resolve_metric(recipe.metric)
    calibration = _calibration(recipe, targets, settings.only)
    with _folder(workspace) as folder, closing(open_store(fresh=settings.fresh)) as store:
        source = _float_model(recipe, progress)
        planned = {target: candidates(target, source.model, settings.only) for target in targets}
        samples = lay_out_samples(recipe, folder / "samples")
        if calibration is not None:
            _lint(recipe, source, calibration, samples, warn)
        save_model(source.model, folder / f"{FLOAT}.onnx")
        built = []
        for target, found in planned.items():
            graphs = Graphs(folder / f"{FLOAT}.onnx", _workpiece(calibration, target, folder), folder, store)
            bench = Workbench(
                recipe, source, target, samples, graphs, folder / target.name, store, clock, settings.sessions,
                settings.seed, progress,
            )  # fmt: skip
            built.append(_build_target(bench, found, alternatives=settings.alternatives))
        bundle = write(output, recipe, source, built)
        store.trim()
        return bundle


def list_candidates(
    recipe: Recipe, targets: Sequence[Target] = (), *, only: Sequence[str] = (), progress: Progress = silent
) -> dict[str, tuple[Candidate, ...]]:
    """All that a build might try, by the target's name, each with the reason if it would not. Exports the model."""
    source = _float_model(recipe, progress)
    chosen = tuple(targets) or (load_target("cpu"),)
    return {target.name: candidates(target, source.model, only) for target in chosen}


def _build_target(bench: Workbench, found: Sequence[Candidate], *, alternatives: int) -> BuiltTarget:
    """Try every planned variant and judge it; what cannot run here is compiled, and neither scored nor timed."""
    planned = tried(found)
    guide = _guide(bench) if any(variant.method != FLOAT for variant in planned) else None
    left_out = narrow(planned, bench.graphs, guide=guide, clock=bench.clock, progress=bench.report) if guide else {}
    trials = _try(bench, [variant for variant in planned if variant not in left_out])
    trials += [Trial(variant, {}, left_out=reason) for variant, reason in left_out.items()]
    verdicts, looked = judge(trials, bench.recipe.budget), None
    if guide is not None and (base := worth_a_search(trials, verdicts)) is not None:
        looked = search(bench, base, trials, guide=guide, max_drop=bench.recipe.budget.max_drop)
        if looked.variants:
            trials = _try(bench, looked.variants, beside=trials, guided_by=guide.scored)
            verdicts = judge(trials, bench.recipe.budget)
    ships = shipped(trials, verdicts, alternatives=alternatives)
    outputs = {trial.variant.name: golden_outputs(bench, trial) for trial, _ in ships}
    golden = Golden(list(read_samples(bench.samples.golden)), outputs)
    cpu = str(fingerprint()["cpu"])
    return BuiltTarget(bench.target, tuple(found), tuple(trials), verdicts, tuple(ships), golden, cpu, looked)


def _try(
    bench: Workbench, planned: Sequence[Variant], *, beside: Sequence[Trial] = (), guided_by: Sequence[int] = ()
) -> list[Trial]:
    """Compile, check, score, time and inspect the planned variants; `beside` is timed again, since only what is
    measured together can be compared."""
    trials = check_outputs(bench, compile_variants(bench, planned), beside=beside)
    if why_not_measurable(bench.target) is not None:
        return [*beside, *trials]
    scored = score_trials(bench, [*beside, *trials], guided_by=guided_by)
    return inspect_trials(bench, time_trials(bench, scored))


def _float_model(recipe: Recipe, progress: Progress) -> FloatModel:
    progress("export and parity", 0, 1)
    source = float_model(recipe)
    progress("export and parity", 1, 1)
    return source


def _calibration(recipe: Recipe, targets: Sequence[Target], only: Sequence[str]) -> Calibration | None:
    """Checked first of all: a build that must fail should not export for minutes before it does."""
    floats_alone = bool(only) and all(word in FLOAT_WORDS for word in only)
    if floats_alone or all(why_not_measurable(target) for target in targets):
        return None
    return Calibration(recipe)


def _lint(
    recipe: Recipe, source: FloatModel, calibration: Calibration, samples: Samples, warn: Callable[[str], None]
) -> None:
    """Refuse calibration data that would make quantized models meaningless, and warn of what may.

    Evaluation samples of a streaming model are not like calibration samples, which are of single steps, with state.
    """
    alike = None if recipe.state else samples.evaluation
    evaluation = () if alike is None else zip(read_samples(alike), samples.targets, strict=True)
    predict = onnx_function(source.model) if recipe.metric == "top1" else None
    findings = lint_calibration(calibration, recipe.input_specs, evaluation=evaluation, predict=predict)
    raise_errors(findings)
    for finding in findings:
        warn(f"recipe {recipe.name!r}: {finding.message}")


def _workpiece(calibration: Calibration | None, target: Target, folder: Path) -> Workpiece | None:
    if calibration is None:
        return None
    saturates = target.arch == "x86_64" and "avx512-vnni" not in target.isa
    return Workpiece(folder / f"{FLOAT}.onnx", calibration, saturates)


def _guide(bench: Workbench) -> Guide:
    assert bench.graphs.work is not None  # noqa: S101 - something is to be quantized
    folder = bench.folder / "guide"
    return make_guide(bench.recipe, bench.graphs.work, bench.samples, folder=folder, seed=bench.seed)


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
