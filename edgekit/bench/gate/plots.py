"""The figure of a gate's report: every interval with its threshold, as SVG text to put inside a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bench.gate.bar import LEFT, RIGHT, in_thresholds
from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.gate.words import change_cell, label
from edgekit.bench.plots import TEXT, drawing_style, empty_figure, svg_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colour and marker of a verdict, so that it can be told without colours too.
LOOKS = {
    Outcome.FAIL: ("#d1495b", "X"),
    Outcome.INCOMPARABLE: ("#8a93a0", "s"),
    Outcome.INCONCLUSIVE: ("#e08a1e", "D"),
    Outcome.PASS: ("#2fa37c", "o"),
}
LONGEST_NAME = 36


def interval_chart(report: GateReport, *, name: str = "intervals") -> str:
    """Every comparison's interval in multiples of what is allowed, with its threshold; "" if nothing was compared.

    name: unlike that of any other figure of the page.
    """
    if not any(verdict.effect for verdict in report.verdicts):
        return ""
    return svg_element(interval_figure(report), name)


def interval_figure(report: GateReport) -> Figure:
    """The figure behind `interval_chart`; at least one comparison must have an interval."""
    with drawing_style():
        verdicts = report.verdicts[::-1]  # the first on top
        figure, axes = empty_figure(height_inches=0.8 + 0.38 * len(verdicts))
        axes.axvline(0.0, color=TEXT, linewidth=0.8, alpha=0.5)
        for height, verdict in enumerate(verdicts):
            _draw_verdict(axes, height, verdict)
        axes.set_yticks(range(len(verdicts)), [_plain(_short(label(verdict))) for verdict in verdicts])
        axes.set_ylim(-0.6, len(verdicts) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(LEFT - 0.15, RIGHT + 0.15)
        axes.set_xticks(range(LEFT, RIGHT + 1), ["-1", "0", "allowed", "2", "3"])
        axes.set_xlabel("change, in multiples of what is allowed")
        return figure


def _draw_verdict(axes: Any, height: int, verdict: Verdict) -> None:
    """Interval, estimate, threshold, and the change in words beside them."""
    color, marker = LOOKS[verdict.outcome]
    words = " ".join(filter(None, change_cell(verdict))) if verdict.effect else "not compared"
    axes.annotate(
        words, (1.0, height), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points", va="center"
    )
    scaled = in_thresholds(verdict)
    if scaled is None:
        return
    effect, limit = scaled
    low, high = (float(np.clip(x, LEFT, RIGHT)) for x in (effect.low, effect.high))
    value = float(np.clip(effect.value, LEFT + 0.12, RIGHT - 0.12))
    axes.plot([low, high], [height, height], color=color, linewidth=2.4, solid_capstyle="butt")
    axes.plot([limit, limit], [height - 0.3, height + 0.3], color=TEXT, linewidth=1.8)
    axes.plot(value, height, marker, color=color, markersize=7.5, markeredgewidth=0)
    for beyond, end, arrow in ((effect.low < LEFT, LEFT, "<"), (effect.high > RIGHT, RIGHT, ">")):
        if beyond:
            axes.plot(end + (0.1 if arrow == ">" else -0.1), height, arrow, color=color, markersize=6)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _plain(text: str) -> str:
    """Text that matplotlib draws as it is: a pair of dollar signs would be taken for a formula."""
    return text.replace("$", r"\$")
