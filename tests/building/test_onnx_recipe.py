"""Recipes for ONNX files: data from .npz, sizes from the data, and refusals that name the file and the array."""

from __future__ import annotations

import json
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from models import CONV, PAIR, exported
from tiny_graphs import Dims, graph, node, saved

from edgekit.bench.accuracy import negative_mae
from edgekit.building.onnx_in import read_onnx
from edgekit.building.onnx_recipe import load_metric, onnx_recipe
from edgekit.building.refusals import reference_function
from edgekit.bundle import open_bundle
from edgekit.cli.main import cli
from edgekit.errors import DataError, ExportError, MeasurementError, RecipeError, TensorError
from edgekit.export import save_model
from edgekit.feeds import real_feeds
from edgekit.tensors import Array, TensorSpec

IMAGES: Array = np.concatenate([sample["image"] for sample in models.samples({"image": (1, 3, 8, 8)}, 5)])


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "conv-net.onnx"
    save_model(exported(CONV).model, path)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "pair.onnx"
    save_model(exported(PAIR).model, path)
    return path


def npz(path: Path, **arrays: Array) -> Path:
    np.savez(path, **arrays)
    return path


def test_recipe_takes_name_inputs_and_outputs_from_the_graph(conv: Path, tmp_path: Path) -> None:
    recipe = onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=IMAGES), max_drop=0.03)
    assert (recipe.name, recipe.model, recipe.outputs) == ("conv-net", conv, ("scores",))
    assert recipe.inputs == {"image": TensorSpec("float32", ("batch", 3, 8, 8), {"batch": (1, 1)}, name="image")}
    assert recipe.budget.max_drop == 0.03
    assert recipe.evaluation is None


@pytest.mark.parametrize("leading_axis", [False, True], ids=["(5, 3, 8, 8)", "(5, 1, 3, 8, 8)"])
def test_samples_get_the_batch_axis_that_the_input_has(conv: Path, tmp_path: Path, leading_axis: bool) -> None:
    data = IMAGES[:, None] if leading_axis else IMAGES
    recipe = onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=data))
    found = real_feeds(recipe, 99)
    assert [sample["image"].shape for sample in found] == [(1, 3, 8, 8)] * 5
    np.testing.assert_array_equal(np.concatenate([sample["image"] for sample in found]), IMAGES)


def test_input_without_a_batch_axis_gets_none(tmp_path: Path) -> None:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    sizes = [3, 8, 8]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", floats, sizes)],
        [helper.make_tensor_value_info("y", floats, sizes)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "m.onnx")
    recipe = onnx_recipe(tmp_path / "m.onnx", calibration=npz(tmp_path / "c.npz", x=IMAGES))
    assert recipe.inputs["x"].shape == (3, 8, 8)
    assert [sample["x"].shape for sample in real_feeds(recipe, 9)] == [(3, 8, 8)] * 5


def test_several_inputs_are_read_side_by_side(pair: Path, tmp_path: Path) -> None:
    query, key = np.zeros((3, 4), np.float32), np.arange(12, dtype=np.float32).reshape(3, 4)
    recipe = onnx_recipe(pair, calibration=npz(tmp_path / "c.npz", query=query, key=key, more=key))
    found = real_feeds(recipe, 9)
    assert list(found[0]) == ["query", "key"]
    np.testing.assert_array_equal(np.concatenate([sample["key"] for sample in found]), key)


def test_sizes_seen_in_the_data_can_be_widened(conv: Path, tmp_path: Path) -> None:
    data = npz(tmp_path / "c.npz", image=IMAGES)
    assert onnx_recipe(conv, calibration=data, ranges={"batch": (1, 64)}).inputs["image"].ranges == {"batch": (1, 64)}


def test_sizes_range_over_what_was_seen(conv: Path, tmp_path: Path) -> None:
    batches = IMAGES[:4].reshape(2, 2, 3, 8, 8)
    recipe = onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=batches))
    assert recipe.inputs["image"].ranges == {"batch": (2, 2)}


def test_unknown_range_is_refused_with_what_the_graph_has(conv: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no dynamic dimension 'time'; it has \['batch'\]"):
        onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=IMAGES), ranges={"time": (1, 9)})


def test_unsound_range_is_refused(conv: Path, tmp_path: Path) -> None:
    with pytest.raises(TensorError, match="range 9..1 of 'batch'"):
        onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=IMAGES), ranges={"batch": (9, 1)})


def test_evaluation_pairs_each_sample_with_its_target(conv: Path, tmp_path: Path) -> None:
    calibration = npz(tmp_path / "c.npz", image=IMAGES[:1])
    evaluation = npz(tmp_path / "e.npz", image=IMAGES, target=np.arange(5) * 2)
    recipe = onnx_recipe(conv, calibration=calibration, evaluation=evaluation, metric="top1")
    assert recipe.evaluation is not None
    found = list(recipe.evaluation())
    assert [int(target) for _, target in found] == [0, 2, 4, 6, 8]
    np.testing.assert_array_equal(found[3][0]["image"], IMAGES[3:4])


@pytest.mark.parametrize("missing", ["target", "image"])
def test_evaluation_lacking_an_array_is_refused(conv: Path, tmp_path: Path, missing: str) -> None:
    arrays = {"image": IMAGES, "target": np.arange(5)}
    arrays.pop(missing)
    calibration, evaluation = npz(tmp_path / "c.npz", image=IMAGES), npz(tmp_path / "e.npz", **arrays)
    with pytest.raises(DataError, match=rf"e\.npz has no array '{missing}'; known: .*expected"):
        onnx_recipe(conv, calibration=calibration, evaluation=evaluation, metric="top1")


def test_evaluation_with_fewer_targets_than_samples_is_refused(conv: Path, tmp_path: Path) -> None:
    calibration = npz(tmp_path / "c.npz", image=IMAGES)
    evaluation = npz(tmp_path / "e.npz", image=IMAGES, target=np.arange(4))
    with pytest.raises(DataError, match="different numbers of samples: {'image': 5, 'target': 4}"):
        onnx_recipe(conv, calibration=calibration, evaluation=evaluation, metric="top1")


def test_missing_calibration_array_is_named(pair: Path, tmp_path: Path) -> None:
    data = npz(tmp_path / "c.npz", query=np.zeros((3, 4), np.float32), keys=np.zeros((3, 4), np.float32))
    with pytest.raises(DataError, match=r"c\.npz has no array 'key'; did you mean 'keys'\? \(expected query, key\)"):
        onnx_recipe(pair, calibration=data)


def test_inputs_with_differing_counts_are_refused(pair: Path, tmp_path: Path) -> None:
    data = npz(tmp_path / "c.npz", query=np.zeros((3, 4), np.float32), key=np.zeros((2, 4), np.float32))
    with pytest.raises(DataError, match="different numbers of samples: {'query': 3, 'key': 2}"):
        onnx_recipe(pair, calibration=data)


def test_arrays_without_samples_are_refused(conv: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold no samples: {'image': 0}"):
        onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=IMAGES[:0]))


def corrupted(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda _: b"not a zip", lambda content: content[: len(content) // 2], corrupted],
    ids=["empty", "text", "cut off", "altered"],
)
def test_unreadable_data_is_refused_by_file(conv: Path, tmp_path: Path, damage: object) -> None:
    path = npz(tmp_path / "c.npz", image=IMAGES)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=r"c\.npz cannot be read as \.npz"):
        onnx_recipe(conv, calibration=path)


def test_missing_data_is_refused_by_file(conv: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz cannot be read as \.npz: .*No such file"):
        onnx_recipe(conv, calibration=tmp_path / "none.npz")


def test_single_array_file_is_refused_by_file(conv: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", IMAGES)
    with pytest.raises(DataError, match=r"c\.npy cannot be read as \.npz"):
        onnx_recipe(conv, calibration=tmp_path / "c.npy")


def test_pickled_objects_are_never_loaded(conv: Path, tmp_path: Path) -> None:
    data = npz(tmp_path / "c.npz", image=np.array([{"code": "that would run"}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as .npz: Object arrays cannot be loaded"):
        onnx_recipe(conv, calibration=data)


def test_model_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"hello")
    with pytest.raises(ExportError, match=r"m\.onnx is not an ONNX model that can be read"):
        onnx_recipe(tmp_path / "m.onnx", calibration=npz(tmp_path / "c.npz", image=IMAGES))


def relu(tmp_path: Path, shape: Dims) -> Path:
    return saved(graph([node("Relu", ["x"], ["y"])], {"x": shape}, {"y": None}), tmp_path)


def test_sizes_range_over_the_evaluation_too(tmp_path: Path) -> None:
    calibration = npz(tmp_path / "c.npz", x=IMAGES)
    evaluation = npz(tmp_path / "e.npz", x=IMAGES[..., :6], target=IMAGES[..., :6])
    recipe = onnx_recipe(
        relu(tmp_path, ["n", 3, 8, "width"]), calibration=calibration, evaluation=evaluation, metric="negative_mae"
    )
    assert recipe.inputs["x"].ranges == {"n": (1, 1), "width": (6, 8)}


def test_input_without_a_shape_takes_the_shape_of_the_data(tmp_path: Path) -> None:
    recipe = onnx_recipe(relu(tmp_path, None), calibration=npz(tmp_path / "c.npz", x=IMAGES))
    assert recipe.inputs["x"] == TensorSpec("float32", ("batch", 3, 8, 8), {"batch": (1, 1)}, name="x")


def test_data_that_disagree_on_an_unknown_rank_are_refused(tmp_path: Path) -> None:
    calibration = npz(tmp_path / "c.npz", x=IMAGES)
    evaluation = npz(tmp_path / "e.npz", x=IMAGES[:, 0], target=IMAGES[:, 0])
    with pytest.raises(
        DataError, match="the graph gives input 'x' no shape, and calibration and evaluation give it diff"
    ):
        onnx_recipe(relu(tmp_path, None), calibration=calibration, evaluation=evaluation, metric="negative_mae")


def test_data_of_other_sizes_than_the_graph_has_are_refused(conv: Path, tmp_path: Path) -> None:
    with pytest.raises(TensorError, match="'image': size 8 where 3 was expected"):
        onnx_recipe(conv, calibration=npz(tmp_path / "c.npz", image=IMAGES.transpose(0, 2, 3, 1)))


def test_graph_that_does_not_run_on_the_data_is_refused(tmp_path: Path) -> None:
    whole = graph([node("Reshape", ["x", "s"], ["y"], name="rows")], {"x": ["n", "c"]}, {"y": None}, s=np.array([2, 7]))
    with pytest.raises(ExportError, match=r"does not run on \{'x': 'float32 \[1, 8\]'\} .* node 'rows' \(Reshape\)"):
        onnx_recipe(saved(whole, tmp_path), calibration=npz(tmp_path / "c.npz", x=IMAGES[:, 0, 0]))


METRICS = """
def metric(outputs, target):
    return float(outputs["scores"].argmax() == target)

def nearest(outputs, target):
    return -abs(float(outputs["scores"].argmax()) - float(target))

def broken(outputs, target):
    return outputs["score"]

wrong = 3
"""


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    (tmp_path / "my_metrics.py").write_text(METRICS)
    return tmp_path / "my_metrics.py"


def test_metric_may_be_a_function_of_a_file_or_module(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"scores": np.array([[0.1, 0.9, 0.2]])}
    assert load_metric("top1") == "top1"
    for reference, expected in ((f"{metrics}", 1.0), (f"{metrics}:nearest", 0.0)):
        found = load_metric(reference)
        assert callable(found)
        assert found(scores, 1) == expected
    assert load_metric("edgekit.bench.accuracy:negative_mae") is negative_mae
    monkeypatch.chdir(metrics.parent)
    beside = load_metric("my_metrics:nearest")
    assert callable(beside)
    assert beside(scores, 3) == -2.0


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("top2", r"unknown metric 'top2'; did you mean 'top1'\?, or give module:function or path/to/file\.py:function"),
        ("no_such_module:metric", r"metric 'no_such_module:metric' cannot be loaded: ModuleNotFoundError"),
        ("{metrics}:nearer", r"cannot be loaded: AttributeError: .*has no attribute 'nearer'"),
        ("{metrics}:wrong", r"is a int; expected a function \(outputs, target\)"),
        ("gone.py", r"gone\.py"),
    ],
)
def test_metric_that_cannot_be_had_is_refused(metrics: Path, reference: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_metric(reference.format(metrics=metrics))


def test_metric_is_tried_on_the_first_sample(conv: Path, tmp_path: Path, metrics: Path) -> None:
    data = npz(tmp_path / "e.npz", image=IMAGES, target=np.arange(5))
    recipe = onnx_recipe(conv, calibration=data, evaluation=data, metric=f"{metrics}:nearest")
    assert recipe.metric_name == "nearest"
    with pytest.raises(RecipeError, match="metric 'broken' raised KeyError on the first evaluation sample: 'score'"):
        onnx_recipe(conv, calibration=data, evaluation=data, metric=f"{metrics}:broken")


def test_metric_of_one_output_is_refused_for_two(tmp_path: Path) -> None:
    nodes = [node("Neg", ["x"], ["scores"]), node("ArgMax", ["x"], ["label"], axis=1, keepdims=0)]
    whole = graph(nodes, {"x": ["n", 8]}, {"scores": None, "label": None})
    whole.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    data = npz(tmp_path / "e.npz", x=IMAGES[:, 0, 0], target=np.arange(5))
    with pytest.raises(MeasurementError, match=r"there are 2 \(scores, label\); give the recipe a metric function"):
        onnx_recipe(saved(whole, tmp_path), calibration=data, evaluation=data, metric="top1")


def test_top1_of_labels_or_single_values_is_refused(tmp_path: Path) -> None:
    data = npz(tmp_path / "e.npz", x=IMAGES[:, 0, 0], target=np.zeros(5, np.int64))
    labels = graph([node("ArgMax", ["x"], ["label"], axis=1, keepdims=0)], {"x": ["n", 8]}, {"label": None})
    labels.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    with pytest.raises(
        RecipeError, match=r"a row of scores, and output 'label' is int64 \[1\]: give a metric of your own"
    ):
        onnx_recipe(saved(labels, tmp_path), calibration=data, evaluation=data, metric="top1")
    single = graph([node("ReduceMean", ["x"], ["p"], axes=[1])], {"x": ["n", 8]}, {"p": None})
    with pytest.raises(RecipeError, match=r"output 'p' is float32 \[1, 1\]: give a metric of your own"):
        onnx_recipe(saved(single, tmp_path, 13), calibration=data, evaluation=data, metric="top1")


def test_target_that_is_no_class_is_refused(conv: Path, tmp_path: Path) -> None:
    data = npz(tmp_path / "e.npz", image=IMAGES, target=np.array([1, 3, 10, 2, 9]))
    with pytest.raises(
        DataError, match=r"target 10 of evaluation sample 2 is no class of .* 0 to 9; count classes from 0"
    ):
        onnx_recipe(conv, calibration=data, evaluation=data, metric="top1")


def test_old_file_is_built_into_a_bundle_from_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    nodes = [
        node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Squeeze", ["p"], ["flat"], axes=[2, 3]),
        node("MatMul", ["flat", "dense"], ["y"]),
    ]
    weights = {"kernel": rng.standard_normal((16, 3, 3, 3)), "dense": rng.standard_normal((16, 4))}
    whole = graph(nodes, {"x": None}, {"y": None}, **{n: array.astype(np.float32) for n, array in weights.items()})
    path = saved(whole, tmp_path, 11, ir_version=6)
    images = rng.standard_normal((40, 3, 8, 8)).astype(np.float32)
    labels = [int(reference_function(read_onnx(path), path)({"x": image[None]})["y"].argmax()) for image in images]
    npz(tmp_path / "c.npz", x=images[:20])
    npz(tmp_path / "e.npz", x=images, target=np.array(labels))
    data = ["--calibration", tmp_path / "c.npz", "--evaluation", tmp_path / "e.npz"]
    bounds = ["--range", "batch=1:4", "--only", "f32", "--only", "onnxruntime", "--sessions", "1", "--json"]
    arguments = ["build", path, "-o", tmp_path / "x.edgekit", *data, *bounds, tmp_path / "r.json"]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    rows = json.loads((tmp_path / "r.json").read_text())["targets"]["cpu"]
    scores = {row["name"]: row["accuracy"]["value"] for row in rows if row.get("accuracy")}
    assert scores["onnxruntime-f32"] == scores["openvino-f32"] == 1.0
    assert any("int8" in name and score > 0.5 for name, score in scores.items())
    manifest = open_bundle(tmp_path / "x.edgekit").manifest
    assert [str(spec) for spec in manifest.inputs] == ["x: float32[batch=1..4, 3, 8, 8]"]
