"""A stored result as one side of a gate: what of it can be held against another measurement, and what never can."""

from __future__ import annotations

from pathlib import Path

from edgekit.bench.environment import fingerprint
from edgekit.bench.fingerprints import differences, software_differences
from edgekit.bench.gate.evidence import Counted
from edgekit.bench.gate.judge import ALPHA, Profile
from edgekit.bench.gate.reasons import reason
from edgekit.bench.gate.verdict import Outcome, Verdict
from edgekit.bench.report import Report, Row
from edgekit.bench.results import read_reports
from edgekit.bench.statistics import Interval
from edgekit.errors import MeasurementError
from edgekit.gating.pairs import Pairing, incomparable

ADVICE = "measure both in one job: name both models, or the base's revision with --base-rev"


def is_stored(name: str) -> bool:
    """Whether a side is a result file."""
    return name.endswith(".json")


def compare_stored(base: str, head: str, profile: Profile) -> Pairing:
    """Bytes on disk are judged, times never: two jobs differ by more than most regressions, on one machine too.

    Each arm of the base's reports is looked for in the head's, by its exact name.

    Raises:
        MeasurementError: a file is not there, or cannot be read.
    """
    before = _arms(base)
    if not is_stored(head):
        return Pairing(verdicts=[_other_job(name, report, None) for name, (report, _) in before.items()])
    after = _arms(head)
    pairing = Pairing()
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            side = "base" if name in before else "head"
            pairing.verdicts.append(incomparable(name, f"{name!r} is in the {side} alone: removed, added or renamed"))
            continue
        (report, row), (other, new) = before[name], after[name]
        pairing.verdicts.append(_other_job(name, report, other))
        pairing.verdicts += _size(name, row, new, profile)
    return pairing


def _arms(path: str) -> dict[str, tuple[Report, Row]]:
    if not Path(path).is_file():
        raise MeasurementError(f"no result at {path}; make one with: edgekit bench ... --json {path}")
    return {f"{report.title}: {row.name}": (report, row) for report in read_reports(Path(path)) for row in report.rows}


def _other_job(name: str, base: Report, head: Report | None) -> Verdict:
    now = head.fingerprint if head is not None else fingerprint()
    if machine := differences(base.fingerprint, now):
        why = f"the baseline is from another machine ({'; '.join(machine)})"
    elif software := software_differences(base.fingerprint, now):
        why = f"the baseline was measured with other software ({'; '.join(software)})"
    else:
        why = "the baseline was measured in another job; on this machine too, times move between jobs"
    return incomparable(name, f"{why}; {ADVICE}", "latency")


def _size(name: str, base: Row, head: Row, profile: Profile) -> list[Verdict]:
    if not base.size_bytes or not head.size_bytes:
        return []
    change, threshold = head.size_bytes / base.size_bytes - 1, profile.thresholds["size"]
    outcome = Outcome.PASS if change <= threshold else Outcome.FAIL
    return [
        Verdict(
            model=name,
            metric="size",
            outcome=outcome,
            effect=Interval(change, change, change),
            threshold=threshold,
            base=base.size_bytes,
            head=head.size_bytes,
            pairs=0,
            seconds=0.0,
            detectable=None,
            reason=reason("size", Counted(change), threshold, outcome=outcome, alpha=ALPHA),
        )
    ]
