"""Results over time: series of one arm's metric on one machine, and where their level changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import numpy as np

from edgekit.bench.environment import UNAVAILABLE
from edgekit.bench.fingerprints import (
    Fingerprint,
    comparable_key,
    differences,
    machine_name,
    software_differences,
)
from edgekit.bench.history.changepoints import change_points, fewest_values, rank_shift
from edgekit.bench.report import Report, Row
from edgekit.bench.statistics import Floats, Interval
from edgekit.errors import MeasurementError
from edgekit.progress import Progress, silent

VERSION = 1

# What is followed of each arm, by the names that a gate's verdicts have too.
METRICS: dict[str, Callable[[Row], float | None]] = {
    "latency": lambda row: row.p50_ns.value if row.p50_ns else None,
    "load": lambda row: row.load_ns,
    "rss": lambda row: row.peak_rss_bytes,
    "size": lambda row: row.size_bytes,
    "accuracy": lambda row: row.accuracy.value if row.accuracy else None,
}
UNITS = {"latency": "ns", "load": "ns", "rss": "bytes", "size": "bytes"}


@dataclass(frozen=True)
class Point:
    """One result.

    created: date and time, ISO 8601, UTC.
    source: the file that it was read from.
    value: median latency or load time in ns, bytes, or mean score.
    variant: what ran, such as "openvino int8, 1 thread".
    """

    created: str
    source: str
    value: float
    variant: str
    fingerprint: Fingerprint = field(repr=False)


@dataclass(frozen=True)
class Change:
    """Where the level of a series changed.

    index: position of the first result after the change; `created` and `source` are that result's.
    before, after: medians of the results between the changes on either side, in the series' unit.
    effect: of "accuracy" the difference after - before, of others the ratio after / before: estimate and 95 %
        interval of the shift between the two groups. That the place was chosen for its clearness is left out.
    direction: "worse", "better", or "unclear" where the interval holds no change: then the spread changed, say.
    p: against the series in any other order, multiplied by the number of series that were tested.
    also_changed: what of the variant and the software differs between the last result before and the first after.
    """

    index: int
    created: str
    source: str
    before: float
    after: float
    effect: Interval
    direction: str
    p: float
    also_changed: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """One metric of one arm of one model on one machine, in order of time.

    model: title of the reports, and whether calls held the processing.
    metric: one of METRICS.
    unit: "ns", "bytes", or the name of the accuracy metric.
    machine: `comparable_key` of every result's fingerprint.
    tested: whether there were enough results to find a change.
    """

    model: str
    arm: str
    metric: str
    unit: str
    machine: str
    machine_name: str
    points: tuple[Point, ...]
    tested: bool = False
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class History:
    """All series of some results.

    notes: what a reader must know, a sentence each.
    alpha: chance of one false alarm or more in all series together.
    level: what each series was tested at: alpha over their number (Bonferroni), whatever depends on what.
    """

    series: tuple[Series, ...]
    notes: tuple[str, ...]
    alpha: float
    level: float
    min_points: int
    seed: int


def build_history(
    results: Iterable[tuple[str, Report]],
    *,
    min_points: int = 12,
    alpha: float = 0.01,
    seed: int = 0,
    progress: Progress = silent,
) -> History:
    """The series in stored results, and the changes in each.

    results: reports with the names of their files, in any order; one that comes twice counts once.
    min_points: series with fewer results are not tested.

    Raises:
        MeasurementError: a date or a value that makes no sense.
    """
    points, machines = _collect(results)
    series = [_series(key, found) for key, found in points.items()]
    candidates = [one for one in series if len(one.points) >= min_points and _varies(one)]
    level = alpha / max(1, len(candidates))
    fewest = max(min_points, fewest_values(level))
    done = []
    for position, one in enumerate(series):
        done.append(_tested(one, fewest=fewest, level=level, seed=seed, tests=len(candidates)))
        progress("search for changes", position + 1, len(series))
    notes = (*_machine_notes(machines), *_short_notes(done, fewest))
    return History(tuple(done), notes, alpha, level, min_points, seed)


_Key = tuple[str, str, str, str, str]
_Machines = dict[str, list[Fingerprint]]


def _collect(results: Iterable[tuple[str, Report]]) -> tuple[dict[_Key, list[Point]], _Machines]:
    """Points by model, arm, metric, unit and machine; and the fingerprints of each machine's reports."""
    points: dict[_Key, list[Point]] = {}
    machines: _Machines = {}
    seen: set[tuple[Any, ...]] = set()
    for source, report in results:
        machine = comparable_key(report.fingerprint)
        identity = (
            report.title,
            report.created,
            machine,
            *((row.name, row.p50_ns, row.load_ns) for row in report.rows),
        )
        if identity in seen:
            continue
        seen.add(identity)
        machines.setdefault(machine, []).append(report.fingerprint)
        created = _utc(report.created, source)
        for row in report.rows:
            for metric, value in _values(row, source):
                key = (_model(report), row.name, metric, _unit(metric, row), machine)
                points.setdefault(key, []).append(Point(created, source, value, _variant(row), report.fingerprint))
    return points, machines


def _values(row: Row, source: str) -> Iterable[tuple[str, float]]:
    for metric, value_of in METRICS.items():
        value = value_of(row)
        if value is None:
            continue
        if not math.isfinite(value) or (value <= 0 and metric != "accuracy"):
            raise MeasurementError(f"{source}: the {metric} of {row.name} is {value}; measure it again")
        yield metric, float(value)


def _model(report: Report) -> str:
    """Calls that take a raw sample to an answer are no series with calls of the network alone."""
    return report.title if report.processing == "out" else f"{report.title}, processing {report.processing}"


def _variant(row: Row) -> str:
    return f"{row.backend} {row.precision}, {row.threads} thread{'s' if row.threads > 1 else ''}"


def _unit(metric: str, row: Row) -> str:
    return row.accuracy.metric if metric == "accuracy" and row.accuracy else UNITS[metric]


def _utc(created: str, source: str) -> str:
    """A date in one form, so that dates sort as text; one without a zone is taken as UTC."""
    try:
        date = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError as error:
        raise MeasurementError(f"{source}: created is {created!r}; expected a date such as 2026-01-31T12:00") from error
    return (date.astimezone(timezone.utc) if date.tzinfo else date.replace(tzinfo=timezone.utc)).isoformat()


def _series(key: _Key, points: Sequence[Point]) -> Series:
    ordered = tuple(sorted(points, key=lambda point: (point.created, point.source)))
    return Series(*key, machine_name(ordered[0].fingerprint), ordered)


def _varies(series: Series) -> bool:
    return len({point.value for point in series.points}) > 1


def _tested(series: Series, *, fewest: int, level: float, seed: int, tests: int) -> Series:
    """The series with its changes."""
    if len(series.points) < fewest:
        return series
    values = _scale(series)
    found = change_points(values, level=level, seed=seed)
    bounds = [0, *(point.index for point in found), len(values)]
    changes = [
        _change(series, values, bounds=(bounds[number], point.index, bounds[number + 2]), p=min(1.0, point.p * tests))
        for number, point in enumerate(found)
    ]
    return replace(series, tested=True, changes=tuple(changes))


def _scale(series: Series) -> Floats:
    """The values that are compared: scores as they are, times and sizes as logarithms, so that noise is a share."""
    values = np.array([point.value for point in series.points])
    return values if series.metric == "accuracy" else np.log(values)


def _change(series: Series, values: Floats, *, bounds: tuple[int, int, int], p: float) -> Change:
    """The change at the middle one of `bounds`; the outer ones are where the levels before and after end."""
    start, index, end = bounds
    before, after = series.points[index - 1], series.points[index]
    shift = rank_shift(values[start:index].tolist(), values[index:end].tolist())
    median_before, median_after = _medians(series, bounds)
    return Change(
        index=index,
        created=after.created,
        source=after.source,
        before=median_before,
        after=median_after,
        effect=shift if series.metric == "accuracy" else _exp(shift),
        direction=_direction(series, shift),
        p=p,
        also_changed=_also_changed(before, after),
    )


def _also_changed(before: Point, after: Point) -> tuple[str, ...]:
    variant = [] if before.variant == after.variant else [f"variant: {before.variant} against {after.variant}"]
    return (*variant, *software_differences(before.fingerprint, after.fingerprint))


def _medians(series: Series, bounds: Sequence[int]) -> list[float]:
    """The median of the values between every two bounds."""
    values = [point.value for point in series.points]
    return [float(np.median(values[start:end])) for start, end in pairwise(bounds)]


def _exp(shift: Interval) -> Interval:
    return Interval(math.exp(shift.value), math.exp(shift.low), math.exp(shift.high))


def _direction(series: Series, shift: Interval) -> str:
    if shift.low <= 0 <= shift.high:
        return "unclear"
    return "better" if (shift.value > 0) == (series.metric == "accuracy") else "worse"


def levels(series: Series) -> list[tuple[int, int, float]]:
    """Start, end and median of each stretch between changes."""
    bounds = [0, *(change.index for change in series.changes), len(series.points)]
    return [
        (start, end, median) for (start, end), median in zip(pairwise(bounds), _medians(series, bounds), strict=True)
    ]


def _machine_notes(machines: _Machines) -> list[str]:
    """That there are several machines and what tells them apart, or that they cannot be told apart."""
    notes = []
    if any(group[0].get("cpu", UNAVAILABLE) == UNAVAILABLE for group in machines.values()):
        notes.append(
            "Some results do not name their CPU: those of machines that are alike otherwise are in one series."
        )
    first, *others = sorted(machines.values(), key=len, reverse=True) or [[]]
    for group in others:
        count = "1 result" if len(group) == 1 else f"{len(group)} results"
        why = "; ".join(differences(first[0], group[0]))
        notes.append(f"{count} from another machine form series of their own: {why}.")
    return notes


def _short_notes(series: Sequence[Series], fewest: int) -> list[str]:
    counts = Counter(one.tested for one in series)
    if not counts[False]:
        return []
    return [f"{counts[False]} of {len(series)} series have fewer than {fewest} results, too few to tell a change."]


def history_to_json(history: History) -> dict[str, Any]:
    """A JSON-ready form; an interval's missing bounds are null, and fingerprints are left to the results' files."""
    return {
        "edgekit_history": VERSION,
        "alpha": history.alpha,
        "level": history.level,
        "min_points": history.min_points,
        "seed": history.seed,
        "notes": list(history.notes),
        "series": [_series_to_json(series) for series in history.series],
    }


def _series_to_json(series: Series) -> dict[str, Any]:
    points = [{name: text for name, text in vars(point).items() if name != "fingerprint"} for point in series.points]
    changes = [_change_to_json(change) for change in series.changes]
    return {**vars(series), "points": points, "changes": changes}


def _change_to_json(change: Change) -> dict[str, Any]:
    effect = {
        "value": change.effect.value,
        "low": _finite(change.effect.low),
        "high": _finite(change.effect.high),
    }
    return {**vars(change), "effect": effect, "also_changed": list(change.also_changed)}


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
