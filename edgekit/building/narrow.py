"""Of the variants whose graphs have the same shape, and so the same speed, the most exact one goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.building.clock import Clock
from edgekit.building.graphs import Graphs, graph_name
from edgekit.building.guide import Guide
from edgekit.building.variants import Variant
from edgekit.errors import BackendError
from edgekit.progress import Progress


def narrow(
    planned: Sequence[Variant], graphs: Graphs, *, guide: Guide, clock: Clock, progress: Progress
) -> dict[Variant, str]:
    """The variants that are left out, each with the reason.

    What the quantizer refuses, or what there was no time for, is not left out here: compiling it will tell.
    """
    families: dict[tuple[str, str, str], list[Variant]] = {}
    for variant in planned:
        families.setdefault(variant.family, []).append(variant)
    contested = [family for family in families.values() if len(family) > 1]
    measured = _sqnrs([variant for family in contested for variant in family], graphs, guide, clock, progress)
    left_out: dict[Variant, str] = {}
    for family in contested:
        found = {variant: measured[graph_name(variant)] for variant in family if graph_name(variant) in measured}
        left_out.update(_all_but_the_best(found))
    return left_out


def _sqnrs(
    variants: Sequence[Variant], graphs: Graphs, guide: Guide, clock: Clock, progress: Progress
) -> dict[str, float]:
    """The signal-to-noise ratio of each graph that can be made and run, by its name."""
    found: dict[str, float] = {}
    by_graph = {graph_name(variant): variant for variant in variants}
    for done, (name, variant) in enumerate(by_graph.items()):
        progress("calibrate", done, len(by_graph))
        if clock.why_over():
            break
        try:
            found[name] = guide.sqnr_db(graphs.file(variant))
        except BackendError:  # compiling it will tell
            continue
    if by_graph:
        progress("calibrate", len(by_graph), len(by_graph))
    return found


def _all_but_the_best(found: Mapping[Variant, float]) -> dict[Variant, str]:
    if not found:
        return {}
    best = max(found, key=lambda variant: found[variant])
    return {
        variant: f"noisier than {best.method}, of the same speed: {sqnr:.1f} against {found[best]:.1f} dB"
        for variant, sqnr in found.items()
        if variant is not best
    }
