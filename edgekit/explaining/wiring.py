"""An ONNX graph by the names of its tensors: who computes them, what depends on the inputs, and its pieces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

Piece = tuple[tuple[Any, ...], tuple[str, ...]]
"""Nodes (onnx.NodeProto) in the graph's order, and the names of the tensors that they must be given."""


class Wiring:
    """The top level of an onnx.ModelProto, which stays as it is."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs = tuple(value.name for value in model.graph.input if value.name not in self.constants)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.producers = {name: node for node in model.graph.node for name in node.output if name}
        self._positions = {id(node): position for position, node in enumerate(model.graph.node)}

    @cached_property
    def live(self) -> dict[str, None]:
        """Names of the inputs and of all tensors that depend on them, in the graph's order."""
        found = dict.fromkeys(self.inputs)
        for node in self.model.graph.node:
            if any(name in found for name in reads(node)):
                found.update(dict.fromkeys(name for name in node.output if name))
        return found

    @cached_property
    def readers(self) -> dict[str, list[Any]]:
        """The nodes that read each tensor."""
        found: dict[str, list[Any]] = {}
        for node in self.model.graph.node:
            for name in dict.fromkeys(reads(node)):
                found.setdefault(name, []).append(node)
        return found

    def upstream(self, outputs: Sequence[str], stop: Collection[str]) -> Piece:
        """What computes `outputs`, up to the tensors in `stop` and the graph's inputs."""
        nodes: dict[int, Any] = {}
        given: dict[str, None] = {}
        left = [(name, True) for name in outputs]
        while left:
            name, is_output = left.pop()
            producer = self.producers.get(name)
            if name in self.inputs or (name in stop and not is_output):
                given[name] = None
            elif producer is not None and id(producer) not in nodes:
                nodes[id(producer)] = producer
                left += [(each, False) for each in reads(producer)]
        order = sorted(nodes, key=lambda key: self._positions[key])
        return tuple(nodes[key] for key in order), tuple(name for name in self.live if name in given)

    def downstream(self, name: str) -> dict[str, None]:
        """Names of `name` and of all tensors that depend on it, in the graph's order."""
        found = {name: None}
        for node in self.model.graph.node:
            if any(each in found for each in reads(node)):
                found.update(dict.fromkeys(output for output in node.output if output))
        return found

    def constants_of(self, nodes: Iterable[Any]) -> list[Any]:
        """The initializers that `nodes` read."""
        names = dict.fromkeys(name for node in nodes for name in reads(node))
        return [self.constants[name] for name in names if name in self.constants]


def load(path: Path) -> Wiring:
    """The wiring of the ONNX file at `path`, with the weights that lie beside it."""
    import onnx

    return Wiring(onnx.load(path))


def reads(node: Any) -> list[str]:
    """Names of the tensors that a node reads, those that graphs inside it take from outside included."""
    found = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            found += _taken_from_outside(graph)
    return found


def holds_graphs(node: Any) -> bool:
    """Whether a node has a graph inside, as If and Loop have."""
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _taken_from_outside(graph: Any) -> list[str]:
    own = {value.name for value in (*graph.input, *graph.initializer)}
    taken: list[str] = []
    for node in graph.node:
        taken += [name for name in reads(node) if name not in own]
        own.update(node.output)
    return taken + [value.name for value in graph.output if value.name not in own]
