"""Trying variants: compile each, score it on the evaluation data, and time all of them against each other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.backends import compile_model
from edgekit.bench.accuracy import accuracy, paired_drop, score_samples
from edgekit.bench.arms import Arm
from edgekit.bench.measure import measure, run_outputs
from edgekit.bench.samples import read_samples
from edgekit.bench.statistics import Floats
from edgekit.building.graphs import Graphs
from edgekit.building.judge import Trial
from edgekit.building.samples import Samples
from edgekit.building.source import FloatModel
from edgekit.building.variants import REFERENCE, Variant
from edgekit.errors import BackendError, MeasurementError
from edgekit.parity import deviation
from edgekit.progress import Progress
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target
from edgekit.tensors import Array


@dataclass(frozen=True)
class Workbench:
    """What it takes to try variants for one target.

    folder: for compiled files and outputs. sessions: fresh sessions of each variant while timing. seed: of their order.
    """

    recipe: Recipe
    source: FloatModel
    target: Target
    samples: Samples
    graphs: Graphs
    folder: Path
    sessions: int
    seed: int
    progress: Progress

    def report(self, step: str, done: int, total: int) -> None:
        """Tell how far a step of this target is."""
        self.progress(f"{self.target.name}: {step}", done, total)


def compile_variants(bench: Workbench, planned: Sequence[Variant]) -> list[Trial]:
    """Compile each variant; a refusal is recorded in its trial, to be reported with the others."""
    trials = []
    for done, variant in enumerate(planned):
        bench.report("compile", done, len(planned))
        trials.append(_compile(bench, variant))
    bench.report("compile", len(planned), len(planned))
    return trials


def _compile(bench: Workbench, variant: Variant) -> Trial:
    if variant.method in bench.graphs.failures:
        return Trial(variant, {}, failure=bench.graphs.failures[variant.method])
    folder = bench.folder / variant.name
    folder.mkdir(parents=True)
    try:
        return Trial(variant, compile_model(variant.backend, bench.graphs.files[variant.method], folder))
    except BackendError as error:
        return Trial(variant, {}, failure=str(error))


def check_outputs(bench: Workbench, trials: Sequence[Trial]) -> list[Trial]:
    """Parity on this target, on the golden samples, which come in two sizes.

    An f32 variant that does not compute what the reference computes has failed, and so has a compressed one that gives
    other shapes, or NaN or infinity where the reference does not.
    """
    reference = next(trial for trial in trials if trial.variant == REFERENCE)
    if reference.failure:
        return list(trials)
    expected = golden_outputs(bench, reference)
    return [_checked(bench, trial, expected) for trial in trials]


def _checked(bench: Workbench, trial: Trial, reference: Sequence[Mapping[str, Array]]) -> Trial:
    if trial.failure:
        return trial
    try:
        outputs = golden_outputs(bench, trial)
    except MeasurementError as error:
        return replace(trial, failure=str(error))
    for got, expected in zip(outputs, reference, strict=True):
        for name in expected:
            error_size, tolerance = deviation(got[name], expected[name])
            allowed = tolerance if trial.variant.precision == "f32" else sys.float_info.max
            if not error_size <= allowed:
                reason = f"output {name!r} is off from {REFERENCE.name} by {error_size:.3g}; {allowed:.3g} is allowed"
                return replace(trial, failure=reason)
    return trial


def score_trials(bench: Workbench, trials: Sequence[Trial]) -> list[Trial]:
    """Accuracy of each trial, and its drop against the float reference on the same samples."""
    if bench.samples.evaluation is None:
        return list(trials)
    scores: dict[Variant, Floats] = {}
    failures: dict[Variant, str] = {}
    running = [trial for trial in trials if not trial.failure]
    for done, trial in enumerate(running):
        bench.report("accuracy", done, len(running))
        try:
            scores[trial.variant] = _scores(bench, trial)
        except MeasurementError as error:
            failures[trial.variant] = str(error)
    bench.report("accuracy", len(running), len(running))
    known = [replace(trial, failure=failures.get(trial.variant, trial.failure)) for trial in trials]
    if REFERENCE not in scores:
        return known
    return [_with_accuracy(bench, trial, scores, scores[REFERENCE]) for trial in known]


def _scores(bench: Workbench, trial: Trial) -> Floats:
    assert bench.samples.evaluation is not None  # noqa: S101 - score_trials has asked
    assert bench.recipe.metric is not None  # noqa: S101 - a recipe has both or neither
    out = bench.folder / f"outputs-{trial.variant.name}"
    run_outputs(_arm(bench, trial), bench.samples.evaluation, out)
    return score_samples(bench.recipe.metric, read_samples(out), bench.samples.targets)


def _with_accuracy(bench: Workbench, trial: Trial, scores: Mapping[Variant, Floats], reference: Floats) -> Trial:
    if trial.variant not in scores:
        return trial
    own, metric = scores[trial.variant], str(bench.recipe.metric_name)
    return replace(trial, accuracy=accuracy(own, metric), drop=paired_drop(reference, own))


def time_trials(bench: Workbench, trials: Sequence[Trial]) -> list[Trial]:
    """Latency of every trial that did not fail, measured interleaved at the smallest shape."""
    running = [trial for trial in trials if not trial.failure]
    try:
        measured = measure(
            [_arm(bench, trial) for trial in running],
            bench.samples.timing,
            sessions=bench.sessions,
            cold_sessions=0,
            seed=bench.seed,
            progress=lambda done, total: bench.report("latency", done, total),
        )
    except MeasurementError as error:
        broken = next((trial for trial in running if trial.variant.name == error.arm), None)
        if broken is None or broken.variant == REFERENCE:
            raise
        failed = replace(broken, failure=str(error))  # one variant's failure is a row of the table; the others go on
        return time_trials(bench, [failed if trial is broken else trial for trial in trials])
    by_variant = {trial.variant: found for trial, found in zip(running, measured, strict=True)}
    return [replace(trial, measurement=by_variant.get(trial.variant)) for trial in trials]


def golden_outputs(bench: Workbench, trial: Trial) -> list[dict[str, Array]]:
    """What `trial` computes from the golden samples, run once.

    Raises:
        MeasurementError: it cannot be opened or run.
    """
    out = bench.folder / f"golden-{trial.variant.name}"
    if not out.exists():
        run_outputs(_arm(bench, trial), bench.samples.golden, out)
    return list(read_samples(out))


def _arm(bench: Workbench, trial: Trial) -> Arm:
    """The benchmark arm that runs a compiled trial through edgekit's own runtime."""
    return Arm(
        name=trial.variant.name,
        kind="model",
        precision=trial.variant.precision,
        files={role: str(path.resolve()) for role, path in trial.files.items()},
        threads=bench.target.threads,
        backend=trial.variant.backend,
        inputs=bench.source.inputs,
        outputs=bench.source.outputs,
    )
