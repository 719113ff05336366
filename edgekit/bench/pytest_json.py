"""Reports as pytest-benchmark's JSON and back: its tools read our results, whose raw times `extra_info` keeps.

    machine_info.edgekit              the fingerprint of the machine, beside the keys that pytest-benchmark has itself
    benchmarks[].extra_info.edgekit   what `extra_info` makes: arm, seed, calls_ns, and the rest of row and report

One benchmark stands for one arm. `stats` describes single calls as pytest-benchmark does; what compares arms is made of
the raw times, which pair up by session and round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.bench.environment import UNAVAILABLE
from edgekit.bench.report import Report, Row, report_from_json, report_to_json
from edgekit.bench.statistics import Calls, Floats, timed_calls
from edgekit.errors import MeasurementError, did_you_mean

KEY = "edgekit"
VERSION = "5.3.1"  # of pytest-benchmark, whose form this is
NO_DATA = (
    "this pytest-benchmark file holds no edgekit data; make one with: edgekit bench ... --pytest-benchmark FILE, "
    "or hand a report's times to the fixture edgekit_benchmark"
)


def to_pytest_benchmark(reports: Sequence[Report]) -> dict[str, Any]:
    """A document as `pytest --benchmark-json` writes it: a group for each report, a benchmark for each arm.

    What a report does not say (the machine's name, the commit) is "unavailable".

    Raises:
        MeasurementError: no reports, or reports of several machines: a document is of one.
    """
    if not reports:
        raise MeasurementError("there is no report to write; give at least one")
    if any(report.fingerprint != reports[0].fingerprint for report in reports):
        raise MeasurementError("the reports are of different machines or software; write a file for each")
    return {
        "machine_info": {**_machine_info(reports[0].fingerprint), KEY: dict(reports[0].fingerprint)},
        "commit_info": _commit_info(),
        "benchmarks": [_benchmark(report, row) for report in reports for row in report.rows],
        "datetime": reports[-1].created,
        "version": VERSION,
    }


def extra_info(report: Report, arm: str) -> dict[str, Any]:
    """What a benchmark's `extra_info["edgekit"]` holds of one arm: with its fellows it makes the whole report again.

    Raises:
        MeasurementError: the report has no such arm.
    """
    data = report_to_json(report)
    rows = {row["name"]: row for row in data.pop("rows")}
    if arm not in rows:
        raise MeasurementError(f"the report has no arm {arm!r}; {did_you_mean(arm, rows)}")
    row = rows[arm]
    return {
        "arm": row.pop("name"),
        "seed": data.pop("seed"),
        "calls_ns": row.pop("calls_ns"),
        "row": row,
        "report": data,
    }


def from_pytest_benchmark(data: Any) -> list[Report]:
    """The reports whose arms are among the benchmarks of a document; a note says which benchmarks are not ours.

    Raises:
        MeasurementError: not pytest-benchmark's form, no edgekit data in it, or data that is damaged.
    """
    return [report_from_json(part) for part in report_parts(data)]


def is_pytest_benchmark(data: Any) -> bool:
    """Whether a JSON value has pytest-benchmark's form."""
    return isinstance(data, dict) and "benchmarks" in data and "machine_info" in data


def report_parts(data: Any) -> list[dict[str, Any]]:
    """Each report of a document in the form that `report_from_json` reads.

    Raises:
        MeasurementError: as `from_pytest_benchmark`, but for what is wrong inside a report.
    """
    if not is_pytest_benchmark(data):
        raise MeasurementError("this is not a file of pytest-benchmark: it has no benchmarks, or no machine_info")
    try:
        entries = [(entry["fullname"], (entry.get("extra_info") or {}).get(KEY)) for entry in data["benchmarks"]]
        parts = _joined([_apart(extra) for _, extra in entries if extra is not None])
        if parts:
            parts[0]["notes"] = [*parts[0]["notes"], *_left_out([name for name, extra in entries if extra is None])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeasurementError(f"the pytest-benchmark file is damaged: {type(error).__name__}: {error}") from error
    if not parts:
        raise MeasurementError(NO_DATA)
    return parts


def _apart(extra: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report without its rows, and the one row: the inverse of `extra_info`."""
    header = {**extra["report"], "seed": extra["seed"]}
    return header, {**extra["row"], "name": extra["arm"], "calls_ns": extra["calls_ns"]}


def _joined(arms: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
    """Reports of rows that have the same header; a second row of one name belongs to another report."""
    found: list[tuple[dict[str, Any], dict[str, dict[str, Any]]]] = []
    for header, row in arms:
        homes = (rows for known, rows in found if known == header and row["name"] not in rows)
        home = next(homes, None)
        if home is None:
            home = {}
            found.append((header, home))
        home[row["name"]] = row
    return [{**header, "rows": list(rows.values())} for header, rows in found]


def _left_out(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    some = ", ".join(map(str, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [f"Benchmarks of the file that hold no edgekit data are left out: {some}."]


def _benchmark(report: Report, row: Row) -> dict[str, Any]:
    return {
        "group": report.title,
        "name": row.name,
        "fullname": f"{report.title}::{row.name}",
        "params": {"arm": row.name, "backend": row.backend, "precision": row.precision, "threads": row.threads},
        "param": row.name,
        "extra_info": {KEY: extra_info(report, row.name)},
        "options": {"disable_gc": True, "timer": "perf_counter_ns", "warmup": True},
        "stats": _stats(row.calls_ns),
    }


def _stats(calls_ns: Calls) -> dict[str, Any]:
    """What pytest-benchmark says of single calls, in seconds, by its definitions; a chunk's first call is left out.

    Source: Stats in its stats.py; the quartiles of an odd number are those of "method 3" in
        https://en.wikipedia.org/wiki/Quartile#Computing_methods
    """
    data: Floats = timed_calls(calls_ns) / 1e9
    ordered = np.sort(data)
    q1, q3 = _quartiles(ordered)
    iqr, mean = q3 - q1, float(data.mean())
    stddev = float(data.std(ddof=1)) if len(data) > 1 else 0.0
    inside = ordered[(ordered >= q1 - 1.5 * iqr) & (ordered <= q3 + 1.5 * iqr)]
    beyond_stddev, beyond_iqr = int(np.count_nonzero(np.abs(data - mean) > stddev)), len(data) - len(inside)
    return {
        "min": float(ordered[0]),
        "max": float(ordered[-1]),
        "mean": mean,
        "stddev": stddev,
        "rounds": len(data),
        "median": float(np.median(data)),
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond_iqr,
        "stddev_outliers": beyond_stddev,
        "outliers": f"{beyond_stddev};{beyond_iqr}",
        "ld15iqr": float(inside[0]),
        "hd15iqr": float(inside[-1]),
        "ops": 1 / mean if mean else 0.0,
        "total": float(data.sum()),
        "data": data.tolist(),
        "iterations": 1,
    }


def _quartiles(ordered: Floats) -> tuple[float, float]:
    """Medians of the halves; an odd number's are between the halves with the middle value and those without it."""
    sizes = [size for size in (len(ordered) // 2, (len(ordered) + 1) // 2) if size]
    lower = [float(np.median(ordered[:size])) for size in sizes]
    upper = [float(np.median(ordered[-size:])) for size in sizes]
    return sum(lower) / len(lower), sum(upper) / len(upper)


def _machine_info(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """pytest-benchmark's own keys, from what the report knows of its machine, which need not be this one."""
    known = {name: fingerprint.get(name, UNAVAILABLE) for name in ("cpu", "arch", "cores", "python", "kernel")}
    system, _, release = str(known["kernel"]).partition(" ")
    return {
        "node": UNAVAILABLE,
        "processor": known["arch"],
        "machine": known["arch"],
        "python_compiler": UNAVAILABLE,
        "python_implementation": UNAVAILABLE,
        "python_implementation_version": known["python"],
        "python_version": known["python"],
        "python_build": [UNAVAILABLE, UNAVAILABLE],
        "release": release or UNAVAILABLE,
        "system": system,
        "cpu": {"brand_raw": known["cpu"], "arch_string_raw": known["arch"], "count": known["cores"]},
    }


def _commit_info() -> dict[str, Any]:
    return {
        "id": UNAVAILABLE,
        "time": None,
        "author_time": None,
        "dirty": False,
        "project": KEY,
        "branch": UNAVAILABLE,
    }
