"""Shows a history: the changes as a table for each model, and a page with a chart of every series."""

from __future__ import annotations

from typing import Any

from edgekit.bench.history.series import Change, History, Series
from edgekit.bench.history.words import metric_title, value_text

CHANGE_TITLES = ["since", "arm", "metric", "before", "after", "change (95 %)", "p", "direction"]


def change_tables(history: History) -> list[tuple[str, list[list[str]]]]:
    """Each model that changed, with a row a change, the newest first, in the order of CHANGE_TITLES."""
    several = _several_machines(history)
    found = [(series, change) for series in history.series for change in series.changes]
    tables: dict[str, list[list[str]]] = {}
    for series, change in sorted(found, key=lambda pair: pair[1].created, reverse=True):
        tables.setdefault(series.model, []).append(_change_row(series, change, several=several))
    return list(tables.items())


def summary(history: History) -> str:
    """What was looked at and what came of it, in a sentence."""
    tested = [series for series in history.series if series.tested]
    changes = sum(len(series.changes) for series in tested)
    looked_at = f"{len(tested)} of {len(history.series)} series tested"
    return f"{_count(changes, 'change')} in {looked_at}; chance of a false alarm among them: {history.alpha:g}"


def history_page(history: History) -> str:
    """A page that needs no other file: the changes, then a chart of each series, those with changes first.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    from edgekit.bench.render import page

    return page([history_part(history)])


def history_part(history: History) -> dict[str, Any]:
    """The history's part of a page."""
    several = _several_machines(history)
    charts = [_chart(series, number, several=several) for number, series in enumerate(history.series)]
    return {
        "template": "history/history.html.jinja",
        "title": "History",
        "history": history,
        "summary": summary(history),
        "titles": CHANGE_TITLES,
        "tables": change_tables(history),
        "changed": [chart for chart in charts if chart["changes"]],
        "steady": [chart for chart in charts if not chart["changes"]],
    }


def _chart(series: Series, number: int, *, several: bool) -> dict[str, Any]:
    from edgekit.bench.history.plots import series_chart

    return {
        "title": f"{_arm(series, several=several)}: {metric_title(series)}",
        "model": series.model,
        "svg": series_chart(series, name=f"series{number}"),
        "changes": [_sentence(series, change) for change in series.changes],
        "results": _count(len(series.points), "result"),
    }


def _change_row(series: Series, change: Change, *, several: bool) -> list[str]:
    return [
        f"{change.created[:10]} ({change.source})",
        _arm(series, several=several),
        metric_title(series),
        value_text(series, change.before),
        value_text(series, change.after),
        _effect(series, change),
        f"{change.p:.2g}",
        "; ".join([change.direction, *change.also_changed]),
    ]


def _sentence(series: Series, change: Change) -> str:
    levels = f"{value_text(series, change.before)} to {value_text(series, change.after)}, {_effect(series, change)}"
    also = f"; with it {'; '.join(change.also_changed)}" if change.also_changed else ""
    return f"{change.created[:10]} ({change.source}): {change.direction}, {levels}, p = {change.p:.2g}{also}"


def _effect(series: Series, change: Change) -> str:
    """`x 1.05 [1.04, 1.06]`, or `-0.0120 [-0.0150, -0.0100]` for an accuracy."""
    shift = change.effect
    if series.metric == "accuracy":
        return f"{shift.value:+.4f} [{shift.low:+.4f}, {shift.high:+.4f}]"
    return f"x {shift.value:.3f} [{shift.low:.3f}, {shift.high:.3f}]"


def _arm(series: Series, *, several: bool) -> str:
    return f"{series.arm} on {series.machine_name} ({series.machine})" if several else series.arm


def _several_machines(history: History) -> bool:
    return len({series.machine for series in history.series}) > 1


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
