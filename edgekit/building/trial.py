"""Trying variants: compile each, score it on the evaluation data, and time all of them against each other."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.backends import compile_model
from edgekit.backends.execution import read_execution
from edgekit.bench.accuracy import accuracy, paired_drop, score_samples
from edgekit.bench.arms import Arm
from edgekit.bench.measure import measure, run_outputs
from edgekit.bench.samples import read_samples
from edgekit.bench.statistics import Floats, timed_calls
from edgekit.building.clock import Clock
from edgekit.building.graphs import Graphs
from edgekit.building.judge import Trial
from edgekit.building.samples import Samples
from edgekit.building.source import FloatModel
from edgekit.building.store import Store, version_of
from edgekit.building.variants import FLOAT, REFERENCE, Variant
from edgekit.errors import BackendError, MeasurementError
from edgekit.files import sha256_of
from edgekit.machine import machine_key
from edgekit.parity import deviation
from edgekit.progress import Progress
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target
from edgekit.tensors import Array, state_to_json

PROFILED_NS = 300e6  # how long a variant is profiled, about
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Workbench:
    """What it takes to try variants for one target.

    folder: for compiled files and outputs. sessions: fresh sessions of each variant while timing. seed: of their order.
    store: what earlier builds have made. clock: until when new variants are begun.
    """

    recipe: Recipe
    source: FloatModel
    target: Target
    samples: Samples
    graphs: Graphs
    folder: Path
    store: Store
    clock: Clock
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
    if variant.method != FLOAT and (over := bench.clock.why_over()):
        return Trial(variant, {}, left_out=over)
    folder = bench.folder / variant.name
    folder.mkdir(parents=True)
    try:
        return Trial(variant, compile_model(variant.backend, bench.graphs.file(variant), folder))
    except BackendError as error:
        return Trial(variant, {}, failure=str(error))


def check_outputs(bench: Workbench, trials: Sequence[Trial], *, beside: Sequence[Trial] = ()) -> list[Trial]:
    """Parity on this target, on the golden samples, which come in two sizes.

    An f32 variant that does not compute what the reference computes has failed, and so has a compressed one that gives
    other shapes, or NaN or infinity where the reference does not. beside: what was checked before, the reference in it.
    """
    reference = next(trial for trial in (*trials, *beside) if trial.variant == REFERENCE)
    if reference.failure:
        return list(trials)
    expected = golden_outputs(bench, reference)
    return [_checked(bench, trial, expected) for trial in trials]


def _checked(bench: Workbench, trial: Trial, reference: Sequence[Mapping[str, Array]]) -> Trial:
    if not trial.runs:
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


def score_trials(bench: Workbench, trials: Sequence[Trial], *, guided_by: Sequence[int] = ()) -> list[Trial]:
    """Accuracy of each trial, and its drop against the float reference on the same samples.

    guided_by: positions of the samples that chose which layers a variant keeps in float: they do not judge it.
    """
    if bench.samples.evaluation is None:
        return list(trials)
    scores: dict[Variant, Floats] = {}
    failures: dict[Variant, str] = {}
    running = [trial for trial in trials if trial.runs]
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
    unseen = np.ones(len(bench.samples.targets), bool)
    unseen[list(guided_by)] = False
    return [_with_accuracy(bench, trial, scores, unseen) for trial in known]


def _scores(bench: Workbench, trial: Trial) -> Floats:
    """The score of each evaluation sample, remembered where the metric is one that has a name."""
    made_from = {
        "files": {role: sha256_of(path) for role, path in trial.files.items()},
        "runtime": [trial.variant.backend, version_of(trial.variant.backend), trial.variant.precision],
        "samples": bench.samples.evaluation_sha256,
        "state": state_to_json(bench.recipe.state),
        "metric": bench.recipe.metric_name,
        "machine": machine_key(),
    }
    if callable(bench.recipe.metric):
        return np.array(_run_and_score(bench, trial))
    return np.array(bench.store.value(made_from, make=lambda: _run_and_score(bench, trial)))


def _run_and_score(bench: Workbench, trial: Trial) -> list[float]:
    assert bench.samples.evaluation is not None  # noqa: S101 - score_trials has asked
    assert bench.recipe.metric is not None  # noqa: S101 - a recipe has both or neither
    out = bench.folder / f"outputs-{trial.variant.name}"
    run_outputs(_arm(bench, trial), bench.samples.evaluation, out)
    found: list[float] = score_samples(bench.recipe.metric, read_samples(out), bench.samples.targets).tolist()
    shutil.rmtree(out)
    return found


def _with_accuracy(bench: Workbench, trial: Trial, scores: Mapping[Variant, Floats], unseen: Mask) -> Trial:
    if trial.variant not in scores:
        return trial
    judged = unseen if trial.variant.kept_float else np.ones_like(unseen)
    own, reference = scores[trial.variant][judged], scores[REFERENCE][judged]
    metric = str(bench.recipe.metric_name)
    return replace(trial, accuracy=accuracy(own, metric), drop=paired_drop(reference, own))


def time_trials(bench: Workbench, trials: Sequence[Trial]) -> list[Trial]:
    """Latency of every trial that did not fail, measured interleaved at the smallest shape."""
    running = [trial for trial in trials if trial.runs]
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


def inspect_trials(bench: Workbench, trials: Sequence[Trial]) -> list[Trial]:
    """What the runtime really executes for each trial that runs, read from the runtime."""
    inspected = []
    for done, trial in enumerate(trials):
        bench.report("executed precision", done, len(trials))
        inspected.append(_inspected(bench, trial) if trial.runs and trial.measurement else trial)
    bench.report("executed precision", len(trials), len(trials))
    return inspected


def _inspected(bench: Workbench, trial: Trial) -> Trial:
    assert trial.measurement is not None  # noqa: S101 - inspect_trials has asked
    latency_ns = float(np.median(timed_calls(trial.measurement.calls_ns)))
    try:
        execution = read_execution(
            trial.variant.backend,
            trial.files,
            inputs=bench.source.inputs,
            outputs=bench.source.outputs,
            precision=trial.variant.precision,
            threads=bench.target.threads,
            feeds=read_samples(bench.samples.timing)[:4],
            calls=int(np.clip(PROFILED_NS / latency_ns, 5, 50)),
        )
    except BackendError as error:
        return replace(trial, not_inspected=str(error))
    return replace(trial, execution=execution)


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
        state=bench.recipe.state,
    )
