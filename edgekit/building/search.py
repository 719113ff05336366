"""Mixed precision: where the fastest variant loses too much, the layers that cost most are turned back to float.

The layers are ranked by the noise that each adds to the outputs when it alone is quantized, for each microsecond that
quantizing it saves. The search climbs a ladder: one layer in float, two, three, five, ..., until the metric on the
samples of the guide is within the budget, and hands that rung and the next ones on, to be timed and judged on the
samples that it has not seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.building.guide import Guide
from edgekit.building.judge import Trial, Verdict, fastest_float, ratio_of
from edgekit.building.sensitivity import Sensitivity, saved_us, sensitivities
from edgekit.building.trial import Workbench
from edgekit.building.variants import Variant
from edgekit.errors import BackendError
from edgekit.transforms.quantize import METHODS, Workpiece
from edgekit.transforms.quantize.layers import joins_of, layers_of

NEAR = 1.05  # a little slower than the fastest is as good a start
HANDED_ON = 3  # rungs that are timed and judged: the first that the guide finds good enough, and the next ones
LEAST_SAVED_US = 0.05  # below what the profilers tell apart


@dataclass(frozen=True)
class Rung:
    """Layers in float, and what the metric loses then on the samples of the guide; None if that cannot run.

    method: of those with other ranges but the same layers the one with the least noise.
    """

    method: str
    kept_float: tuple[str, ...]
    drop: float | None


@dataclass(frozen=True)
class Search:
    """What the search looked at.

    base: the variant whose layers were turned back. layers: those that cost most first.
    variants: what is worth to be timed and judged. outcome: in words.
    """

    base: Variant
    layers: tuple[Sensitivity, ...]
    rungs: tuple[Rung, ...]
    variants: tuple[Variant, ...]
    outcome: str


def worth_a_search(trials: Sequence[Trial], verdicts: Sequence[Verdict]) -> Trial | None:
    """A variant that was shown to be faster than what ships, but not to be within the budget; None if there is none.

    Of those about as fast as the fastest it is the one that quantizes least beside its layers.
    """
    winner = next(trial for trial, verdict in zip(trials, verdicts, strict=True) if verdict.ships)
    found: list[tuple[float, Trial]] = []
    for trial in trials:
        method = METHODS.get(trial.variant.method)
        ratio = ratio_of(trial, winner)
        if method is not None and method.mixes and ratio is not None and ratio.high < 1 and trial.drop is not None:
            found.append((ratio.value, trial))
    fastest = min((ratio for ratio, _ in found), default=0.0)
    near = [trial for ratio, trial in found if ratio <= NEAR * fastest]
    return min(near, key=lambda trial: list(METHODS).index(trial.variant.method), default=None)


def search(bench: Workbench, base: Trial, trials: Sequence[Trial], *, guide: Guide, max_drop: float) -> Search:
    """Look for variants of `base` that lose at most `max_drop`."""
    work = bench.graphs.work
    assert work is not None  # noqa: S101 - `base` is quantized
    layers = _ranked(bench, base, trials, guide, work)
    rungs: list[Rung] = []
    good: list[Variant] = []
    for count in ladder(len(layers)):
        bench.report("mixed precision", len(rungs), len(ladder(len(layers))))
        rung = _rung(bench, base.variant, tuple(layer.layer for layer in layers[:count]), guide)
        rungs.append(rung)
        if rung.drop is not None and (good or rung.drop <= max_drop):
            good.append(replace(base.variant, method=rung.method, kept_float=rung.kept_float))
        if len(good) == HANDED_ON or bench.clock.why_over():
            break
    bench.report("mixed precision", len(rungs), len(rungs))
    variants = tuple(replace(each, precision=precision) for each in good for precision in _precisions(bench, base))
    return Search(base.variant, layers, tuple(rungs), variants, _outcome(layers, rungs, good, max_drop))


def _ranked(
    bench: Workbench, base: Trial, trials: Sequence[Trial], guide: Guide, work: Workpiece
) -> tuple[Sensitivity, ...]:
    """The layers of `base`, those first that add most noise for the time they save."""
    nodes = layers_of(work.model) + (joins_of(work.model) if "joined" in base.variant.method else ())
    found = sensitivities(
        work, guide, nodes, store=bench.store, folder=bench.folder,
        progress=lambda done, total: bench.report("sensitivity", done, total),
    )  # fmt: skip
    floats = fastest_float([trial for trial in trials if trial.variant.backend == base.variant.backend])
    saved = {}
    if floats is not None and floats.execution is not None and base.execution is not None:
        saved = saved_us(floats.execution, base.execution)
    timed = [replace(layer, saved_us=saved.get(layer.layer)) for layer in found]
    return tuple(sorted(timed, key=_cost, reverse=True))


def _cost(layer: Sensitivity) -> float:
    """Noise power, relative to the signal, for each microsecond saved."""
    return float(10 ** (-layer.sqnr_db / 10)) / max(layer.saved_us or 0.0, LEAST_SAVED_US)


def ladder(layers: int) -> tuple[int, ...]:
    """How many layers are turned back on each rung: 1, 2, 3, 5, 8, ... below the number of layers."""
    rungs, following = [1, 2], 3
    while following < layers:
        rungs.append(following)
        following += rungs[-2]
    return tuple(rung for rung in rungs if rung < layers)


def _precisions(bench: Workbench, base: Trial) -> tuple[str, ...]:
    """What the layers in float may compute in."""
    plain = base.variant.precision.partition("+")[0]
    mixed = f"{plain}+bf16"
    both = base.variant.backend == "openvino" and "bf16" in bench.target.precisions
    return (plain, mixed) if both else (plain,)


def _rung(bench: Workbench, base: Variant, kept_float: tuple[str, ...], guide: Guide) -> Rung:
    """Without the layers that spoil it, other ranges may be the best."""
    found: dict[Path, tuple[float, str]] = {}
    for method in METHODS:
        variant = replace(base, method=method, kept_float=kept_float)
        if variant.family == base.family:
            with contextlib.suppress(BackendError):  # a mixture that a quantizer or onnxruntime refuses is no rung
                graph = bench.graphs.file(variant)
                found[graph] = (guide.sqnr_db(graph), method)
    if not found:
        return Rung(base.method, kept_float, None)
    best = max(found, key=lambda graph: found[graph][0])
    return Rung(found[best][1], kept_float, guide.drop(best))


def _outcome(layers: Sequence[Sensitivity], rungs: Sequence[Rung], good: Sequence[Variant], max_drop: float) -> str:
    if not layers:
        return "it has no layers to turn back"
    worst = ", ".join(f"{layer.layer} ({layer.sqnr_db:.1f} dB)" for layer in layers[:3])
    if good:
        return f"{len(good[0].kept_float)} of {len(layers)} layers in float keep the drop within {max_drop:g}: {worst}"
    most = len(rungs[-1].kept_float) if rungs else 0
    return (
        f"no mixture keeps the drop within {max_drop:g}, up to {most} of {len(layers)} layers in float; "
        f"those that cost most are {worst}"
    )
