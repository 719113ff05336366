"""The report of a comparison, one row an arm: made from measurements, written as JSON and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.measure import Measurement
from edgekit.bench.statistics import (
    Calls,
    Interval,
    Ratio,
    Withheld,
    compare,
    percentile,
    throughput_per_s,
    timed_calls,
    withheld,
)
from edgekit.bench.steady import remarks, tags, tail_tags
from edgekit.errors import MeasurementError, did_you_mean
from edgekit.files import replacing

VERSION = 2  # 1 had no p99, no tags, and no processing: they are made of its raw times
PERCENTILES = (50, 90, 99)
WITHHELD = "Withheld: fewer calls than the percentile asks for; ≤ is what it does not exceed (95 %)."
PROCESSING = {
    "out": "Processing out: calls are the network alone, on inputs that lie ready.",
    "in": "Processing in: calls begin with a raw sample and end with the answer; load and first run are the network's.",
}

Made = TypeVar("Made")


@dataclass(frozen=True)
class Row:
    """One arm of a report. Times are in nanoseconds; None stands for what was not measured or is withheld.

    backend: the runtime that ran it.
    p50_ns, p90_ns, p99_ns: percentiles of single calls; None below their minimum count, and then in `withheld`.
    throughput_per_s: calls a second, one after the other, at the median latency.
    import_ns, load_ns, first_inference_ns: importing the runtime, opening the model and the first call, in a fresh
        process each time; medians.
    accuracy: mean score on the evaluation samples.
    ratio: this arm's time over the base arm's; None in the base's own row.
    calls_ns: every raw time, sessions x rounds x calls.
    withheld: percentiles that are not given, why, and what they do not exceed.
    tags: what to know of the calls, from `edgekit.bench.steady`; the report's notes explain them.
    """

    name: str
    backend: str
    precision: str
    threads: int
    p50_ns: Interval | None
    p90_ns: Interval | None
    p99_ns: Interval | None
    throughput_per_s: float | None
    import_ns: float
    load_ns: float
    first_inference_ns: float
    peak_rss_bytes: int | None
    size_bytes: int | None
    accuracy: Accuracy | None
    ratio: Ratio | None
    calls_ns: Calls = field(repr=False)
    withheld: tuple[Withheld, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Rows that were measured together.

    base: name of the row that the ratios are against.
    notes: what a reader must know, a sentence each.
    fingerprint: the machine and its software, from `edgekit.bench.environment`.
    seed: of the order in which arms ran.
    created: date and time, ISO 8601, UTC.
    processing: "out" where calls are the network alone, "in" where they take a raw sample to an answer.
    """

    title: str
    rows: tuple[Row, ...]
    base: str
    notes: tuple[str, ...]
    fingerprint: Mapping[str, Any]
    seed: int
    created: str
    processing: str = "out"


def build_report(
    title: str,
    measurements: Sequence[Measurement],
    *,
    base: str,
    fingerprint: Mapping[str, Any],
    accuracies: Mapping[str, Accuracy] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """The report of arms that were measured together; its notes say what the calls held, and explain the rows' tags.

    base: name of the arm that the others are compared with.
    accuracies: by arm's name; arms may be missing.

    Raises:
        MeasurementError: no arm called `base`, or accuracies of an arm that was not measured.
    """
    by_name = {measurement.arm.name: measurement for measurement in measurements}
    for name in (base, *(accuracies or {})):
        if name not in by_name:
            raise MeasurementError(f"no arm {name!r} was measured; {did_you_mean(name, by_name)}")
    rows = tuple(_row(m, by_name[base], (accuracies or {}).get(m.arm.name)) for m in measurements)
    processing = "in" if measurements[0].arm.processing else "out"
    return Report(
        title=title,
        rows=rows,
        base=base,
        notes=(PROCESSING[processing], *withheld_notes(rows), *notes, *_tag_notes(rows, base)),
        fingerprint=dict(fingerprint),
        seed=measurements[0].seed,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        processing=processing,
    )


def withheld_notes(results: Iterable[Any]) -> list[str]:
    """What "withheld" means, where something is: of rows, or of a scenario's results."""
    return [WITHHELD] if any(result.withheld for result in results) else []


def _tag_notes(rows: Sequence[Row], base: str) -> list[str]:
    base_calls = next(row.calls_ns for row in rows if row.name == base)
    return [
        remark for row in rows for remark in remarks(row.name, row.calls_ns, None if row.name == base else base_calls)
    ]


def _row(measurement: Measurement, base: Measurement, accuracy: Accuracy | None) -> Row:
    arm = measurement.arm
    calls = timed_calls(measurement.calls_ns)
    p50 = percentile(calls, 50)
    return Row(
        name=arm.name,
        backend=arm.backend or arm.kind,
        precision=arm.precision,
        threads=arm.threads,
        p50_ns=p50,
        p90_ns=percentile(calls, 90),
        p99_ns=percentile(calls, 99),
        throughput_per_s=throughput_per_s(p50.value) if p50 else None,
        import_ns=float(np.median(measurement.import_ns)),
        load_ns=float(np.median(measurement.load_ns)),
        first_inference_ns=float(np.median(measurement.first_inference_ns)),
        peak_rss_bytes=max(measurement.peak_rss_bytes, default=None),
        size_bytes=measurement.size_bytes,
        accuracy=accuracy,
        ratio=None if measurement is base else compare(measurement.calls_ns, base.calls_ns),
        calls_ns=measurement.calls_ns,
        withheld=withheld(calls, PERCENTILES),
        tags=_tags(measurement.calls_ns, None if measurement is base else base.calls_ns),
    )


def _tags(calls_ns: Calls, base_calls_ns: Calls | None) -> tuple[str, ...]:
    return (*tags(calls_ns), *(() if base_calls_ns is None else tail_tags(calls_ns, base_calls_ns)))


def write_report(report: Report, path: Path) -> None:
    """Write the report as JSON, for `edgekit.bench.results.read_reports`.

    Raises:
        MeasurementError: the file cannot be written.
    """
    with replacing(path, error=MeasurementError) as draft:
        draft.write_text(json.dumps(report_to_json(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def report_to_json(report: Report) -> dict[str, Any]:
    """A JSON-ready form that `report_from_json` reads back; an interval's missing bound is null."""
    data: dict[str, Any] = {"edgekit_report": VERSION, **asdict(report)}
    for row in data["rows"]:
        if row["ratio"] is not None and math.isinf(row["ratio"]["high"]):
            row["ratio"]["high"] = None
    return data


def report_from_json(data: Any) -> Report:
    """The inverse of `report_to_json`.

    Raises:
        MeasurementError: not a report, one of another version, or one with a missing, unknown or malformed
            field.
    """
    if not isinstance(data, dict) or "edgekit_report" not in data:
        raise MeasurementError("this is not an edgekit report; make one with: edgekit bench ... --json FILE")
    if data["edgekit_report"] not in (1, VERSION):
        raise MeasurementError(f"report version {data['edgekit_report']!r}; this edgekit reads version 1 and {VERSION}")
    body = {key: value for key, value in data.items() if key != "edgekit_report"}
    try:
        body = _of_today(body) if data["edgekit_report"] == 1 else body
        rows = tuple(_row_from_json(row) for row in body["rows"])
        report = instance(Report, {**body, "rows": rows, "notes": tuple(body["notes"])})
        if report.base not in {row.name for row in rows}:
            raise MeasurementError(f"the report's base {report.base!r} is none of its rows")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeasurementError(f"the report is damaged: {type(error).__name__}: {error}") from error
    return report


def _of_today(body: dict[str, Any]) -> dict[str, Any]:
    """A report of version 1 with what it lacks, made of its raw times."""
    base_calls = {row["name"]: row["calls_ns"] for row in body["rows"]}[body["base"]]
    rows = []
    for row in body["rows"]:
        calls, p99 = timed_calls(row["calls_ns"]), percentile(timed_calls(row["calls_ns"]), 99)
        others = None if row["name"] == body["base"] else base_calls
        made = {"p99_ns": p99 and asdict(p99), "withheld": [asdict(part) for part in withheld(calls, PERCENTILES)]}
        rows.append({**row, **made, "tags": _tags(row["calls_ns"], others)})
    return {**body, "rows": rows, "processing": "out"}


def _row_from_json(data: dict[str, Any]) -> Row:
    ratio = data["ratio"]
    if ratio is not None and ratio["high"] is None:
        ratio = {**ratio, "high": math.inf}
    parts = {
        "p50_ns": optional(Interval, data["p50_ns"]),
        "p90_ns": optional(Interval, data["p90_ns"]),
        "p99_ns": optional(Interval, data["p99_ns"]),
        "accuracy": optional(Accuracy, data["accuracy"]),
        "ratio": optional(Ratio, ratio),
        "calls_ns": tuple(tuple(tuple(map(int, chunk)) for chunk in session) for session in data["calls_ns"]),
        "withheld": tuple(instance(Withheld, part) for part in data["withheld"]),
        "tags": tuple(data["tags"]),
    }
    return instance(Row, {**data, **parts})


def optional(kind: type[Made], data: dict[str, Any] | None) -> Made | None:
    """None for null, else what `instance` makes."""
    return None if data is None else instance(kind, data)


def instance(kind: type[Made], data: dict[str, Any]) -> Made:
    """An instance of a dataclass from exactly its fields, numbers and words where its annotations say so.

    Raises:
        KeyError, TypeError: a field is missing, unknown, or not of its type.
    """
    for item in fields(kind):  # type: ignore[arg-type]
        _check_type(item.name, str(item.type), data[item.name])
    return kind(**data)


def _check_type(name: str, annotation: str, value: Any) -> None:
    kinds: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    wanted = kinds.get(annotation.removesuffix(" | None"))
    if wanted is None or (value is None and annotation.endswith("| None")):
        return
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; expected {annotation}")
