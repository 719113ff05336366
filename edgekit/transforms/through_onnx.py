"""Hand a graph to a function of the onnx package, which takes and gives whole protobuf messages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

SMALL_BYTES = 1024  # shapes, axes and the like, whose values onnx needs


def through_onnx(model: ir.Model, function: Callable[[Any], Any]) -> ir.Model:
    """What `function`, ModelProto -> ModelProto, makes of the graph, as a new model with the same weights.

    Weights beyond `SMALL_BYTES` stay behind, and look like inputs meanwhile: onnx copies all that it gets several
    times, and takes at most 2 GB.
    """
    import onnx_ir as ir

    with _large_weights_as_inputs(model) as weights:
        proto = ir.to_proto(model)
    made: ir.Model = ir.from_proto(function(proto))
    for value in [value for value in made.graph.inputs if value.name in weights]:
        made.graph.inputs.remove(value)
        value.const_value = weights[str(value.name)]
        made.graph.initializers.add(value)
    return made


@contextlib.contextmanager
def _large_weights_as_inputs(model: ir.Model) -> Iterator[dict[str, Any]]:
    """The values of large weights by name."""
    graph = model.graph
    large = {
        name: value
        for name, value in graph.initializers.items()
        if value.const_value is not None and value.const_value.nbytes > SMALL_BYTES
    }
    try:
        for name, value in large.items():
            del graph.initializers[name]
            graph.inputs.append(value)
        yield {name: value.const_value for name, value in large.items()}
    finally:
        for value in large.values():
            graph.inputs.remove(value)
            graph.initializers.add(value)
