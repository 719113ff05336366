"""Recipes for ONNX files: data from .npz, sizes from the data, and refusals that name the file and the array."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import CONV, PAIR, exported

from edgekit.building.onnx_recipe import onnx_recipe
from edgekit.errors import DataError, ExportError, RecipeError, TensorError
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
    evaluation = npz(tmp_path / "e.npz", image=IMAGES, target=np.arange(5) * 11)
    recipe = onnx_recipe(conv, calibration=calibration, evaluation=evaluation, metric="top1")
    assert recipe.evaluation is not None
    found = list(recipe.evaluation())
    assert [int(target) for _, target in found] == [0, 11, 22, 33, 44]
    np.testing.assert_array_equal(found[3][0]["image"], IMAGES[3:4])


@pytest.mark.parametrize("missing", ["target", "image"])
def test_evaluation_lacking_an_array_is_refused(conv: Path, tmp_path: Path, missing: str) -> None:
    arrays = {"image": IMAGES, "target": np.arange(5)}
    arrays.pop(missing)
    calibration, evaluation = npz(tmp_path / "c.npz", image=IMAGES), npz(tmp_path / "e.npz", **arrays)
    with pytest.raises(DataError, match=rf"e\.npz has no array '{missing}'; it has .*expected"):
        onnx_recipe(conv, calibration=calibration, evaluation=evaluation, metric="top1")


def test_evaluation_with_fewer_targets_than_samples_is_refused(conv: Path, tmp_path: Path) -> None:
    calibration = npz(tmp_path / "c.npz", image=IMAGES)
    evaluation = npz(tmp_path / "e.npz", image=IMAGES, target=np.arange(4))
    with pytest.raises(DataError, match="different numbers of samples: {'image': 5, 'target': 4}"):
        onnx_recipe(conv, calibration=calibration, evaluation=evaluation, metric="top1")


def test_missing_calibration_array_is_named(pair: Path, tmp_path: Path) -> None:
    data = npz(tmp_path / "c.npz", query=np.zeros((3, 4), np.float32), keys=np.zeros((3, 4), np.float32))
    with pytest.raises(DataError, match=r"c\.npz has no array 'key'; it has \['keys', 'query'\]"):
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


def test_input_without_a_shape_is_refused_with_a_remedy(tmp_path: Path) -> None:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", floats, None)],
        [helper.make_tensor_value_info("y", floats, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=r"input 'x' of the graph has no shape or dtype; run onnx\.shape_inference"):
        onnx_recipe(tmp_path / "m.onnx", calibration=npz(tmp_path / "c.npz", x=IMAGES))
