"""How a verdict reads: change, threshold, values and evidence, each in the unit that fits its metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.steady import NO_STEADY_STATE, TAILS_DISAGREE
from edgekit.bench.units import NOTHING, Cell, duration, size

# How to write a metric's two values; those of other metrics are plain numbers.
VALUES: dict[str, Callable[[float], str]] = {"latency": duration, "load": duration, "rss": size, "size": size}

# What each outcome says of some of the comparisons; {} is how many.
SAYINGS = {
    Outcome.FAIL: "{} worse than allowed",
    Outcome.INCOMPARABLE: "{} not comparable",
    Outcome.INCONCLUSIVE: "{} not decided",
    Outcome.PASS: "{} within the threshold",
}

TAGS = {
    NO_STEADY_STATE: "calls became slower or faster within sessions; nothing was left out",
    TAILS_DISAGREE: "p50 or p90 tell another story than the fastest calls, which are what was judged",
}


def headline(report: GateReport) -> str:
    """`FAIL: 1 of 5 worse than allowed (resnet8 latency)`."""
    if not report.verdicts:
        return f"{report.outcome.value}: nothing was compared"
    such = [verdict for verdict in report.verdicts if verdict.outcome is report.outcome]
    if report.outcome is Outcome.PASS:
        return f"PASS: {SAYINGS[Outcome.PASS].format(f'all {len(such)}')}"
    saying = SAYINGS[report.outcome].format(f"{len(such)} of {len(report.verdicts)}")
    return f"{report.outcome.value}: {saying} ({_some(such)})"


def _some(verdicts: list[Verdict]) -> str:
    named = ", ".join(label(verdict) for verdict in verdicts[:3])
    return f"{named} and {len(verdicts) - 3} more" if len(verdicts) > 3 else named


def title(report: GateReport) -> str:
    """`main -> pr`, what was compared."""
    return f"{report.base} → {report.head}"


def circumstances(report: GateReport) -> str:
    """`profile pr, 12.3 s, order seed 7, 2026-01-02T03:04:05+00:00`."""
    return f"profile {report.profile}, {duration(1e9 * report.seconds)}, order seed {report.seed}, {report.created}"


def label(verdict: Verdict) -> str:
    """`resnet8 latency`."""
    return f"{one_line(verdict.model)} {one_line(verdict.metric)}"


def one_line(text: str) -> str:
    """Text without line breaks, and without what would move the cursor of a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))


def change_cell(verdict: Verdict) -> Cell:
    """`+5.1 %` and `[+4.8, +5.5]`; an accuracy's drop in the metric's own unit, `+0.0076` and `[+0.0012, +0.0140]`."""
    if verdict.effect is None:
        return NOTHING, ""
    scale, unit = _change_unit(verdict)
    places = _places(verdict)
    value, low, high = (
        _signed(scale * bound, places) for bound in (verdict.effect.value, verdict.effect.low, verdict.effect.high)
    )
    if verdict.effect.low == verdict.effect.high:
        return f"{value}{unit}", ""
    if not bounded(verdict):
        return f"{value}{unit}", "no interval"
    return f"{value}{unit}", f"[{low}, {high}]"


def bounded(verdict: Verdict) -> bool:
    """Whether there is an interval that says anything: a relative change is above -100 % anyway."""
    least = -math.inf if verdict.metric == "accuracy" else -1.0
    return verdict.effect is not None and (verdict.effect.low > least or verdict.effect.high < math.inf)


def threshold(verdict: Verdict) -> str:
    """`2.5 %`, the most that is allowed."""
    if verdict.effect is None:
        return NOTHING
    scale, unit = _change_unit(verdict)
    return f"{scale * verdict.threshold:g}{unit}"


def detectable(verdict: Verdict) -> str:
    """`1.9 %`, the smallest change that such a run fails 9 times in 10."""
    if verdict.detectable is None or math.isinf(verdict.detectable):
        return NOTHING
    scale, unit = _change_unit(verdict)
    return f"{scale * verdict.detectable:.{_least_places(verdict)}f}{unit}"


def value(verdict: Verdict, number: float | None) -> str:
    """A base's or head's value: `195 µs`, `372 kB`, or a score, `0.9215`."""
    if number is None:
        return NOTHING
    write = VALUES.get(verdict.metric)
    return write(number) if write else f"{number:.4g}"


def values(verdict: Verdict) -> str:
    """`195 µs → 205 µs`."""
    if verdict.base is None and verdict.head is None:
        return NOTHING
    return f"{value(verdict, verdict.base)} → {value(verdict, verdict.head)}"


def evidence_cell(verdict: Verdict) -> Cell:
    """`20 pairs` and `4.10 s`."""
    time = duration(1e9 * verdict.seconds) if verdict.seconds else ""
    if verdict.effect is None and not verdict.pairs:
        return NOTHING, time
    if not verdict.pairs:
        return "exact", time
    return f"{verdict.pairs} {_pairs_word(verdict)}", time


def summary(verdict: Verdict) -> str:
    """All that is known of a verdict in one line, for forms that have no table."""
    if verdict.effect is None:
        return f"{label(verdict)}: {reason(verdict)}"
    needed = f"about {verdict.needed} {_pairs_word(verdict)} needed" if verdict.needed else ""
    facts = (
        f"{_joined(change_cell(verdict), ' ')}, allowed {threshold(verdict)}",
        values(verdict),
        _joined(evidence_cell(verdict), ", "),
        f"detectable {detectable(verdict)}",
        needed,
    )
    return f"{label(verdict)}: {reason(verdict)} ({_joined(facts, '; ')})"


def reason(verdict: Verdict) -> str:
    """Why, with the tags of the measurement: `at least 4.8 % slower; 2.5 % is allowed [no-steady-state]`."""
    tags = f" [{', '.join(verdict.tags)}]" if verdict.tags else ""
    return one_line(verdict.reason + tags)


def _pairs_word(verdict: Verdict) -> str:
    return "samples" if verdict.metric == "accuracy" else "pairs"


def _joined(parts: Iterable[str], separator: str) -> str:
    return separator.join(filter(None, parts))


def used_tags(report: GateReport) -> dict[str, str]:
    """The tags that the verdicts carry, with what they mean; "" for one that nobody has explained."""
    tags = dict.fromkeys(tag for verdict in report.verdicts for tag in verdict.tags)
    return {tag: TAGS.get(tag, "") for tag in tags}


def _change_unit(verdict: Verdict) -> tuple[float, str]:
    return (1.0, "") if verdict.metric == "accuracy" else (100.0, " %")


def _least_places(verdict: Verdict) -> int:
    return 4 if verdict.metric == "accuracy" else 1


def _places(verdict: Verdict) -> int:
    """Decimal places of a change: so many that no bound reads like the threshold that it is above or below."""
    assert verdict.effect is not None  # noqa: S101 - the caller has looked
    scale, _ = _change_unit(verdict)
    bounds = [bound for bound in (verdict.effect.low, verdict.effect.high) if bound != verdict.threshold]
    least = _least_places(verdict)
    for places in range(least, least + 3):
        limit = _signed(scale * verdict.threshold, places)
        if all(_signed(scale * bound, places) != limit for bound in bounds):
            return places
    return least + 3


def _signed(number: float, places: int) -> str:
    if math.isinf(number):
        return "+∞" if number > 0 else "-∞"
    return f"{round(number, places) + 0.0:+.{places}f}"  # + 0.0 makes -0.0 plain zero
