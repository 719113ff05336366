"""The figures of a report, as SVG text to put inside a page: they take its colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bench.accuracy import PERCENT_METRICS, Accuracy
from edgekit.bench.report import Report, Row
from edgekit.bench.statistics import Interval, Ratio, timed_calls
from edgekit.bench.units import round_duration
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#4c8dd6", "#e08a1e", "#2fa37c", "#c75b9b", "#8e7cc3", "#b59f00", "#d1495b", "#5fa8b8")
# Colours that the page replaces by its own: text, and faint lines.
TEXT, FAINT = "#010203", "#040506"
STYLE = {
    "svg.fonttype": "path",
    "font.size": 10.0,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": FAINT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
}
STRIP_POINTS = 300
POINT: dict[str, Any] = {"fmt": "o", "capsize": 3, "markersize": 7, "elinewidth": 1.2}
# Places for a label around its point, in typographic points, nearest first.
OFFSETS = [(dx, side * dy) for dy in (7, 20, 34, 48) for side in (1, -1) for dx in (9, -9)]


def latency_against_accuracy(report: Report, *, name: str = "scatter") -> str:
    """Median latency (log) against accuracy, with 95 % intervals of both; "" if no row has both.

    name: unlike that of any other figure of the page.
    """
    if not _plotted(report):
        return ""
    return svg_element(scatter_figure(report), name)


def latency_distributions(report: Report, *, name: str = "distributions") -> str:
    """Every arm's call times (log): the calls as dots, quartiles as a box, 5 to 95 % as a line.

    name: unlike that of any other figure of the page.
    """
    return svg_element(distribution_figure(report), name)


def ratio_intervals(report: Report, *, name: str = "ratios") -> str:
    """Each arm's time over the base's (log), with its 95 % interval; "" without another arm.

    name: unlike that of any other figure of the page.
    """
    if not _compared(report):
        return ""
    return svg_element(ratio_figure(report), name)


def ratio_figure(report: Report) -> Figure:
    """The figure behind `ratio_intervals`; at least one row must have a ratio."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    with drawing_style():
        compared = _compared(report)[::-1]  # the first on top
        figure, axes = empty_figure(height_inches=0.9 + 0.34 * len(compared))
        axes.axvline(1.0, color=TEXT, linewidth=1.2)
        for height, (row, ratio) in enumerate(compared):
            bounded = ratio if ratio.low > 0 else Interval(ratio.value, ratio.value, ratio.value)
            axes.errorbar(bounded.value, height, xerr=_bars(bounded), color=_color(report, row), **POINT)
        axes.set_yticks(range(len(compared)), [row.name for row, _ in compared])
        axes.set_ylim(-0.6, len(compared) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _position: f"{ratio:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"time / {report.base} (log scale)")
        return figure


def scatter_figure(report: Report) -> Figure:
    """The figure behind `latency_against_accuracy`; at least one row must have both."""
    with drawing_style():
        figure, axes = empty_figure(height_inches=4.2)
        plotted = _plotted(report)
        for row, x, y in plotted:
            axes.errorbar(x.value, y.value, xerr=_bars(x), yerr=_bars(y), color=_color(report, row), **POINT)
        metric = _accuracies(report)[0].metric
        axes.set_ylabel(f"{metric}, %" if metric in PERCENT_METRICS else metric)
        axes.margins(0.18, 0.12)
        _log_time_axis(axes, [bound for _, x, _ in plotted for bound in (x.low, x.high)])
        _place_labels(figure, axes, [(x.value, y.value, row.name) for row, x, y in plotted])
        return figure


def distribution_figure(report: Report) -> Figure:
    """The figure behind `latency_distributions`."""
    with drawing_style():
        figure, axes = empty_figure(height_inches=0.9 + 0.55 * len(report.rows))
        rows = report.rows[::-1]  # the first on top
        limits = [_strip(axes, height, row, color=_color(report, row)) for height, row in enumerate(rows)]
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.tick_params(axis="y", length=0)
        _log_time_axis(axes, [bound for pair in limits for bound in pair])
        return figure


def _strip(axes: Any, height: int, row: Row, *, color: str) -> tuple[float, float]:
    """Draw one arm's calls; the 5th and 99th percentile, between which the axis has to reach."""
    calls = timed_calls(row.calls_ns)
    low, q1, median, q3, high, end = map(float, np.percentile(calls, (5, 25, 50, 75, 95, 99)))
    rng = np.random.default_rng(0)
    shown = calls if len(calls) <= STRIP_POINTS else rng.choice(calls, STRIP_POINTS, replace=False)
    heights = height + rng.uniform(-0.26, 0.26, len(shown))
    axes.plot(shown, heights, ".", color=color, alpha=0.3, markersize=3.5, markeredgewidth=0)
    axes.plot([low, high], [height, height], color=color, linewidth=1.3)
    axes.barh(height, q3 - q1, left=q1, height=0.34, facecolor="none", edgecolor=color, linewidth=1.5)
    axes.plot([median, median], [height - 0.17, height + 0.17], color=TEXT, linewidth=1.8)
    return low, end


def _plotted(report: Report) -> list[tuple[Row, Interval, Interval]]:
    """Rows that have both latency and accuracy, with these; shares in percent."""
    plotted = []
    for row in report.rows:
        if row.p50_ns is None or row.accuracy is None:
            continue
        scale = 100.0 if row.accuracy.metric in PERCENT_METRICS else 1.0
        bounds = (row.accuracy.value, row.accuracy.low, row.accuracy.high)
        plotted.append((row, row.p50_ns, Interval(*(scale * bound for bound in bounds))))
    return plotted


def _compared(report: Report) -> list[tuple[Row, Ratio]]:
    return [(row, row.ratio) for row in report.rows if row.ratio is not None]


def _accuracies(report: Report) -> list[Accuracy]:
    return [row.accuracy for row in report.rows if row.accuracy is not None]


def _bars(interval: Interval | Ratio) -> list[list[float]]:
    """Lengths of an error bar below and above, in matplotlib's form."""
    return [[max(0.0, interval.value - interval.low)], [max(0.0, interval.high - interval.value)]]


def _color(report: Report, row: Row) -> str:
    return PALETTE[report.rows.index(row) % len(PALETTE)]


def drawing_style() -> Any:
    """The context that every figure is drawn in.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingDependencyError("matplotlib", extra="bench") from error
    return mpl.rc_context(STYLE)


def empty_figure(*, height_inches: float) -> tuple[Figure, Any]:
    """A figure as wide as a page, with one pair of axes; inside `drawing_style`."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, height_inches), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0.0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0.0)
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)
    return figure, axes


def _log_time_axis(axes: Any, times_ns: Sequence[float]) -> None:
    """A logarithmic axis with ticks that read as `50 µs`, and room on either side of the data."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(times_ns), max(times_ns)
    room = max(1.08, (high / low) ** 0.12)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low / room, high * room)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _position: round_duration(ns)))
    axes.set_xlabel("latency of a call (log scale)")


def _ticks(low: float, high: float) -> list[float]:
    """Round times between two bounds: 1, 2, 5 a decade, or an even division if those are too few."""
    from matplotlib.ticker import MaxNLocator

    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    round_times = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    inside = [time for time in round_times if low <= time <= high]
    if len(inside) >= 3:
        return inside
    return [float(time) for time in MaxNLocator(5).tick_values(low, high) if low <= time <= high]


def _place_labels(figure: Figure, axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Write each name beside its point, at the first place around it where no other name or point is."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # places the axes, so that boxes are in their final pixels
    taken = [Bbox.from_bounds(px - 6, py - 6, 12, 12) for px, py in axes.transData.transform([p[:2] for p in points])]
    for x, y, name in points:
        label = axes.annotate(name, (x, y), textcoords="offset points", xytext=OFFSETS[0])
        for offset in (*OFFSETS, OFFSETS[0]):
            label.set(
                position=offset,
                ha="left" if offset[0] > 0 else "right",
                va="bottom" if offset[1] > 0 else "top",
            )
            box = label.get_window_extent().padded(1.5)
            if axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1) and not box.count_overlaps(taken):
                break
        taken.append(box)


def svg_element(figure: Figure, name: str) -> str:
    """The figure as an <svg> element: page colours for placeholders, and ids unlike other figures'."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT, "currentColor").replace(FAINT, "var(--faint)")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
