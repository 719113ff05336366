"""Lower: functions of the model's own go back in place of their calls, and mean the same."""

from __future__ import annotations

import models
import onnx
import onnx_ir as ir
import pytest
from models import exported, foreign_model

from edgekit.parity import onnx_function
from edgekit.transforms.lower import lower

FEEDS = {"x": models.samples({"x": (5, 3, 8, 8)}, 1)[0]["x"]}


@pytest.fixture(scope="module")
def lowered() -> ir.Model:
    return lower(ir.from_proto(foreign_model()))


def test_no_function_and_no_call_is_left(lowered: ir.Model) -> None:
    assert not lowered.functions
    assert {node.domain for node in lowered.graph} == {""}
    assert [node.op_type for node in lowered.graph].count("Sigmoid") == 2  # one for each call


def test_outputs_are_the_same_to_the_last_bit(lowered: ir.Model) -> None:
    expected = onnx_function(ir.from_proto(foreign_model()))(FEEDS)["y"]
    assert onnx_function(lowered)(FEEDS)["y"].tobytes() == expected.tobytes()


def test_result_is_a_valid_onnx_model(lowered: ir.Model) -> None:
    onnx.checker.check_model(ir.to_proto(lowered), full_check=True)


def test_model_without_functions_is_left_as_it_is() -> None:
    before = exported(models.CONV).model
    names = [node.name for node in before.graph]
    assert [node.name for node in lower(before).graph] == names
