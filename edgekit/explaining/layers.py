"""The layers of a float graph joined with what two runtimes say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from edgekit.backends.execution import ExecutedLayer, Execution
from edgekit.explaining.facts import LayerFacts
from edgekit.explaining.parts import Part


def layer_facts(
    parts: Iterable[Part],
    compressed: Execution,
    floats: Execution | None,
    *,
    alone_db: Mapping[str, float],
    so_far_db: Callable[[str], float | None],
) -> tuple[LayerFacts, ...]:
    """One row for each part, in their order.

    alone_db: by layer. so_far_db: of a float tensor, by its name.
    """
    executed, before = by_name(compressed), by_name(floats) if floats is not None else {}
    rows = []
    for part in parts:
        names = [part.layer, part.tensor, *(node.name for node in part.nodes)]
        ran, plain = _first(executed, names), _first(before, names[:2])
        rows.append(
            LayerFacts(
                layer=part.layer,
                op=part.op,
                output=part.tensor,
                compressed=None if part.lacking else part.compressed,
                precision=ran.precision if ran else "",
                kernel=ran.kernel if ran else "",
                time_us=ran.time_us if ran else None,
                float_time_us=plain.time_us if plain else None,
                alone_db=alone_db.get(part.layer),
                so_far_db=so_far_db(part.tensor),
            )
        )
    return tuple(rows)


def by_name(execution: Execution) -> dict[str, ExecutedLayer]:
    """Executed layers by the name of each ONNX node that they stand for; what multiplies goes before what does not."""
    found: dict[str, ExecutedLayer] = {}
    for layer in sorted(execution.layers, key=lambda layer: layer.kind != "layer"):
        for name in filter(None, layer.name.split(",")):
            found.setdefault(name.strip(), layer)
    return found


def _first(executed: Mapping[str, ExecutedLayer], names: Iterable[str]) -> ExecutedLayer | None:
    """What multiplies under one of these names, else what is executed under the first of them."""
    found = [executed[name] for name in names if name in executed]
    return next((layer for layer in found if layer.kind == "layer"), found[0] if found else None)
