"""The chart of a series over time, as SVG text to put inside a page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from edgekit.bench.history.series import Series, levels
from edgekit.bench.history.words import metric_title, value_text
from edgekit.bench.plots import PALETTE, TEXT, drawing_style, empty_figure, svg_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIRECTION_COLORS = {"worse": PALETTE[6], "better": PALETTE[2], "unclear": "#8a8f98"}


def series_chart(series: Series, *, name: str = "series") -> str:
    """Results over time, with the median of each stretch and a vertical line at each change.

    name: unlike that of any other figure of the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return svg_element(series_figure(series), name)


def series_figure(series: Series) -> Figure:
    """The figure behind `series_chart`."""
    with drawing_style():
        figure, axes = empty_figure(height_inches=2.8)
        dates = [datetime.fromisoformat(point.created) for point in series.points]
        axes.plot(dates, [point.value for point in series.points], "o", color=PALETTE[0], markersize=4)
        for start, end, median in levels(series):
            axes.plot([dates[start], dates[end - 1]], [median, median], color=TEXT, linewidth=1.4)
        for change in series.changes:
            between = dates[change.index - 1] + (dates[change.index] - dates[change.index - 1]) / 2
            axes.axvline(between, color=DIRECTION_COLORS[change.direction], linewidth=1.6)
        _label_axes(axes, series)
        return figure


def _label_axes(axes: Any, series: Series) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: value_text(series, value)))
    axes.grid(visible=False, axis="x")
    axes.grid(visible=True, axis="y")
    axes.set_ylabel(metric_title(series))
