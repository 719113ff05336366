"""Put what a build decided into a bundle: payloads, golden samples, measured facts, and what was tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import edgekit
from edgekit.backends.execution import describe, execution_to_json
from edgekit.bench.statistics import Ratio, percentile, timed_calls
from edgekit.building.judge import Trial, Verdict, size_bytes
from edgekit.building.search import Search
from edgekit.building.source import FloatModel
from edgekit.building.variants import REFERENCE, Candidate
from edgekit.bundle import (
    Bundle,
    Manifest,
    Payload,
    RecipeRecord,
    TargetEntry,
    golden_input_entry,
    npy_bytes,
    write_bundle,
)
from edgekit.floor import Work, count_work, floor_ns
from edgekit.parity import deviation
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target
from edgekit.tensors import Array, smallest_sizes

TOOLS = ("numpy", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "nncf", "openvino")


@dataclass(frozen=True)
class Golden:
    """Golden samples: inputs, and for each variant, by name, what it computed from each of them."""

    inputs: Sequence[Mapping[str, Array]]
    outputs: Mapping[str, Sequence[Mapping[str, Array]]]


@dataclass(frozen=True)
class BuiltTarget:
    """All that was tried for a target, judged.

    candidates: all that might have been tried, with reasons. ships: what goes into the bundle, best first.
    search: what the search for mixed precision looked at; None where it was not needed.
    """

    target: Target
    candidates: tuple[Candidate, ...]
    trials: tuple[Trial, ...]
    verdicts: tuple[Verdict, ...]
    ships: tuple[tuple[Trial, Verdict], ...]
    golden: Golden
    measured_on: str
    search: Search | None = None


def write(output: Path, recipe: Recipe, source: FloatModel, built: Sequence[BuiltTarget]) -> Bundle:
    """Write the bundle; raises BundleError as `write_bundle` does."""
    contents: dict[str, bytes | Path] = {}
    golden_inputs = built[0].golden.inputs
    work = count_work(source.model, smallest_sizes(source.inputs))
    for sample, feeds in enumerate(golden_inputs):
        for index, spec in enumerate(source.inputs):
            contents[golden_input_entry(sample, index)] = npy_bytes(feeds[spec.name])
    manifest = Manifest(
        edgekit=edgekit.__version__,
        created_by=tool_versions(),
        recipe=RecipeRecord(recipe.name, recipe.metric_name, recipe.budget.max_drop),
        inputs=source.inputs,
        outputs=source.outputs,
        source={"weights_sha256": source.weights_sha256},
        golden_samples=len(golden_inputs),
        targets=tuple(_target_entry(item, source, work, contents) for item in built),
        state=recipe.state,
    )
    return write_bundle(output, manifest, contents)


def tool_versions() -> dict[str, str]:
    """The installed version of each package that has a hand in a build."""
    found = {}
    for package in TOOLS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def golden_tolerance(
    outputs: Sequence[Mapping[str, Array]], reference: Sequence[Mapping[str, Array]]
) -> dict[str, float]:
    """How far a replay may be from the recorded outputs, absolute, by output name.

    The rounding of the dtype (as in parity), plus half of what this variant is off from the float reference on the same
    samples: enough for a machine that rounds otherwise, too little for one that computes something else.
    """
    tolerance: dict[str, float] = {}
    for got, expected in zip(outputs, reference, strict=True):
        for name in got:
            error, rounding = deviation(got[name], expected[name])
            tolerance[name] = max(tolerance.get(name, 0.0), error / 2 + rounding)
    return tolerance


def _target_entry(item: BuiltTarget, source: FloatModel, work: Work, contents: dict[str, bytes | Path]) -> TargetEntry:
    payloads = tuple(_payload(item, trial, verdict, contents) for trial, verdict in item.ships)
    rows = [_row(item, trial, verdict, work) for trial, verdict in zip(item.trials, item.verdicts, strict=True)]
    rows += [
        _row(item, Trial(c.variant, {}, left_out=c.excluded), _excluded(c), work) for c in item.candidates if c.excluded
    ]
    for row in rows:
        if row["name"] == REFERENCE.name:
            row["parity"] = [asdict(check) for check in source.parity]
        if item.search is not None and row["name"] == item.search.base.name:
            row["search"] = _search(item.search)
    return TargetEntry(item.target, payloads, tuple(rows))


def _excluded(candidate: Candidate) -> Verdict:
    return Verdict(candidate.variant.name, False, candidate.excluded, barred=True)


def _search(search: Search) -> dict[str, Any]:
    return {
        "outcome": search.outcome,
        "layers": [_finite(asdict(layer)) for layer in search.layers],
        "rungs": [asdict(rung) for rung in search.rungs],
    }


def _finite(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a layer that adds no noise at all has null decibels."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}


def _payload(item: BuiltTarget, trial: Trial, verdict: Verdict, contents: dict[str, bytes | Path]) -> Payload:
    name = trial.variant.name
    folder = f"{item.target.name}/{name}"
    files = {role: f"{folder}/{path.name}" for role, path in trial.files.items()}
    contents.update({files[role]: path for role, path in trial.files.items()})
    outputs = item.golden.outputs[name]
    golden_outputs = []
    for sample, arrays in enumerate(outputs):
        entries = {output: f"{folder}/golden/{sample}/output-{index}.npy" for index, output in enumerate(arrays)}
        contents.update({entries[output]: npy_bytes(array) for output, array in arrays.items()})
        golden_outputs.append(entries)
    return Payload(
        name=name,
        backend=trial.variant.backend,
        precision=trial.variant.precision,
        method=trial.variant.method,
        files=files,
        golden_outputs=tuple(golden_outputs),
        golden_tolerance=golden_tolerance(outputs, item.golden.outputs[REFERENCE.name]),
        reason=_reason(trial, verdict),
        accuracy=asdict(trial.accuracy) if trial.accuracy else None,
        drop=asdict(trial.drop) if trial.drop else None,
        latency=_latency(trial, item.measured_on),
    )


def _reason(trial: Trial, verdict: Verdict) -> str:
    if verdict.ships:
        return verdict.reason
    return f"{'portable fallback' if trial.variant == REFERENCE else 'for edgekit tune'} ({verdict.reason})"


def _row(item: BuiltTarget, trial: Trial, verdict: Verdict, work: Work) -> dict[str, Any]:
    """One line of the record of what was tried."""
    precision, threads = trial.variant.precision, item.target.threads
    return {
        "name": verdict.name,
        "precision": precision,
        "compiled": bool(trial.files),
        "ships": verdict.ships,
        "reason": verdict.reason,
        "ratio": _ratio(verdict.ratio),
        "float_ratio": _ratio(verdict.float_ratio),
        "on_front": verdict.on_front,
        "executed": describe(trial.execution) if trial.execution else trial.not_inspected or None,
        "execution": execution_to_json(trial.execution) if trial.execution else None,
        "kept_float": list(trial.variant.kept_float),
        "accuracy": asdict(trial.accuracy) if trial.accuracy else None,
        "drop": asdict(trial.drop) if trial.drop else None,
        "latency": _latency(trial, item.measured_on),
        "macs": work.macs,
        "floor_ns": floor_ns(work, item.target.peak, precision=precision, threads=threads),
        "size_bytes": size_bytes(trial),
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    """JSON has no infinity: a bound that there were too few sessions for is null."""
    if ratio is None:
        return None
    return {**asdict(ratio), "high": ratio.high if math.isfinite(ratio.high) else None}


def _latency(trial: Trial, measured_on: str) -> dict[str, Any] | None:
    """Percentiles of single calls in nanoseconds, each with its interval, and where and how they were measured."""
    if trial.measurement is None:
        return None
    calls = timed_calls(trial.measurement.calls_ns)
    found = {name: percentile(calls, q) for name, q in (("p50_ns", 50), ("p90_ns", 90))}
    return {
        **{name: asdict(interval) if interval else None for name, interval in found.items()},
        "sessions": len(trial.measurement.calls_ns),
        "threads": trial.measurement.arm.threads,
        "measured_on": measured_on,
    }
