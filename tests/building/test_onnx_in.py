"""ONNX files of any age and origin come out as one form of graph that computes the same; data fill in the gaps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import CONV
from onnx import helper
from tiny_graphs import FLOAT, graph, model, node, saved

from edgekit.building import source
from edgekit.building.onnx_in import read_onnx
from edgekit.building.onnx_recipe import onnx_recipe
from edgekit.building.source import FloatModel, float_model
from edgekit.errors import ExportError, ParityError
from edgekit.export import OPSET
from edgekit.parity import deviation, onnx_function
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.simplify import simplify

RNG = np.random.default_rng(11)
X = RNG.standard_normal((12, 3, 8, 8)).astype(np.float32)
LAYERS = {
    "kernel": RNG.standard_normal((8, 3, 3, 3)).astype(np.float32),
    "gain": RNG.uniform(0.5, 2, 8).astype(np.float32),
    "shift": RNG.standard_normal(8).astype(np.float32),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "dense": (RNG.standard_normal((8, 5)) / 20).astype(np.float32),  # small: a saturated softmax would hide mistakes
}


def old_net(shape: list[int | str | None] | None = None, *, x: str = "x", y: str = "y") -> onnx.GraphProto:
    """An opset 9 net: what changed since is a linear Upsample, Squeeze and Softmax with their old meaning."""
    nodes = [
        node("Conv", [x, "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["conv", "gain", "shift", "shift", "gain"], ["norm"]),
        node("Relu", ["norm"], ["relu"]),
        node("Upsample", ["relu", "scales"], ["up"], mode="linear"),
        node("MaxPool", ["up"], ["pool"], kernel_shape=[16, 16]),
        node("Squeeze", ["pool"], ["flat"], axes=[2, 3]),
        node("MatMul", ["flat", "dense"], ["scores"]),
        node("Softmax", ["scores"], [y]),
    ]
    return graph(nodes, {x: shape}, {y: shape and [shape[0], 5]}, **LAYERS)


def expected(path: Path, feeds: dict[str, Array]) -> Array:
    """What onnxruntime computes from the file itself."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, feeds)[0]
    return found


def built(path: Path, data: dict[str, Array], **options: object) -> FloatModel:
    np.savez(path.with_suffix(".npz"), **data)  # type: ignore[arg-type]
    return float_model(onnx_recipe(path, calibration=path.with_suffix(".npz"), **options))  # type: ignore[arg-type]


def assert_computes(found: FloatModel, path: Path, feeds: dict[str, Array]) -> None:
    (got,) = onnx_function(found.model)(feeds).values()
    error, tolerance = deviation(got, expected(path, feeds))
    assert error <= tolerance


@pytest.mark.parametrize("opset", [9, OPSET])
def test_graph_comes_out_at_our_own_opset_and_computes_the_same(tmp_path: Path, opset: int) -> None:
    whole = old_net(["batch", 3, 8, 8])
    if opset == OPSET:
        whole = onnx.version_converter.convert_version(model(whole, 9), OPSET).graph
        for each in whole.node:
            if each.op_type == "Resize":
                each.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    path = saved(whole, tmp_path, opset)
    found = built(path, {"x": X}, ranges={"batch": (1, 4)})
    assert found.model.opset_imports[""] == OPSET
    assert {"BatchNormalization", "Upsample"}.isdisjoint(each.op_type for each in found.model.graph)
    assert_computes(found, path, {"x": X[:4]})
    assert found.outputs == (TensorSpec("float32", ("batch", 5), {"batch": (1, 4)}, name="y"),)


def test_weights_that_are_inputs_too_are_weights(tmp_path: Path) -> None:
    whole = old_net(["batch", 3, 8, 8])
    whole.input.extend(helper.make_tensor_value_info(name, FLOAT, array.shape) for name, array in LAYERS.items())
    path = saved(whole, tmp_path, 9, ir_version=3)
    found = built(path, {"x": X})
    assert [spec.name for spec in found.inputs] == [str(value.name) for value in found.model.graph.inputs] == ["x"]
    assert_computes(found, path, {"x": X[:1]})


def test_unknown_shape_is_that_of_the_data(tmp_path: Path) -> None:
    path = saved(old_net(None), tmp_path, 9)
    found = built(path, {"x": X}, ranges={"batch": (1, 3)})
    assert found.inputs == (TensorSpec("float32", ("batch", 3, 8, 8), {"batch": (1, 3)}, name="x"),)
    assert_computes(found, path, {"x": X[:3]})


def test_size_that_the_data_vary_in_is_dynamic(tmp_path: Path) -> None:
    path = saved(graph([node("ReduceSum", ["x"], ["y"], axes=[2], keepdims=0)], {"x": None}, {"y": None}), tmp_path, 11)
    np.savez(tmp_path / "c.npz", x=X[:, 0])
    np.savez(tmp_path / "e.npz", x=X[:, 0, :5], target=X[:, 0, :5].sum(2))
    recipe = onnx_recipe(path, calibration=tmp_path / "c.npz", evaluation=tmp_path / "e.npz", metric="negative_mae")
    ranges = {"batch": (1, 1), "x_dim1": (5, 8)}
    assert recipe.inputs["x"] == TensorSpec("float32", ("batch", "x_dim1", 8), ranges, name="x")
    assert float_model(recipe).outputs[0].ranges == {"x_dim1": (5, 8)}


def test_sizes_of_zero_and_less_stand_for_unknown_ones(tmp_path: Path) -> None:
    path = saved(old_net([-1, 3, 0, 0]), tmp_path, 9)
    found = built(path, {"x": X})
    ranges = {"x_dim0": (1, 1), "x_dim2": (8, 8), "x_dim3": (8, 8)}
    assert found.inputs[0] == TensorSpec("float32", ("x_dim0", 3, "x_dim2", "x_dim3"), ranges, name="x")
    assert_computes(found, saved(old_net(["n", 3, "h", "w"]), tmp_path, 9), {"x": X[:1]})


def test_every_value_has_a_shape_where_the_file_gives_none(tmp_path: Path) -> None:
    found = built(saved(old_net(None), tmp_path, 9), {"x": X})
    shapes = {value.name: value.shape for each in found.model.graph for value in each.outputs}
    assert [name for name, shape in shapes.items() if shape is None or not shape.is_static()] == []
    assert shapes["scores"] == ir.Shape([1, 5])


@pytest.mark.parametrize("shape", [None, [None, 3]])
def test_output_without_names_of_sizes_shares_the_inputs(tmp_path: Path, shape: list[int | str | None] | None) -> None:
    path = saved(graph([node("Relu", ["x"], ["y"])], {"x": ["n", 3]}, {"y": shape}), tmp_path)
    assert built(path, {"x": X[:, :, 0, 0]}, ranges={"n": (1, 4)}).outputs[0].shape == ("n", 3)


def test_sizes_that_the_graph_computes_are_followed(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["sizes"]),
        node("Slice", ["sizes", "zero", "one"], ["rows"]),
        node("Concat", ["rows", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([2, 12])}
    path = saved(graph(nodes, {"x": ["n", 3, 8]}, {"y": None}, **weights), tmp_path, 11)
    assert built(path, {"x": X[:, :, 0]}, ranges={"n": (1, 4)}).outputs[0].shape == ("n", 2, 12)


def test_output_of_an_op_that_onnx_does_not_know_has_the_rank_that_was_computed(tmp_path: Path) -> None:
    whole = graph([node("Gelu", ["x"], ["y"], domain="com.microsoft")], {"x": ["n", 3]}, {"y": None})
    path = saved(model(whole, 11, com_microsoft=1), tmp_path)
    found = built(path, {"x": X[:, :, 0, 0]}, ranges={"n": (1, 4)})
    assert found.outputs[0] == TensorSpec("float32", ("y_dim0", 3), {"y_dim0": (1, 4)}, name="y")
    assert_computes(found, path, {"x": X[:2, :, 0, 0]})


def test_wrong_shapes_inside_the_file_do_no_harm(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Shape", ["r"], ["sizes"]),
        node("Gather", ["sizes", "first"], ["rows"]),
        node("Concat", ["rows", "rest"], ["target"], axis=0),
        node("Reshape", ["r", "target"], ["y"]),
    ]
    weights = {"first": np.array([0]), "rest": np.array([-1])}
    whole = graph(nodes, {"x": ["n", 3, 8]}, {"y": ["n", 24]}, **weights)
    whole.value_info.append(helper.make_tensor_value_info("r", FLOAT, [7, 3, 8]))
    path, x = saved(whole, tmp_path, 13), X[:4, :, 0]
    found = built(path, {"x": X[:, :, 0]}, ranges={"n": (1, 4)})
    np.testing.assert_array_equal(onnx_function(found.model)({"x": x})["y"], x.clip(0).reshape(4, 24))


def test_nodes_without_or_with_the_same_names_get_their_own(tmp_path: Path) -> None:
    whole = old_net(["batch", 3, 8, 8])
    for each in whole.node[4:7]:
        each.name = "same"
    found = built(saved(whole, tmp_path, 9), {"x": X})
    names = [each.name for each in found.model.graph]
    assert all(names)
    assert len(set(names)) == len(names)
    assert {"Relu_relu", "same", "MatMul_scores"} <= set(names)


@pytest.mark.parametrize("origin", ["torch", "a file"])
def test_nodes_that_simplification_adds_without_a_name_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    def nameless(given: ir.Model) -> ir.Model:
        made = simplify(given)
        for each in made.graph:
            each.name = None
        return made

    monkeypatch.setattr(source, "simplify", nameless)
    found = float_model(CONV) if origin == "torch" else built(saved(old_net([1, 3, 8, 8]), tmp_path, 9), {"x": X})
    names = [each.name for each in found.model.graph.all_nodes()]
    assert all(names)
    assert len(set(names)) == len(names)


def test_tensors_may_have_any_name(tmp_path: Path) -> None:
    names = {"x": "serving default/x:0", "y": "a=b ü"}
    path = saved(old_net(["batch size", 3, 8, 8], **names), tmp_path, 9)
    found = built(path, {names["x"]: X})
    assert ([spec.name for spec in found.inputs], [spec.name for spec in found.outputs]) == ([names["x"]], [names["y"]])
    assert_computes(found, path, {names["x"]: X[:1]})


def test_nodes_out_of_order_are_sorted(tmp_path: Path) -> None:
    nodes = [node("Neg", ["a"], ["y"]), node("Relu", ["x"], ["a"])]
    path = saved(graph(nodes, {"x": [1, 4]}, {"y": [1, 4]}), tmp_path)
    assert [each.op_type for each in read_onnx(path).graph] == ["Relu", "Neg"]


def test_long_name_of_the_standard_domain_is_understood(tmp_path: Path) -> None:
    whole = model(old_net(["batch", 3, 8, 8]), 9)
    whole.opset_import[0].domain = "ai.onnx"
    path = saved(whole, tmp_path)
    found = built(path, {"x": X})
    assert dict(found.model.opset_imports) == {"": OPSET}
    assert_computes(found, path, {"x": X[:1]})


def test_weights_in_constant_nodes_count_as_weights(tmp_path: Path) -> None:
    digests = set()
    for factor in (1, 2):
        tensor = onnx.numpy_helper.from_array(LAYERS["dense"] * np.float32(factor))
        nodes = [node("Constant", [], ["w"], value=tensor), node("MatMul", ["x", "w"], ["y"])]
        path = saved(graph(nodes, {"x": [1, 8]}, {"y": [1, 5]}), tmp_path, 13)
        digests.add(built(path, {"x": X[:, 0, 0]}).weights_sha256)
    assert len(digests) == 2


def test_branches_are_kept_and_compute_the_same(tmp_path: Path) -> None:
    def branch(name: str, op: str, *inputs: str) -> onnx.GraphProto:
        squeezed = node("Squeeze", ["c"], [f"{name}_flat"], axes=[0])
        nodes = [squeezed, node(op, [f"{name}_flat", *inputs], [name])]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, FLOAT, None)])

    nodes = [
        node("Conv", ["x", "kernel"], ["c"]),
        node("ReduceMean", ["c"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], then_branch=branch("a", "Neg"), else_branch=branch("b", "Mul", "gain")),
    ]
    weights = {"kernel": LAYERS["kernel"], "zero": np.array(0, np.float32), "gain": np.array(3, np.float32)}
    path = saved(graph(nodes, {"x": [1, 3, 8, 8]}, {"y": None}, **weights), tmp_path, 11)
    found = built(path, {"x": X})
    assert "If" in [each.op_type for each in found.model.graph]
    for x in (X[:1], -X[:1]):  # one for each branch
        assert_computes(found, path, {"x": x})


def test_missing_onnx_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no ONNX file at .*none\.onnx"):
        read_onnx(tmp_path / "none.onnx")


@pytest.mark.parametrize("cut", [1, 2])
def test_damaged_onnx_file_is_refused(tmp_path: Path, cut: int) -> None:
    content = model(old_net(), 9).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(b"text\n" if cut == 1 else content[: len(content) // cut])
    with pytest.raises(ExportError, match=r"m\.onnx is not an ONNX model that can be read"):
        read_onnx(tmp_path / "m.onnx")


def test_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    onnx.save(
        model(old_net(["b", 3, 8, 8]), 9),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    (tmp_path / "w.bin").unlink()
    message = r"m\.onnx keeps weights in another file, and there is no .*w\.bin: copy it there too"
    with pytest.raises(ExportError, match=message):
        read_onnx(tmp_path / "m.onnx")


def test_value_that_is_made_twice_is_named(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]
    with pytest.raises(
        ExportError, match=r"tiny\.onnx is not an ONNX model that can be read: Output 'y' is redeclared"
    ):
        read_onnx(saved(graph(nodes, {"x": [1]}, {"y": [1]}), tmp_path))


def without_opset(whole: onnx.ModelProto) -> None:
    whole.opset_import[0].domain = "other"


def with_short_weight(whole: onnx.ModelProto) -> None:
    whole.graph.initializer.append(onnx.TensorProto(name="w", data_type=FLOAT, dims=[3], float_data=[1, 2]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_opset, r"onnx's checker refuses the graph: No opset import for domain '' .* Name: relu OpType: Relu"),
        (with_short_weight, r"3 float values required|cannot reshape"),
    ],
)
def test_file_that_breaks_the_standard_is_refused(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], message: str
) -> None:
    whole = model(graph([node("Relu", ["x"], ["y"], name="relu")], {"x": [1, 8]}, {"y": [1, 8]}))
    spoil(whole)
    with pytest.raises(ExportError, match=message):
        built(saved(whole, tmp_path), {"x": X[:, 0, 0]})


def test_upgrade_that_changes_the_values_is_refused_with_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "upgrade", careless(source.upgrade))
    path = saved(old_net(["batch", 3, 8, 8]), tmp_path, 9)
    message = (
        r"'tiny': the upgrade from opset 9 changed output 'y' by \S+ at \{'batch': 1\}, where \S+ is allowed; "
        r"the first node that differs is 'MatMul_scores' \(MatMul\)"
    )
    with pytest.raises(ParityError, match=message):
        built(path, {"x": X})


def test_upgrade_that_fails_leaves_a_graph_that_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "upgrade", careless(source.upgrade))
    newer = onnx.version_converter.convert_version(model(old_net(["batch", 3, 8, 8]), 9), 13)
    path = saved(newer, tmp_path)
    with pytest.warns(RuntimeWarning, match="the graph stays at opset 13: .* changed output 'y'"):
        found = built(path, {"x": X})
    assert found.model.opset_imports[""] == 13
    assert_computes(found, path, {"x": X[:1]})


def test_simplification_that_changes_the_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "simplify", careless(simplify))
    message = r"simplifying the graph changed output 'y' .*; the first node that differs is 'MatMul_scores' \(MatMul\)"
    with pytest.raises(ParityError, match=message):
        built(saved(old_net(["batch", 3, 8, 8]), tmp_path, 9), {"x": X})


def careless(step: Callable[[ir.Model], ir.Model]) -> Callable[[ir.Model], ir.Model]:
    """`step`, with a weight changed on the way."""

    def changed(given: ir.Model) -> ir.Model:
        made = step(given)
        value = made.graph.initializers["dense"]
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.5), name="dense")
        return made

    return changed
