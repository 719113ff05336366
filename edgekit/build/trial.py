"""Trying variants: compile each, score it on the evaluation data, and time all of them against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.backends import compile_model
from edgekit.bench.accuracy import Floats, accuracy, paired_drop, score_samples
from edgekit.bench.arms import Arm
from edgekit.bench.measure import measure, run_outputs
from edgekit.bench.samples import read_samples, write_samples
from edgekit.build.judge import Trial
from edgekit.build.source import FloatModel
from edgekit.build.variants import REFERENCE, Variant
from edgekit.errors import BackendError, MeasurementError
from edgekit.feeds import feeds_at, real_feeds
from edgekit.progress import Progress
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target
from edgekit.tensors import Array, check_feeds, smallest_sizes

GOLDEN_SAMPLES = 3
TIMED_SAMPLES = 16


@dataclass(frozen=True)
class Samples:
    """The recipe's real data, laid out for worker processes, once for a build.

    evaluation: folder of feeds, or None where the recipe has no evaluation; targets: one for each of them.
    timing: feeds at the smallest shape, for latency. golden: feeds of the golden samples.
    """

    evaluation: Path | None
    targets: tuple[Any, ...]
    timing: Path
    golden: Path


@dataclass(frozen=True)
class Graphs:
    """The ONNX files of a target, by method; `failures` has the reason for each method that gave none."""

    files: Mapping[str, Path]
    failures: Mapping[str, str]


def lay_out_samples(recipe: Recipe, folder: Path) -> Samples:
    """Write the recipe's evaluation data, and the inputs for timing and golden samples, below `folder`.

    Raises:
        TensorError: a sample is not what the recipe's inputs state.
        MeasurementError: the evaluation is empty.
    """
    specs, targets = recipe.input_specs, []

    def evaluation() -> Any:
        for feeds, target in recipe.evaluation() if recipe.evaluation else ():
            targets.append(target)
            yield check_feeds(specs, feeds)

    if recipe.evaluation is not None:
        write_samples(folder / "evaluation", evaluation())
    real = real_feeds(recipe, TIMED_SAMPLES)
    smallest = smallest_sizes(specs)
    write_samples(folder / "timing", (feeds_at(specs, [feeds], smallest) for feeds in real))
    write_samples(folder / "golden", real[:GOLDEN_SAMPLES])
    return Samples(
        evaluation=folder / "evaluation" if recipe.evaluation is not None else None,
        targets=tuple(targets),
        timing=folder / "timing",
        golden=folder / "golden",
    )


def compile_variant(variant: Variant, graphs: Graphs, folder: Path) -> Trial:
    """Compile one variant below `folder`; a refusal is recorded in the trial, to be reported with the others."""
    if variant.method in graphs.failures:
        return Trial(variant, {}, failure=graphs.failures[variant.method])
    place = folder / variant.name
    place.mkdir(parents=True)
    try:
        return Trial(variant, compile_model(variant.backend, graphs.files[variant.method], place))
    except BackendError as error:
        return Trial(variant, {}, failure=str(error))


def score_trials(
    trials: Sequence[Trial],
    recipe: Recipe,
    source: FloatModel,
    *,
    target: Target,
    samples: Samples,
    folder: Path,
    progress: Progress,
) -> list[Trial]:
    """Accuracy of each trial, and its drop against the float reference on the same samples."""
    if samples.evaluation is None or recipe.metric is None:
        return list(trials)
    scored: dict[Variant, Trial] = {}
    reference: Floats | None = None
    ordered = sorted(trials, key=lambda trial: trial.variant != REFERENCE)
    for done, trial in enumerate(ordered):
        progress(f"{target.name}: accuracy", done, len(ordered))
        scored[trial.variant], scores = _score(
            trial, recipe, source, target=target, samples=samples, folder=folder
        )
        if scores is None:
            continue
        reference = scores if reference is None else reference
        scored[trial.variant] = replace(
            scored[trial.variant],
            accuracy=accuracy(scores, str(recipe.metric_name)),
            drop=paired_drop(reference, scores),
        )
    progress(f"{target.name}: accuracy", len(ordered), len(ordered))
    return [scored[trial.variant] for trial in trials]


def _score(
    trial: Trial, recipe: Recipe, source: FloatModel, *, target: Target, samples: Samples, folder: Path
) -> tuple[Trial, Floats | None]:
    if trial.failure or samples.evaluation is None or recipe.metric is None:
        return trial, None
    out = folder / f"outputs-{trial.variant.name}"
    try:
        run_outputs(arm_of(trial, source, target), samples.evaluation, out)
        return trial, score_samples(recipe.metric, read_samples(out), samples.targets)
    except MeasurementError as error:
        return replace(trial, failure=str(error)), None


def time_trials(
    trials: Sequence[Trial],
    source: FloatModel,
    *,
    target: Target,
    samples: Samples,
    sessions: int,
    seed: int,
    progress: Progress,
) -> list[Trial]:
    """Latency of every trial that did not fail, measured interleaved at the smallest shape."""
    running = [trial for trial in trials if not trial.failure]
    measured = measure(
        [arm_of(trial, source, target) for trial in running],
        samples.timing,
        sessions=sessions,
        seed=seed,
        progress=lambda done, total: progress(f"{target.name}: latency", done, total),
    )
    by_variant = {trial.variant: found for trial, found in zip(running, measured, strict=True)}
    return [replace(trial, measurement=by_variant.get(trial.variant)) for trial in trials]


def golden_outputs(
    trials: Sequence[Trial], source: FloatModel, *, target: Target, samples: Samples, folder: Path
) -> dict[str, list[dict[str, Array]]]:
    """What each of `trials` computes from the golden samples, by variant name."""
    found = {}
    for trial in trials:
        out = folder / f"golden-{trial.variant.name}"
        run_outputs(arm_of(trial, source, target), samples.golden, out)
        found[trial.variant.name] = list(read_samples(out))
    return found


def arm_of(trial: Trial, source: FloatModel, target: Target) -> Arm:
    """The benchmark arm that runs a compiled trial through edgekit's own runtime."""
    return Arm(
        name=trial.variant.name,
        kind="model",
        precision=trial.variant.precision,
        files={role: str(path.resolve()) for role, path in trial.files.items()},
        threads=target.threads,
        backend=trial.variant.backend,
        inputs=source.inputs,
        outputs=source.outputs,
    )
