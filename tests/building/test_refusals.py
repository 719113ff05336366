"""What cannot be built is refused at once: each message names the node or tensor, and what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import NodeProto, TensorProto, helper
from tiny_graphs import FLOAT, graph, model, node, saved

from edgekit.building.onnx_in import read_float_onnx, read_onnx
from edgekit.building.refusals import reference_function
from edgekit.errors import ExportError
from edgekit.tensors import Array

W = np.ones((3, 3), np.float32)
ONE = np.array(1, np.float32)
BYTE = np.array(0, np.uint8)
NODES: dict[str, tuple[NodeProto, dict[str, Array], str]] = {
    "quantized activations": (
        node("QuantizeLinear", ["x", "one", "byte"], ["y"], name="q"),
        {"one": ONE, "byte": BYTE},
        r"node 'q' \(QuantizeLinear\) is of a graph that is quantized already; give the float model",
    ),
    "quantized weights": (
        node("DequantizeLinear", ["byte", "one"], ["y"], name="dq"),
        {"one": ONE, "byte": BYTE},
        r"node 'dq' \(DequantizeLinear\) is of a graph that is quantized already",
    ),
    "ranges found on the device": (
        node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"]),
        {},
        r"node 'DynamicQuantizeLinear_y' .*give the float model",
    ),
    "weights of four bits": (
        node("MatMulNBits", ["x", "w"], ["y"], name="nbits", domain="com.microsoft"),
        {"w": W},
        r"node 'nbits' \(com.microsoft::MatMulNBits\) .*give the float model",
    ),
    "an integer layer": (
        node("QLinearMatMul", ["x", "one", "byte", "w", "one", "byte", "one", "byte"], ["y"], name="qmm"),
        {"w": W, "one": ONE, "byte": BYTE},
        r"node 'qmm' \(QLinearMatMul\) .*give the float model",
    ),
    "noise": (
        node("RandomNormalLike", ["x"], ["y"], name="noise"),
        {},
        r"node 'noise' \(RandomNormalLike\) gives other numbers each time.*make the noise an input",
    ),
    "dropout that drops": (
        node("Dropout", ["x", "ratio", "yes"], ["y"], name="drop"),
        {"ratio": ONE / 2, "yes": np.array(True)},
        r"node 'drop' \(Dropout\) is in training mode; export the model in inference mode \(model\.eval\(\)",
    ),
    "statistics of the batch": (
        node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y", "mean", "var"], name="bn", training_mode=1),
        {"w": W[0]},
        r"node 'bn' \(BatchNormalization\) is in training mode",
    ),
    "an op of somebody's own": (
        node("Swirl", ["x"], ["y"], name="swirl", domain="acme.vision"),
        {},
        r"node 'swirl' \(acme.vision::Swirl\) is of domain 'acme.vision', which onnxruntime does not implement; "
        "write it as a function of the model",
    ),
    "an op that never was": (
        node("ConstantFill", ["x"], ["y"], name="fill"),
        {},
        r"node 'fill' \(ConstantFill\) is no op of opset 20; export the model again, at opset 20",
    ),
}


@pytest.mark.parametrize("what", NODES)
def test_node_that_no_build_could_take_is_refused(tmp_path: Path, what: str) -> None:
    refused, weights, message = NODES[what]
    nodes = [node("Relu", ["x"], ["r"], name="relu"), refused]
    with pytest.raises(ExportError, match=message):
        read_float_onnx(saved(graph(nodes, {"x": ["batch", 3]}, {"y": None}, **weights), tmp_path))


def test_nodes_of_branches_and_functions_are_looked_at_too(tmp_path: Path) -> None:
    noisy = helper.make_graph(
        [node("RandomNormalLike", ["x"], ["n"], name="noise")],
        "b",
        [],
        [helper.make_tensor_value_info("n", FLOAT, None)],
    )
    nodes = [
        node("Cast", ["x"], ["b"], to=TensorProto.BOOL),
        node("If", ["b"], ["y"], then_branch=noisy, else_branch=noisy),
    ]
    with pytest.raises(ExportError, match=r"node 'noise' \(RandomNormalLike\)"):
        read_float_onnx(saved(graph(nodes, {"x": []}, {"y": None}), tmp_path))
    whole = model(graph([node("Noisy", ["x"], ["y"], domain="own")], {"x": [3]}, {"y": [3]}), own=1)
    inner = [node("RandomNormalLike", ["a"], ["b"], name="inside")]
    whole.functions.append(helper.make_function("own", "Noisy", ["a"], ["b"], inner, [helper.make_opsetid("", 20)]))
    with pytest.raises(ExportError, match=r"node 'inside' \(RandomNormalLike\)"):
        read_float_onnx(saved(whole, tmp_path))


@pytest.mark.parametrize(
    "harmless",
    [
        node("Dropout", ["x", "ratio", "no"], ["y"]),
        node("Dropout", ["x"], ["y"]),
        node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y"]),
        node("Gelu", ["x"], ["y"], domain="com.microsoft"),
    ],
    ids=["dropout told not to", "dropout by default", "statistics of the training", "an op that onnxruntime brings"],
)
def test_what_only_looks_like_training_or_foreign_is_taken(tmp_path: Path, harmless: NodeProto) -> None:
    weights = {"ratio": ONE / 2, "no": np.array(False), "w": W[0]}
    whole = graph([harmless], {"x": ["batch", 3]}, {"y": None}, **weights)
    path = saved(model(whole, com_microsoft=1), tmp_path)
    assert len(read_float_onnx(path).graph) == 1


def test_training_outputs_of_an_old_normalization_are_refused(tmp_path: Path) -> None:
    nodes = [node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y", "m", "v", "sm", "sv"], name="bn")]
    with pytest.raises(ExportError, match=r"node 'bn' \(BatchNormalization\) is in training mode"):
        read_float_onnx(saved(graph(nodes, {"x": ["batch", 3]}, {"y": None}, w=W[0]), tmp_path, 9))


def test_opset_older_than_the_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"tiny\.onnx is of opset 6; onnxruntime.* implements 7 and newer: export it again"
    ):
        read_float_onnx(saved(graph([node("Relu", ["x"], ["y"])], {"x": [3]}, {"y": [3]}), tmp_path, 6))


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE", "BFLOAT16"])
def test_other_float_inputs_are_refused(tmp_path: Path, dtype: str) -> None:
    whole = graph([node("Relu", ["x"], ["y"])], {"x": [3]}, {"y": [3]})
    for value in (*whole.input, *whole.output):
        value.type.tensor_type.elem_type = TensorProto.DataType.Value(dtype)
    with pytest.raises(ExportError, match=r"input 'x' is b?float(16|64); .* from float32, .*give the float32 model"):
        read_float_onnx(saved(whole, tmp_path))


def test_weights_of_half_precision_are_refused_and_a_lone_constant_is_not(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        node("MatMul", ["h", "w"], ["m"]),
        node("Cast", ["m"], ["y"], to=TensorProto.FLOAT),
    ]
    with pytest.raises(ExportError, match=r"weight 'w' is float16; .*give the float32 model"):
        read_float_onnx(saved(graph(nodes, {"x": [1, 3]}, {"y": None}, w=W.astype(np.float16)), tmp_path))
    nodes = [node("Cast", ["half"], ["f"], to=TensorProto.FLOAT), node("Mul", ["x", "f"], ["y"])]
    read_float_onnx(saved(graph(nodes, {"x": [1, 3]}, {"y": None}, half=np.array(0.5)), tmp_path))


def test_input_that_edgekit_cannot_feed_is_refused(tmp_path: Path) -> None:
    whole = graph([node("Cast", ["x"], ["y"], to=FLOAT)], {"x": [3]}, {"y": [3]})
    whole.input[0].type.tensor_type.elem_type = TensorProto.UINT16
    with pytest.raises(ExportError, match="input 'x' is uint16; edgekit feeds float32, .*: cast it in the graph"):
        read_float_onnx(saved(whole, tmp_path))


def test_input_without_a_dtype_is_refused(tmp_path: Path) -> None:
    whole = graph([node("Relu", ["x"], ["y"])], {"x": [3]}, {"y": [3]})
    whole.input[0].ClearField("type")
    with pytest.raises(ExportError, match=r"input 'x' has no dtype; run onnx\.shape_inference"):
        read_float_onnx(saved(whole, tmp_path))


def test_graph_without_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"tiny\.onnx has no inputs, so there is nothing to run"):
        read_float_onnx(saved(graph([node("Relu", ["w"], ["y"])], {}, {"y": [3, 3]}, w=W), tmp_path))


def sequence_of(kind: Any) -> Any:
    return helper.make_value_info("y", helper.make_sequence_type_proto(kind))


def test_dictionaries_of_scikit_learn_are_refused_with_the_option_that_avoids_them(tmp_path: Path) -> None:
    scores = node("ZipMap", ["x"], ["y"], name="zip", domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    whole = graph([scores], {"x": ["batch", 3]}, {"y": None})
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, None))
    whole.output[0].CopyFrom(sequence_of(kind))
    message = (
        r"output 'y' is of type sequence; .*node 'zip' \(ZipMap\) makes it; convert with options=\{'zipmap': False\}"
    )
    with pytest.raises(ExportError, match=message):
        read_onnx(saved(model(whole, ai_onnx_ml=1), tmp_path))


def test_lists_of_tensors_are_refused(tmp_path: Path) -> None:
    whole = graph([node("SplitToSequence", ["x"], ["y"])], {"x": [2, 3]}, {"y": None})
    whole.output[0].CopyFrom(sequence_of(helper.make_tensor_type_proto(FLOAT, None)))
    with pytest.raises(
        ExportError, match=r"output 'y' is of type sequence; .*export the tensors alone, or cut it off with onnx"
    ):
        read_onnx(saved(whole, tmp_path))


def test_optional_inputs_are_refused(tmp_path: Path) -> None:
    whole = graph([node("OptionalGetElement", ["x"], ["y"])], {"x": [3]}, {"y": None})
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [3]))
    whole.input[0].CopyFrom(helper.make_value_info("x", kind))
    with pytest.raises(
        ExportError, match="input 'x' is of type optional; edgekit feeds and compares tensors of numbers"
    ):
        read_onnx(saved(whole, tmp_path))


def test_text_is_refused(tmp_path: Path) -> None:
    whole = graph([node("Cast", ["x"], ["y"], to=TensorProto.STRING)], {"x": [3]}, {"y": [3]})
    whole.output[0].type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(ExportError, match="output 'y' is of type string; .*encode text outside of the model"):
        read_onnx(saved(whole, tmp_path))


def reference(tmp_path: Path, whole: onnx.GraphProto) -> Any:
    path = saved(whole, tmp_path)
    return reference_function(read_float_onnx(path), path)


def test_what_onnxruntime_refuses_is_said_in_one_line_with_the_node(tmp_path: Path) -> None:
    whole = graph([node("MatMul", ["x", "w"], ["y"], name="mm")], {"x": [1, 4]}, {"y": None}, w=W)
    message = (
        r"tiny\.onnx cannot be run: onnxruntime, which everything is compared with, says: Node \(mm\) Op \(MatMul\) "
        r"\[ShapeInferenceError\] Incompatible dimensions for matrix multiplication$"
    )
    with pytest.raises(ExportError, match=message):
        reference(tmp_path, whole)


def test_op_that_onnxruntime_does_not_have_is_named_with_its_node(tmp_path: Path) -> None:
    whole = graph([node("Swirl", ["x"], ["y"], name="swirl", domain="com.microsoft")], {"x": [3]}, {"y": None})
    message = (
        r"Swirl\(-1\) is not a registered .*, the op of node 'swirl' \(com\.microsoft::Swirl\); export it as standard"
    )
    with pytest.raises(ExportError, match=message):
        reference(tmp_path, whole)


def test_graph_that_fails_on_the_data_is_refused_with_the_node_and_the_shapes(tmp_path: Path) -> None:
    whole = graph(
        [node("Reshape", ["x", "shape"], ["y"], name="rows")], {"x": None}, {"y": None}, shape=np.array([2, 7])
    )
    run = reference(tmp_path, whole)
    message = (
        r"tiny\.onnx does not run on \{'x': 'float32 \[1, 3\]'\} of the given data: node 'rows' \(Reshape\): "
        r"input_shape_size == requested_shape_size was false\. .*Input shape:\{1,3\}, requested shape:\{2,7\}$"
    )
    with pytest.raises(ExportError, match=message):
        run({"x": np.ones((1, 3), np.float32)})


def test_graph_that_runs_gives_what_it_computes(tmp_path: Path) -> None:
    run = reference(tmp_path, graph([node("Neg", ["x"], ["y"])], {"x": ["n"]}, {"y": ["n"]}))
    np.testing.assert_array_equal(run({"x": np.array([1, -2], np.float32)})["y"], [-1, 2])


def test_every_shipped_form_of_our_own_passes(tmp_path: Path) -> None:
    from models import RECIPES, exported

    for recipe in RECIPES.values():
        ir.save(exported(recipe).model, tmp_path / "own.onnx")
        read_float_onnx(tmp_path / "own.onnx")
