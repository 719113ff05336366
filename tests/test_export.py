"""Export: named dynamic dimensions that stay dynamic, refusals that say what to write instead, whole files or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from models import BATCH, CONV, LABEL, PAIR, RECIPES, SEQUENCE, exported, recipe_of
from torch import Tensor, nn

from edgekit.errors import ExportError
from edgekit.export import export, save_model, traced_sizes
from edgekit.parity import check_parity, onnx_function, torch_outputs
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec

VECTOR = TensorSpec("float32", ("batch", 6), BATCH)


def shape_of(value: ir.Value) -> list[int | str]:
    assert value.shape is not None
    return [dim if isinstance(dim, int) else str(dim.value) for dim in value.shape]


def outputs_in_onnxruntime(path: Path, feeds: dict[str, Array]) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class FixesBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, -1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x - 1


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the layer is on fire")


class TakesKeyFirst(nn.Module):
    def forward(self, key: Tensor, query: Tensor) -> Tensor:
        return key - query


class HasBothNames(nn.Module):
    """Its graph has values called `linear` and `relu`, as torch names them, before the output."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x))) * 2


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_graph_bears_the_names_of_the_recipe(recipe: Recipe) -> None:
    graph = exported(recipe).model.graph
    assert [value.name for value in graph.inputs] == list(recipe.inputs)
    assert [value.name for value in graph.outputs] == list(recipe.outputs)
    assert [shape_of(value) for value in graph.inputs] == [list(spec.shape) for spec in recipe.input_specs]


@pytest.mark.parametrize(
    ("recipe", "shapes"),
    [
        (CONV, [["batch", 10]]),
        (SEQUENCE, [["batch", "time", 5]]),
        (LABEL, [["batch", 4], ["batch"]]),
        (PAIR, [["batch", 3]]),
    ],
    ids=lambda value: value.name if isinstance(value, Recipe) else "",
)
def test_dynamic_dimensions_stay_symbolic_up_to_the_outputs(recipe: Recipe, shapes: list[list[int | str]]) -> None:
    graph = exported(recipe).model.graph
    assert [shape_of(value) for value in graph.outputs] == shapes
    along_the_way = [shape_of(value) for node in graph for value in node.outputs]
    assert all(isinstance(shape[0], str) for shape in along_the_way), along_the_way


def test_an_internal_value_carries_the_dimensions_names() -> None:
    value = next(v for node in exported(SEQUENCE).model.graph for v in node.outputs if v.name == "tanh")
    assert shape_of(value) == ["batch", "time", 5]


@pytest.mark.parametrize("sizes", [{"batch": 1, "time": 3}, {"batch": 5, "time": 17}, {"batch": 6, "time": 40}])
def test_model_runs_at_sizes_that_were_not_traced(tmp_path: Path, sizes: dict[str, int]) -> None:
    found = exported(SEQUENCE)
    assert sizes != found.traced_sizes
    save_model(found.model, tmp_path / "m.onnx")
    feeds = models.samples({"frames": (sizes["batch"], sizes["time"], 4)}, 1)[0]
    got = outputs_in_onnxruntime(tmp_path / "m.onnx", feeds)["steps"]
    expected = torch_outputs(SEQUENCE, found, feeds)["steps"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_both_dict_outputs_are_kept_apart_by_name() -> None:
    found = exported(LABEL)
    feeds = models.samples({"x": (5, 6)}, 1)[0]
    got = onnx_function(found.model)(feeds)
    assert got["label"].dtype == np.int64
    np.testing.assert_array_equal(got["label"], got["scores"].argmax(1))


def test_two_inputs_are_not_mixed_up() -> None:
    found = exported(PAIR)
    feeds = models.samples({"query": (3, 4), "key": (3, 4)}, 1)[0]
    got = onnx_function(found.model)(feeds)["distance"]
    np.testing.assert_allclose(got, torch_outputs(PAIR, found, feeds)["distance"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("bounds", "size"), [((1, 64), 2), ((1, 1), 1), ((1, 2), 2), ((3, 9), 3), ((2, 2), 2)], ids=str
)
def test_traced_size_avoids_one_where_it_can(bounds: tuple[int, int], size: int) -> None:
    assert traced_sizes([TensorSpec("float32", ("n",), {"n": bounds}, name="x")]) == {"n": size}


def test_dimension_with_one_allowed_size_is_fixed_in_the_graph() -> None:
    single = {"x": TensorSpec("float32", ("batch", 6), {"batch": (1, 1)})}
    found = export(recipe_of(models.LabelNet, single, ("scores", "label")))
    assert [shape_of(value) for value in found.model.graph.outputs] == [[1, 4], [1]]


def test_digest_names_the_weights_and_nothing_else() -> None:
    one, again = exported(LABEL), exported(LABEL)
    assert one.weights_sha256 == again.weights_sha256
    different = export(
        Recipe(
            "labelnet", models.seeded(models.LabelNet, 1), LABEL.inputs, LABEL.outputs, calibration=LABEL.calibration
        )
    )
    assert different.weights_sha256 != one.weights_sha256


def test_module_is_exported_in_eval_mode() -> None:
    assert not exported(CONV).module.training


@pytest.mark.parametrize(
    ("build", "outputs", "message"),
    [
        (Branches, ("y",), r"'branches': the model branches on the value of a tensor: .*torch\.where or torch\.cond"),
        (FixesBatch, ("y",), r"'fixesbatch': the model fixes a size .* make that size an int .*x\.shape in the model"),
        (Fails, ("y",), "torch.export refused 'fails': .*the layer is on fire"),
        (Pair, ("y",), r"declares outputs \['y'\], but the model returns 2 tensors; declare one name for each"),
        (Pair, ("y", "z", "w"), "but the model returns 2 tensors; declare one name for each"),
        (models.LabelNet, ("score",), "the model returns no 'score'; did you mean 'scores'"),
    ],
    ids=[
        "data-dependent branch",
        "fixed batch",
        "failing forward",
        "too few outputs",
        "too many outputs",
        "unknown key",
    ],
)
def test_model_that_cannot_be_exported_is_refused_with_a_remedy(
    build: Callable[[], nn.Module], outputs: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ExportError, match=message) as failure:
        export(recipe_of(build, {"x": VECTOR}, outputs))
    assert "\n" not in str(failure.value)  # torch's own messages run over pages


def test_inputs_in_another_order_than_forwards_are_refused() -> None:
    message = r"'query' is number 1 in the recipe but number 2 in forward\(key, query\); list the inputs in forward's"
    with pytest.raises(ExportError, match=message):
        export(recipe_of(TakesKeyFirst, {"query": VECTOR, "key": VECTOR}, ("distance",)))


def test_onnx_recipe_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is the ONNX file .*m\.onnx already; there is nothing to export"):
        export(Recipe("m", tmp_path / "m.onnx", {"x": VECTOR}, ("y",)))


@pytest.mark.parametrize(("name_in", "name_out"), [("x", "relu"), ("linear", "y")], ids=["output", "input"])
def test_names_that_torch_uses_inside_are_free_for_the_recipe(name_in: str, name_out: str) -> None:
    found = export(recipe_of(HasBothNames, {name_in: VECTOR}, (name_out,)))
    names = [value.name for node in found.model.graph for value in node.outputs] + [name_in]
    assert len(names) == len(set(names))


def test_dict_outputs_may_be_declared_in_any_order() -> None:
    found = export(recipe_of(models.LabelNet, {"x": VECTOR}, ("label", "scores")))
    got = onnx_function(found.model)(models.samples({"x": (2, 6)}, 1)[0])
    assert {name: array.shape for name, array in got.items()} == {"label": (2,), "scores": (2, 4)}


def test_a_dict_may_return_more_than_the_recipe_declares() -> None:
    found = export(recipe_of(models.LabelNet, {"x": VECTOR}, ("label",)))
    assert [value.name for value in found.model.graph.outputs] == ["label"]
    assert all(check.error == 0 for check in check_parity(recipe_of(models.LabelNet, {"x": VECTOR}, ("label",)), found))


def test_saved_file_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    model = exported(CONV).model
    assert any("models.py" in str(node.metadata_props) for node in model.graph)  # torch did record them
    save_model(model, tmp_path / "m.onnx")
    content = (tmp_path / "m.onnx").read_bytes()
    for text in ("models.py", str(Path(models.__file__).parent), str(Path.home()), "stack_trace", "forward"):
        assert text.encode() not in content, text


@pytest.mark.parametrize(("limit_bytes", "files"), [(10**9, ["m.onnx"]), (1000, ["m.onnx", "m.onnx.data"])])
def test_weights_above_the_limit_lie_beside_the_graph(tmp_path: Path, limit_bytes: int, files: list[str]) -> None:
    found = exported(CONV)
    save_model(found.model, tmp_path / "m.onnx", limit_bytes=limit_bytes)
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    feeds = models.samples({"image": (3, 3, 8, 8)}, 1)[0]
    got = outputs_in_onnxruntime(tmp_path / "m.onnx", feeds)["scores"]
    np.testing.assert_allclose(got, torch_outputs(CONV, found, feeds)["scores"], rtol=0, atol=1e-5)


def test_model_with_weights_apart_can_be_moved_as_a_pair(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    save_model(exported(CONV).model, tmp_path / "here" / "m.onnx", limit_bytes=1000)
    (tmp_path / "here").rename(tmp_path / "there")
    assert (
        len(outputs_in_onnxruntime(tmp_path / "there" / "m.onnx", models.samples({"image": (1, 3, 8, 8)}, 1)[0])) == 1
    )


def full_disk(at: Callable[[Path], bool]) -> Callable[[str, str], None]:
    """An os.replace for a disk that is full when it comes to a certain destination."""
    real = os.replace

    def replace(source: str, destination: str) -> None:
        if at(Path(destination)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(destination))
        real(source, destination)

    return replace


@pytest.mark.parametrize("limit_bytes", [10**9, 1000])
def test_full_disk_leaves_nothing_and_keeps_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_bytes: int
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"older")
    monkeypatch.setattr(os, "replace", full_disk(lambda path: path.parent == tmp_path))
    with pytest.raises(ExportError, match=r"cannot write .*m\.onnx: No space left on device; nothing was left there"):
        save_model(exported(CONV).model, tmp_path / "m.onnx", limit_bytes=limit_bytes)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"m.onnx": b"older"}


def test_disk_that_fills_up_between_both_files_leaves_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", full_disk(lambda path: path == tmp_path / "m.onnx"))
    with pytest.raises(ExportError, match="nothing was left there"):
        save_model(exported(CONV).model, tmp_path / "m.onnx", limit_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_does_not_exist_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot write .*No such file or directory"):
        save_model(exported(CONV).model, tmp_path / "none" / "m.onnx")
