"""Branches keep outputs of their own, whatever simplification takes away around them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper
from tiny_graphs import FLOAT, graph, model, node

from edgekit.parity import onnx_function
from edgekit.transforms.branches import own_outputs
from edgekit.transforms.simplify import simplify

WEIGHTS = {"zero": np.array(0, np.float32), "constant": np.array([[4, 5, 6]], np.float32)}


def branch(name: str, op: str, value: str = "r") -> onnx.GraphProto:
    """A branch that does `op` to a value of the graph around it."""
    return helper.make_graph([node(op, [value], [name])], name, [], [helper.make_tensor_value_info(name, FLOAT, None)])


def branching(passed_on: str = "r") -> ir.Model:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("ReduceMean", ["x"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["positive"]),
        node(
            "If",
            ["positive"],
            ["i"],
            then_branch=branch("same", "Identity", passed_on),
            else_branch=branch("negated", "Neg"),
        ),
        node("Exp", ["i"], ["y"]),
    ]
    return ir.from_proto(model(graph(nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, **WEIGHTS)))


@pytest.mark.parametrize("passed_on", ["r", "x", "constant"])
def test_branch_that_only_passes_a_value_on_survives_simplification(passed_on: str) -> None:
    run, reference = onnx_function(own_outputs(simplify(branching(passed_on)))), onnx_function(branching(passed_on))
    for x in (np.array([[1, -2, 3]], np.float32), np.array([[-1, 2, -3]], np.float32)):
        np.testing.assert_array_equal(run({"x": x})["y"], reference({"x": x})["y"])


def test_branches_with_outputs_of_their_own_are_left_alone() -> None:
    whole = branching()
    before = ir.to_proto(whole).SerializeToString()
    assert ir.to_proto(own_outputs(whole)).SerializeToString() == before
