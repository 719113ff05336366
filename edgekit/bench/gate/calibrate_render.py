"""Shows a calibration: as a table with its advice, and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from edgekit.bench.gate.calibrate import Calibration, Row
from edgekit.bench.statistics import Interval

COLUMNS = [
    "slowdown",
    "trials",
    "FAIL",
    "PASS",
    "INCONCLUSIVE",
    "coverage, gate",
    "coverage, bench",
    "seconds: median, 95 %",
]


def calibration_rows(calibration: Calibration) -> list[list[str]]:
    """The cells of each effect, in the order of `COLUMNS`."""
    return [_cells(row) for row in calibration.rows]


def _cells(row: Row) -> list[str]:
    return [
        "none" if row.effect == 0 else f"{row.effect * 100:g} %",
        str(row.trials),
        *(_share(found) for found in (row.fail, row.passed, row.inconclusive, row.covered, row.covered_fixed)),
        f"{row.seconds[0]:.1f}, {row.seconds[1]:.1f}",
    ]


def _share(found: Interval) -> str:
    return f"{found.value * 100:.0f} % [{found.low * 100:.0f}, {found.high * 100:.0f}]"


def advice(calibration: Calibration) -> list[str]:
    """What to set, in sentences."""
    profile, threshold = calibration.profile, calibration.profile.thresholds["latency"]
    looks = "/".join(map(str, profile.looks))
    said = [f"A session's ratio varies by {calibration.session_deviation * 100:.2f} % (standard deviation)."]
    smallest = calibration.smallest_threshold
    if smallest is None:
        said.append(
            f"With {looks} sessions no threshold up to 20 % tells identical builds from slower ones 95 times in 100: "
            "use a quieter machine, or more sessions."
        )
    else:
        said.append(
            f"With {looks} sessions the smallest threshold that passes 95 % of identical builds, and fails 95 % of "
            f"slowdowns twice its size, is {smallest * 100:g} %: --threshold latency={smallest:g}"
        )
    needed = calibration.sessions_needed
    if needed is None:
        said.append(f"The threshold of {threshold * 100:g} % takes more than {4 * profile.looks[-1]} sessions here.")
    else:
        said.append(f"The threshold of {threshold * 100:g} % takes {needed} sessions for that.")
    return said


def calibration_to_json(calibration: Calibration) -> dict[str, Any]:
    """Everything, trials included; infinite bounds are null."""
    data: dict[str, Any] = {"edgekit_calibration": 1, **asdict(calibration), "advice": advice(calibration)}
    for trial in data["trials"]:
        trial["outcome"] = trial["outcome"].value
        trial["interval"] = {name: bound if math.isfinite(bound) else None for name, bound in trial["interval"].items()}
    return data
