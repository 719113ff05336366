"""The layers of a float graph joined with what two runtimes say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgekit.backends.execution import ExecutedLayer, Execution
from edgekit.explaining.facts import LayerFacts
from edgekit.transforms.quantize.layers import layers_of

if TYPE_CHECKING:
    import onnx_ir as ir


def layer_facts(
    model: ir.Model,
    compressed: Execution,
    floats: Execution | None,
    *,
    alone_db: Mapping[str, float],
    so_far_db: Callable[[str], float | None],
) -> tuple[LayerFacts, ...]:
    """One row for each layer of the float graph `model`, in its order.

    alone_db: by layer. so_far_db: of a tensor, by its name.
    """
    executed, before = by_name(compressed), by_name(floats) if floats is not None else {}
    names = set(layers_of(model))
    rows = []
    for node in model.graph:
        if node.name not in names:
            continue
        name, output = str(node.name), str(node.outputs[0].name)
        ran = executed.get(name) or executed.get(output)
        plain = before.get(name) or before.get(output)
        rows.append(
            LayerFacts(
                layer=name,
                op=node.op_type,
                output=output,
                precision=ran.precision if ran else "",
                kernel=ran.kernel if ran else "",
                time_us=ran.time_us if ran else None,
                float_time_us=plain.time_us if plain else None,
                alone_db=alone_db.get(name),
                so_far_db=so_far_db(output),
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
