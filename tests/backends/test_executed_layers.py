"""What is counted over an execution, how it is said in a line, and its JSON."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.backends.execution import (
    ExecutedLayer,
    Execution,
    describe,
    execution_from_json,
    execution_to_json,
    fell_back,
    summary,
)
from edgekit.errors import BackendError

FALLEN = ExecutedLayer("conv_2", "Conv", "f32", "layer", "", 30.0)
MADE = Execution(
    "made",
    (
        ExecutedLayer("q", "QuantizeLinear", "f32", "convert", "", 4.0),
        ExecutedLayer("", "Reorder", "int8", "reorder", "", None),
        ExecutedLayer("conv_1", "Convolution", "int8", "layer", "brgconv_avx512_I8", 10.0),
        FALLEN,
        ExecutedLayer("conv_3", "Convolution", "int8", "layer", "brgconv_avx512_I8", 20.0),
        ExecutedLayer("product", "MatMulNBits", "f32", "layer", "", 10.0, weights="int4"),
        ExecutedLayer("loop", "Loop", "unknown", "layer"),
        ExecutedLayer("softmax", "Softmax", "f32", "other", "", 2.0),
        ExecutedLayer("dq", "DequantizeLinear", "int8", "convert", "", 4.0),
    ),
)


def test_summary_counts_layers_by_precision_and_what_lies_between_them() -> None:
    found = summary(MADE)
    assert next(iter(found.layers.items())) == ("int8", 2)
    assert found.layers == {"int8": 2, "f32": 1, "f32 (int4 weights)": 1, "unknown": 1}
    assert found.time_share == pytest.approx(
        {"int8": 30 / 70, "f32": 30 / 70, "f32 (int4 weights)": 10 / 70, "unknown": 0}
    )
    assert (found.reorders, found.conversions) == (1, 2)
    assert found.overhead_share == pytest.approx(8 / 80)


def test_description_is_one_line() -> None:
    assert describe(MADE) == (
        "2 of 5 int8, 1 f32, 1 f32 (int4 weights), 1 unknown; 1 reorder, 2 conversions (10 % of the profiled time)"
    )
    assert describe(Execution("made", (FALLEN,))) == "1 of 1 f32"
    assert describe(Execution("made", MADE.layers[1:2])) == "no layers; 1 reorder"
    assert describe(Execution("made", ())) == "no layers"


def test_layer_of_unknown_precision_is_not_said_to_have_fallen_back() -> None:
    assert [layer.name for layer in fell_back(MADE, "int8")] == ["conv_2", "product"]
    assert [layer.name for layer in fell_back(MADE, "int4 weights")] == ["conv_1", "conv_2", "conv_3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [{"name": "x"}]}, "expected backend and layers, each with name, op, precision"),
        ({"layers": [{**vars(FALLEN), "colour": 1}]}, "colour"),
        ({"layers": [{**vars(FALLEN), "kind": "heavy"}]}, "unknown kind 'heavy'; expected one of layer, reorder"),
        ({"layers": None}, "not an execution"),
    ],
)
def test_damaged_json_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        execution_from_json(execution_to_json(MADE) | change)
    with pytest.raises(BackendError, match="not an execution"):
        execution_from_json({"layers": []})
