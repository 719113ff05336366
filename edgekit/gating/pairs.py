"""Brings two sides together: which models both have, what they are fed, and how they score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgekit.bench.accuracy import score_samples
from edgekit.bench.arms import Arm
from edgekit.bench.gate.judge import Pair
from edgekit.bench.gate.verdict import Outcome, Verdict
from edgekit.bench.measure import run_outputs
from edgekit.bench.samples import read_samples, write_samples
from edgekit.bench.statistics import Floats
from edgekit.building.samples import TIMED_SAMPLES, Samples, golden_samples, lay_out_samples
from edgekit.bundle import open_bundle
from edgekit.errors import MeasurementError
from edgekit.gating.subjects import Subject, arm_of, shipped_variant, tensors_of
from edgekit.progress import Progress
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec, max_deviation, smallest_sizes

MATCH = "match"
"""The metric of a verdict on whether the two can be compared at all."""

NOTED_DEVIATION = 1e-3


@dataclass
class Pairing:
    """What came of bringing the sides together: pairs to judge, verdicts on what has no pair, and notes."""

    pairs: list[Pair] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pair_up(
    base: Mapping[str, Subject],
    head: Mapping[str, Subject],
    *,
    folder: Path,
    max_drop: float | None,
    timeout_s: float,
    progress: Progress,
) -> Pairing:
    """Pairs of the models that both sides have, by name; a single model a side needs no common name.

    Raises:
        MeasurementError: a model cannot be run, or gives NaN or infinity.
    """
    if len(base) == len(head) == 1:
        name = next(iter(head))
        base = {name: next(iter(base.values()))}
    pairing = Pairing()
    for name in sorted({*base, *head}):
        if name not in base or name not in head:
            pairing.verdicts.append(_lonely(name, "base" if name in base else "head"))
        elif reason := _unlike(base[name], head[name]):
            pairing.verdicts.append(incomparable(name, reason))
        else:
            place = folder / f"{len(pairing.pairs)}"
            progress(f"{name}: outputs", 0, 1)
            _pair(pairing, name, base[name], head[name], folder=place, max_drop=max_drop, timeout_s=timeout_s)
            progress(f"{name}: outputs", 1, 1)
    return pairing


def incomparable(model: str, reason: str, metric: str = MATCH) -> Verdict:
    """A verdict on two things that cannot be compared."""
    return Verdict(model, metric, Outcome.INCOMPARABLE, None, 0.0, None, None, 0, 0.0, None, reason)


def _lonely(name: str, side: str) -> Verdict:
    other = {"base": "head", "head": "base"}[side]
    return incomparable(
        name, f"{name!r} is in the {side} alone: removed, added or renamed; give the {other} a model of that name"
    )


def _unlike(base: Subject, head: Subject) -> str:
    """Why the two do not take the same tensors; empty if they do."""
    (before, outputs_before), (after, outputs_after) = tensors_of(base), tensors_of(head)
    if set(before) != set(after):
        return f"the inputs are {sorted(before)} in the base and {sorted(after)} in the head"
    if set(outputs_before) != set(outputs_after):
        return f"the outputs are {sorted(outputs_before)} in the base and {sorted(outputs_after)} in the head"
    for name, spec in before.items():
        if not _fits(spec, after[name]):
            return f"input {name!r} is {spec} in the base and {after[name]} in the head"
    return ""


def _fits(before: TensorSpec, after: TensorSpec) -> bool:
    """Whether the two can be fed alike: one dtype, as many dimensions, and those that both fix of one size."""
    if before.dtype != after.dtype or len(before.shape) != len(after.shape):
        return False
    pairs = zip(before.shape, after.shape, strict=True)
    return all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _pair(
    pairing: Pairing,
    name: str,
    base: Subject,
    head: Subject,
    *,
    folder: Path,
    max_drop: float | None,
    timeout_s: float,
) -> None:
    recipe = head.recipe or base.recipe
    samples, note = samples_of(base, recipe, folder)
    if note:
        pairing.notes.append(f"{name}: {note}")
    arms = arm_of(base, "base"), arm_of(head, "head")
    pairing.notes += _other_choice(name, base, head)
    outputs = [_outputs(name, arm, samples.timing, folder / f"timed-{arm.name}", timeout_s) for arm in arms]
    scores = _scores(arms, recipe, samples, folder=folder, timeout_s=timeout_s)
    if scores is None:
        pairing.notes.append(_agreement(name, *outputs))
    allowed = max_drop if max_drop is not None else recipe.budget.max_drop if recipe else 0.0
    pairing.pairs.append(Pair(name, *arms, samples.timing, scores, allowed))


def _other_choice(name: str, base: Subject, head: Subject) -> list[str]:
    """Two bundles may run different variants: a build ships what it measured to be fastest, which can be a draw."""
    ships = [shipped_variant(subject) for subject in (base, head)]
    if "" in ships or ships[0] == ships[1]:
        return []
    return [
        f"{name}: the base runs {ships[0]}, the head {ships[1]}; where builds pick either, --only pins one for both"
    ]


def samples_of(subject: Subject, recipe: Recipe | None, folder: Path) -> tuple[Samples, str]:
    """The recipe's real data; else a bundle's golden inputs; else, for an ONNX file, made up ones; and what to note."""
    if recipe is not None:
        return lay_out_samples(recipe, folder / "samples"), ""
    timing = folder / "timing"
    if subject.path.suffix == ".edgekit":
        return golden_samples(open_bundle(subject.path), timing), ""
    write_samples(timing, _made_up(list(tensors_of(subject)[0].values())))
    note = "the inputs are made up (normal, seeded), which suits latency alone; give real ones with --data"
    return Samples(evaluation=None, targets=(), timing=timing, golden=timing), note


def _made_up(inputs: Sequence[TensorSpec]) -> Iterator[dict[str, Array]]:
    rng, sizes = np.random.default_rng(0), smallest_sizes(inputs)
    for spec in inputs:
        if not spec.dtype.startswith("float"):
            raise MeasurementError(
                f"input {spec.name!r} takes {spec.dtype}, and edgekit makes up no such values; "
                "give real samples with --data samples.npz"
            )
    for _ in range(TIMED_SAMPLES):
        yield {spec.name: rng.standard_normal(spec.shape_at(sizes)).astype(spec.dtype) for spec in inputs}


def _outputs(name: str, arm: Arm, feeds: Path, out: Path, timeout_s: float) -> list[dict[str, Array]]:
    run_outputs(arm, feeds, out, timeout_s=timeout_s)
    outputs = [dict(sample) for sample in read_samples(out)]
    for number, sample in enumerate(outputs):
        for tensor, array in sample.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise MeasurementError(
                    f"{name}: output {tensor!r} of the {arm.name} holds NaN or infinity on timed sample {number}; "
                    "a model that gives no numbers is not timed",
                    arm=arm.name,
                )
    return outputs


def _agreement(name: str, base: Sequence[Mapping[str, Array]], head: Sequence[Mapping[str, Array]]) -> str:
    """What the outputs say where there is no accuracy to compare: how far they are apart."""
    worst = 0.0
    for before, after in zip(base, head, strict=True):
        for tensor, expected in before.items():
            if expected.shape != after[tensor].shape:
                raise MeasurementError(
                    f"{name}: output {tensor!r} is {expected.shape} in the base and {after[tensor].shape} in the head"
                )
            scale = float(np.max(np.abs(expected), initial=0.0)) or 1.0
            worst = max(worst, max_deviation(after[tensor], expected) / scale)
    said = f"{name}: accuracy was not judged, since there is no evaluation data; the outputs "
    if worst == 0.0:
        return said + "are identical on the timed samples"
    if worst <= NOTED_DEVIATION:
        return said + f"agree to {worst:.1g} of their largest value on the timed samples"
    return said + f"DIFFER by up to {worst:.2g} of their largest value on the timed samples"


def _scores(
    arms: Sequence[Arm], recipe: Recipe | None, samples: Samples, *, folder: Path, timeout_s: float
) -> tuple[Floats, Floats] | None:
    if recipe is None or recipe.metric is None or samples.evaluation is None:
        return None
    found = []
    for arm in arms:
        out = folder / f"scored-{arm.name}"
        run_outputs(arm, samples.evaluation, out, timeout_s=timeout_s)
        try:
            found.append(score_samples(recipe.metric, read_samples(out), samples.targets))
        except MeasurementError as error:
            raise MeasurementError(f"the {arm.name} cannot be scored: {error}", arm=arm.name) from error
    return found[0], found[1]
