"""Names of nodes: each has one, none is there twice, and one that was there stays."""

from __future__ import annotations

import onnx_ir as ir
from onnx import helper
from tiny_graphs import FLOAT, graph, model, node

from edgekit.transforms.names import name_nodes


def names(*nodes: tuple[str, str]) -> list[str | None]:
    """Of a chain of nodes, given as (op, name)."""
    chain = [node(op, [f"v{index}"], [f"v{index + 1}"], name=name) for index, (op, name) in enumerate(nodes)]
    whole = ir.from_proto(model(graph(chain, {"v0": [2]}, {f"v{len(nodes)}": [2]})))
    return [each.name for each in name_nodes(whole).graph]


def test_node_without_a_name_is_called_by_op_and_output() -> None:
    assert names(("Relu", ""), ("Neg", "mine")) == ["Relu_v1", "mine"]


def test_name_that_is_there_twice_stays_with_the_first() -> None:
    assert names(("Relu", "same"), ("Neg", "same"), ("Abs", "same")) == ["same", "Neg_v2", "Abs_v3"]


def test_new_name_is_never_one_that_another_node_bears() -> None:
    assert names(("Relu", ""), ("Neg", "Relu_v1")) == ["Relu_v1_", "Relu_v1"]


def test_nodes_of_subgraphs_differ_from_those_outside() -> None:
    branches = {
        f"{branch}_branch": helper.make_graph(
            [node("Neg", ["x"], ["inner"], name="same")],
            branch,
            [],
            [helper.make_tensor_value_info("inner", FLOAT, [2])],
        )
        for branch in ("then", "else")
    }
    nodes = [node("Cast", ["x"], ["b"], to=9, name="same"), node("If", ["b"], ["y"], **branches)]
    whole = name_nodes(ir.from_proto(model(graph(nodes, {"x": []}, {"y": None}))))
    assert sorted(str(each.name) for each in whole.graph.all_nodes()) == ["If_y", "Neg_inner", "Neg_inner_", "same"]
