"""A bundle against the tools that its users would take otherwise: same inputs, one interleaved run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edgekit.bench.accuracy import Accuracy, accuracy, score_samples
from edgekit.bench.arms import Arm
from edgekit.bench.energy import unavailable_reason
from edgekit.bench.environment import fingerprint
from edgekit.bench.measure import measure, run_outputs
from edgekit.bench.report import Report, build_report
from edgekit.bench.samples import read_samples
from edgekit.bench.scenarios.figures import COLD_START, OFFLINE, Plan, ScenarioResult, batch_limit
from edgekit.bench.scenarios.report import ScenarioReport, build_scenario_report
from edgekit.bench.scenarios.run import run_scenario
from edgekit.building.samples import Samples
from edgekit.bundle import Bundle, open_bundle
from edgekit.contest import (
    DEFAULT_PEERS,
    Contest,
    arms_of,
    context_notes,
    load_notes,
    not_measured,
    samples_of,
    timed,
)
from edgekit.errors import MeasurementError
from edgekit.progress import Progress, silent

__all__ = ["DEFAULT_PEERS", "Contest", "benchmark", "benchmark_scenario"]

T = TypeVar("T")


def benchmark(
    path: Path,
    contest: Contest,
    *,
    sessions: int = 8,
    rounds: int | None = None,
    cold_sessions: int = 5,
    seed: int = 0,
    progress: Progress = silent,
    timeout_s: float = 600.0,
) -> Report:
    """Time the bundle and its peers, interleaved, at the smallest shape, on varied inputs, and score them.

    A peer that fails is left out, and the report's notes say why.

    sessions, rounds, cold_sessions: see `edgekit.bench.measure.measure`.
    timeout_s: longest that one step of an arm may take: opening it, a chunk of calls, or the whole evaluation.

    Raises:
        BundleError: the bundle cannot be read.
        MeasurementError: an unknown peer, a LiteRT file that cannot be read, or a bundle that cannot be run.
    """
    bundle = open_bundle(path)
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder = Path(name)
        samples = samples_of(bundle, contest, folder)
        arms, notes = arms_of(bundle, contest, folder)
        run = partial(run_outputs, timeout_s=timeout_s)
        accuracies, failed = _accuracies(arms, contest, samples, run=run, folder=folder, progress=progress)
        timed_arms, feeds = timed(arms, contest, samples, folder)
        time = partial(
            measure,
            feeds_folder=feeds,
            sessions=sessions,
            rounds=rounds,
            cold_sessions=cold_sessions,
            seed=seed,
            progress=lambda done, total: progress("latency", done, total),
            timeout_s=timeout_s,
        )
        measurements, failed = _without_failing(timed_arms, failed, time)
    return build_report(
        f"{bundle.manifest.recipe.name}: {path.name} against its peers",
        measurements,
        base=arms[0].name,
        fingerprint=fingerprint(),
        accuracies={name: found for name, found in accuracies.items() if name not in failed},
        notes=[*context_notes(bundle, contest), *notes, *_failure_notes(failed)],
    )


def benchmark_scenario(
    path: Path, contest: Contest, plan: Plan, *, progress: Progress = silent, timeout_s: float = 600.0
) -> ScenarioReport:
    """Run the bundle and its peers in the scenario of `plan`, on varied inputs of the smallest size.

    A peer that fails is left out, and the report's notes say why.

    timeout_s: longest that one step of an arm may take.

    Raises:
        BundleError: the bundle cannot be read.
        MeasurementError: an unknown peer, a LiteRT file that cannot be read, or a bundle that cannot be run.
    """
    bundle = open_bundle(path)
    plan = replace(plan, most_in_batch=batch_limit(bundle.manifest.inputs, bundle.manifest.outputs))
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder = Path(name)
        samples = samples_of(bundle, contest, folder)
        arms, notes = arms_of(bundle, contest, folder)
        timed_arms, feeds = timed(arms, contest, samples, folder)
        run = partial(
            run_scenario,
            plan,
            feeds_folder=feeds,
            progress=lambda done, total: progress(plan.scenario, done, total),
            timeout_s=timeout_s,
        )
        results, failed = _without_failing(timed_arms, {}, run)
    return build_scenario_report(
        f"{bundle.manifest.recipe.name}: {path.name} against its peers, {plan.scenario}",
        plan,
        results=results,
        processing=contest.processing,
        fingerprint=fingerprint(),
        notes=[*_scenario_notes(bundle, plan, results), *notes, *_failure_notes(failed)],
    )


def _scenario_notes(bundle: Bundle, plan: Plan, results: Sequence[ScenarioResult]) -> list[str]:
    return load_notes(bundle) if plan.scenario == COLD_START else _energy_notes(plan, results)


def _energy_notes(plan: Plan, results: Sequence[ScenarioResult]) -> list[str]:
    if plan.scenario != OFFLINE:
        return []
    if any(result.energy_uj_per_sample for result in results):
        return ["Energy is that of the whole CPU package, with all else that runs on it."]
    return [f"Energy is unavailable: {unavailable_reason() or 'the counter did not move while it was measured'}."]


def _failure_notes(failed: Mapping[str, MeasurementError]) -> list[str]:
    return [not_measured(name, error) for name, error in failed.items()]


Failures = dict[str, MeasurementError]
"""By the name of the arm that failed."""


def _accuracies(
    arms: Sequence[Arm],
    contest: Contest,
    samples: Samples,
    *,
    run: Callable[[Arm, Path, Path], int],
    folder: Path,
    progress: Progress,
) -> tuple[dict[str, Accuracy], Failures]:
    """The accuracy of each arm by its name, and the peers that could not be run or scored."""
    found: dict[str, Accuracy] = {}
    failed: Failures = {}
    if samples.evaluation is None or contest.recipe is None or contest.recipe.metric is None:
        return found, failed
    for done, arm in enumerate(arms):
        progress("accuracy", done, len(arms))
        out = folder / f"outputs-{done}"
        try:
            run(arm, samples.evaluation, out)
            scores = score_samples(contest.recipe.metric, read_samples(out), samples.targets)
        except MeasurementError as error:
            if arm is arms[0]:
                raise
            failed[arm.name] = error
            continue
        found[arm.name] = accuracy(scores, str(contest.recipe.metric_name))
    progress("accuracy", len(arms), len(arms))
    return found, failed


def _without_failing(
    arms: Sequence[Arm], failed: Failures, time: Callable[[Sequence[Arm]], tuple[T, ...]]
) -> tuple[tuple[T, ...], Failures]:
    """What was measured of the arms that have not failed, and all that have failed by then.

    Where a peer fails the others begin anew: only what was measured interleaved can be compared.
    """
    failed = dict(failed)
    while True:
        running = [arm for arm in arms if arm.name not in failed]
        try:
            return time(running), failed
        except MeasurementError as error:
            if error.arm not in {arm.name for arm in running[1:]}:
                raise
            failed[error.arm] = error
