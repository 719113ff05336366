"""The gate's report as JSON and back; and result files, which hold gates, benchmarks, or both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.report import instance
from edgekit.bench.statistics import Interval
from edgekit.errors import MeasurementError

VERSION = 1
KEY = "edgekit_gate"


def gate_to_json(report: GateReport) -> dict[str, Any]:
    """A JSON-ready form that `gate_from_json` reads back; an infinite bound, or no detectable change, is null.

    "outcome", the most serious of all verdicts, is there for scripts that read nothing else.
    """
    data = {KEY: VERSION, "outcome": report.outcome.value, **asdict(report)}
    return {**data, "verdicts": [_verdict_to_json(verdict) for verdict in report.verdicts]}


def _verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    data = {**asdict(verdict), "outcome": verdict.outcome.value, "detectable": _finite(verdict.detectable)}
    if verdict.effect is not None:
        data["effect"] = {name: _finite(bound) for name, bound in asdict(verdict.effect).items()}
    return data


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def gate_from_json(data: Any) -> GateReport:
    """The inverse of `gate_to_json`.

    Raises:
        MeasurementError: not a gate's report, one of another version, or one with a missing, unknown or malformed
            field.
    """
    if not isinstance(data, dict) or KEY not in data:
        raise MeasurementError("this is no result of the gate; make one with: edgekit gate ... --json FILE")
    if data[KEY] != VERSION:
        raise MeasurementError(f"gate version {data[KEY]!r}; this edgekit reads version {VERSION}")
    try:
        report = _report({key: value for key, value in data.items() if key not in (KEY, "outcome")})
        if report.outcome is not Outcome(data["outcome"]):
            raise MeasurementError(f"the gate says {data['outcome']}, its verdicts {report.outcome.value}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeasurementError(f"the result of the gate is damaged: {type(error).__name__}: {error}") from error
    return report


def _report(body: dict[str, Any]) -> GateReport:
    for name in ("fingerprint", "raw"):
        if not isinstance(body[name], Mapping):
            raise TypeError(f"{name} is {body[name]!r}; expected an object")
    verdicts = tuple(_verdict(verdict) for verdict in body["verdicts"])
    return instance(GateReport, {**body, "verdicts": verdicts, "notes": _texts("notes", body["notes"])})


def _verdict(data: dict[str, Any]) -> Verdict:
    parts = {
        "outcome": Outcome(data["outcome"]),
        "effect": None if data["effect"] is None else _effect(data["effect"]),
        "tags": _texts("tags", data["tags"]),
    }
    return instance(Verdict, {**data, **parts})


def _effect(data: dict[str, Any]) -> Interval:
    low = -math.inf if data["low"] is None else data["low"]
    high = math.inf if data["high"] is None else data["high"]
    effect = instance(Interval, {**data, "low": low, "high": high})
    if not (math.isfinite(effect.value) and effect.low <= effect.high):
        raise ValueError(f"effect is {effect.value} in [{effect.low}, {effect.high}]")
    return effect


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{name} is {value!r}; expected a list of texts")
    return tuple(value)
