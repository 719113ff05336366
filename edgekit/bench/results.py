"""Result files of `edgekit bench` and `edgekit gate`: one result or several, in our form or pytest-benchmark's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edgekit.bench.gate import codec
from edgekit.bench.gate.verdict import GateReport
from edgekit.bench.pytest_json import is_pytest_benchmark, report_parts
from edgekit.bench.report import Report, report_from_json
from edgekit.bench.scenarios import report as scenarios
from edgekit.errors import MeasurementError

Made = TypeVar("Made")


def read_reports(path: Path) -> list[Report]:
    """The reports in a JSON file: one that `write_report` wrote, a list of several, or pytest-benchmark's form.

    Raises:
        MeasurementError: the file is not there, not JSON, or holds anything but such reports.
    """
    return _read_each(path, report_from_json)


def read_results(path: Path) -> list[Report | scenarios.ScenarioReport | GateReport]:
    """As `read_reports`, and results of scenarios and of the gate too.

    Raises:
        MeasurementError: the file is not there, not JSON, or holds anything but such results.
    """
    return _read_each(path, _result)


def _result(data: Any) -> Report | scenarios.ScenarioReport | GateReport:
    if isinstance(data, dict) and codec.KEY in data:
        return codec.gate_from_json(data)
    if isinstance(data, dict) and scenarios.KEY in data:
        return scenarios.scenario_from_json(data)
    return report_from_json(data)


def _read_each(path: Path, from_json: Callable[[Any], Made]) -> list[Made]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        results = [from_json(part) for part in _parts(data)]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MeasurementError(f"{path} cannot be read as a report: {error}") from error
    except MeasurementError as error:
        raise MeasurementError(f"{path}: {error}") from error
    if not results:
        raise MeasurementError(f"{path} holds no report; make one with: edgekit bench ... --json FILE")
    return results


def _parts(data: Any) -> list[Any]:
    if is_pytest_benchmark(data):
        return list(report_parts(data))
    return data if isinstance(data, list) else [data]
