"""Finds the parts of a graph that kernels may cover: connected and convex, so that each can run in one go.

A node's level counts how often a way to it leaves covered nodes. Levels never fall along an edge, and a way from one
covered node to another by way of one that is not covered gains a level: so covered nodes of one level are convex
together, and each of their connected components is a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.backends.native.functions import FUNCTIONS
from edgekit.backends.native.nodes import HANDLERS
from edgekit.transforms.quantize.layers import MOVERS

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAINS = ("", "ai.onnx", "edgekit")
# At the start of a part the runtime around it does these for nothing, or fuses them into what gives their input.
CHEAP_AT_START = frozenset((*MOVERS, *FUNCTIONS, "Clip"))


@dataclass(frozen=True)
class Part:
    """nodes: in the graph's order, without those of constants. inputs, outputs: float32 values at its border."""

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]


class Parts:
    """The parts of one graph, in its order; fewer with each node that turns out not to be covered.

    Shapes must be known; a value of an open shape is not covered.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._fed = tuple(_fed(graph))
        self._covered = {node for node in self._fed if _may_be_covered(node)}

    def drop(self, node: ir.Node) -> None:
        """From now on `node` is in no part, nor is the other half of its pair."""
        self._covered.discard(node)
        if node.op_type == "QuantizeLinear":
            self._covered.difference_update(use.node for use in node.outputs[0].uses())
        elif node.op_type == "DequantizeLinear" and (maker := _maker(node.inputs[0])) in self._covered:
            self.drop(maker)

    def find(self) -> list[Part]:
        """The parts that hold a layer, in the graph's order."""
        while True:
            found = [part_of(nodes) for nodes in self._components()]
            edges = {node for part in found for node in _cheap_edges(part)}
            if not edges:
                return [part for part in found if any(map(_is_layer, part.nodes))]
            self._covered -= edges

    def _components(self) -> list[list[ir.Node]]:
        levels, groups = self._levels(), _Groups()
        for node in self._fed:
            if node in self._covered:
                groups.join(node, node)
                for maker in _makers(node):
                    if maker in self._covered and levels[maker] == levels[node]:
                        groups.join(maker, node)
        return groups.members()

    def _levels(self) -> dict[ir.Node, int]:
        levels: dict[ir.Node, int] = {}
        for node in self._fed:
            leaves = node not in self._covered
            above = [levels[m] + (leaves and m in self._covered) for m in _makers(node) if m in levels]
            levels[node] = max(above, default=0)
        return levels


class _Groups:
    """Sets of nodes that are joined one pair at a time."""

    def __init__(self) -> None:
        self._parent: dict[ir.Node, ir.Node] = {}

    def join(self, a: ir.Node, b: ir.Node) -> None:
        self._parent[self._root(b)] = self._root(a)

    def members(self) -> list[list[ir.Node]]:
        """In the order in which nodes came."""
        found: dict[ir.Node, list[ir.Node]] = {}
        for node in self._parent:
            found.setdefault(self._root(node), []).append(node)
        return list(found.values())

    def _root(self, node: ir.Node) -> ir.Node:
        while (parent := self._parent.setdefault(node, node)) is not node:
            node = parent
        return node


def part_of(nodes: Sequence[ir.Node]) -> Part:
    """The part of these nodes, with its border as the graph is now."""
    inside = set(nodes)
    given = dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
    inputs = [v for v in given if _maker(v) not in inside and not _is_constant(v)]
    made = [value for node in nodes for value in node.outputs]
    outputs = [v for v in made if v.is_graph_output() or any(use.node not in inside for use in v.uses())]
    return Part(tuple(nodes), tuple(inputs), tuple(outputs))


def constant_makers(part: Part) -> tuple[ir.Node, ...]:
    """The nodes that compute the part's constants, which are in no part themselves, in the order of their results."""
    found: dict[ir.Node, None] = {}

    def visit(node: ir.Node) -> None:
        for value in node.inputs:
            maker = _maker(value)
            if maker is not None and maker not in part.nodes and value not in part.inputs:
                visit(maker)
                found[maker] = None

    for node in part.nodes:
        visit(node)
    return tuple(found)


def _fed(graph: ir.Graph) -> Iterator[ir.Node]:
    """Nodes whose results depend on what the graph is fed."""
    found: set[ir.Node] = set()
    for node in graph:
        values = list(_taken(node))
        if any(v.is_graph_input() or _maker(v) in found for v in values):
            found.add(node)
            yield node


def _taken(node: ir.Node) -> Iterator[ir.Value]:
    """The values of its graph that a node takes, by its subgraphs too."""
    import onnx_ir as ir

    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        graphs = {ir.AttributeType.GRAPH: [attribute.value], ir.AttributeType.GRAPHS: attribute.value}
        for graph in graphs.get(attribute.type, ()):
            for inner in graph:
                yield from (value for value in _taken(inner) if value.graph is not graph)


def _makers(node: ir.Node) -> Iterator[ir.Node]:
    return (maker for value in _taken(node) if (maker := _maker(value)) is not None)


def _maker(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def _may_be_covered(node: ir.Node) -> bool:
    if node.op_type not in HANDLERS or node.domain not in DOMAINS:
        return False
    values = [v for v in node.outputs if v.uses() or v.is_graph_output()]
    values += [v for v in node.inputs if v is not None and (v.is_graph_input() or v.producer() is not None)]
    return all(map(_is_settled, values))


def _is_settled(value: ir.Value) -> bool:
    """A tensor of float32, or of levels, whose shape is known."""
    if value.dtype is None or value.dtype.name not in ("FLOAT", "UINT8", "INT8", "INT32"):
        return False  # INT32: a quantized bias, which is a constant
    return value.shape is not None and all(isinstance(size, int) and size > 0 for size in value.shape)


def _cheap_edges(part: Part) -> Iterator[ir.Node]:
    """Nodes at the part's border that are worth no kernel."""
    inside = set(part.nodes)
    for node in part.nodes:
        first = not any(maker in inside for maker in _makers(node))
        last = not any(use.node in inside for value in node.outputs for use in value.uses())
        if (first and node.op_type in CHEAP_AT_START) or (last and node.op_type in MOVERS):
            yield node


def _is_layer(node: ir.Node) -> bool:
    """Whether it has a weight: a constant of two dimensions or more."""
    weights = (v for v in node.inputs if v is not None and _is_constant(v))
    return any(v.shape is not None and len(v.shape) > 1 for v in weights)


def _is_constant(value: ir.Value) -> bool:
    maker = value.producer()
    if value.is_graph_input() or maker is None:
        return value.const_value is not None
    return all(each is None or _is_constant(each) for each in maker.inputs)
