"""Where a build starts: the same float model from torch and from a file, its tensors as computed, parity as a gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import BATCH, CONV, LABEL, PAIR, SEQUENCE, exported, foreign_model, initializer, recipe_of, set_initializer
from torch import Tensor, nn

from edgekit.building import source
from edgekit.building.source import FloatModel, float_model, onnx_inputs, output_specs
from edgekit.errors import ExportError, ParityError
from edgekit.export import save_model
from edgekit.parity import deviation, onnx_function
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import TensorSpec


@pytest.fixture(scope="module")
def from_torch() -> FloatModel:
    return float_model(CONV)


def foreign_recipe(path: Path, **changes: Any) -> Recipe:
    onnx.save(foreign_model(), path)
    recipe = Recipe(
        "foreign",
        path,
        {"x": TensorSpec("float32", ("batch", 3, 8, 8), BATCH)},
        ("y",),
        calibration=lambda: models.samples({"x": (1, 3, 8, 8)}),
    )
    return replace(recipe, **changes)


def test_torch_model_comes_with_its_proof(from_torch: FloatModel) -> None:
    assert from_torch.inputs == CONV.input_specs
    assert from_torch.outputs == (TensorSpec("float32", ("batch", 10), BATCH, name="scores"),)
    assert from_torch.weights_sha256 == exported(CONV).weights_sha256
    assert len(from_torch.parity) >= 3
    assert all(check.error <= check.tolerance for check in from_torch.parity)


def test_onnx_file_is_inlined_and_simplified_and_means_the_same(tmp_path: Path) -> None:
    found = float_model(foreign_recipe(tmp_path / "m.onnx"))
    kinds = [node.op_type for node in found.model.graph]
    assert not found.model.functions
    assert "BatchNormalization" not in kinds
    assert "Swish" not in kinds
    feeds = models.samples({"x": (6, 3, 8, 8)}, 1)[0]
    expected = onnx_function(ir.load(tmp_path / "m.onnx"))(feeds)["y"]
    error, tolerance = deviation(onnx_function(found.model)(feeds)["y"], expected)
    assert error <= tolerance


def test_onnx_file_is_known_by_its_digest_and_claims_no_parity(tmp_path: Path) -> None:
    found = float_model(foreign_recipe(tmp_path / "m.onnx"))
    assert found.weights_sha256 == float_model(foreign_recipe(tmp_path / "again.onnx")).weights_sha256
    model = onnx.load(tmp_path / "m.onnx")
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0]) + 1
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, model.graph.initializer[0].name))
    onnx.save(model, tmp_path / "changed.onnx")
    changed = replace(foreign_recipe(tmp_path / "m.onnx"), model=tmp_path / "changed.onnx")
    assert float_model(changed).weights_sha256 != found.weights_sha256
    assert found.parity == ()
    assert found.outputs == (TensorSpec("float32", ("batch", 4), BATCH, name="y"),)


def test_parity_is_checked_after_simplification(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(model: ir.Model) -> ir.Model:
        set_initializer(model, "body.bias", initializer(model, "body.bias") + np.float32(1e-3))
        return model

    monkeypatch.setattr(source, "export", exported)
    monkeypatch.setattr(source, "simplify", careless)
    with pytest.raises(ParityError, match=r"output 'scores' .*The first node that differs is .* \(Conv\)"):
        float_model(CONV)


def test_output_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"'foreign': no output named 'z' in the graph; it has \['y'\]"):
        float_model(foreign_recipe(tmp_path / "m.onnx", outputs=("y", "z")))


def test_inputs_that_the_file_does_not_have_are_named(tmp_path: Path) -> None:
    inputs = {"image": TensorSpec("float32", ("batch", 3, 8, 8), BATCH)}
    with pytest.raises(ExportError, match=r"'foreign' declares the inputs \['image'\]; the graph has \['x'\]"):
        float_model(foreign_recipe(tmp_path / "m.onnx", inputs=inputs))


def test_inputs_of_a_file_may_be_declared_in_another_order(tmp_path: Path) -> None:
    save_model(exported(PAIR).model, tmp_path / "m.onnx")
    turned = replace(PAIR, model=tmp_path / "m.onnx", inputs=dict(reversed(PAIR.inputs.items())))
    assert [spec.name for spec in float_model(turned).inputs] == ["key", "query"]


class Halves(nn.Module):
    """(batch, time, 4) -> every second step, a sum over everything but the steps, and one fixed pair of numbers."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return frames[:, ::2] + 1, frames.mean((0, 1))


def test_output_sizes_are_those_that_were_computed() -> None:
    recipe = recipe_of(Halves, SEQUENCE.inputs, ("every_second", "summary"))
    every_second, summary = float_model(recipe).outputs
    assert every_second.shape == ("batch", "every_second_dim1", 4)
    assert every_second.ranges == {"batch": (1, 6), "every_second_dim1": (2, 20)}  # of 3..40 steps
    assert (summary.shape, summary.dynamic_dims) == ((4,), ())


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (SEQUENCE, [TensorSpec("float32", ("batch", "time", 5), BATCH | {"time": (3, 40)}, name="steps")]),
        (
            LABEL,
            [
                TensorSpec("float32", ("batch", 4), BATCH, name="scores"),
                TensorSpec("int64", ("batch",), BATCH, name="label"),
            ],
        ),
        (PAIR, [TensorSpec("float32", ("batch", 3), BATCH, name="distance")]),
    ],
    ids=["two dimensions", "dict with integers", "two inputs"],
)
def test_outputs_share_the_inputs_dimensions(recipe: Recipe, expected: list[TensorSpec]) -> None:
    assert list(output_specs(recipe, exported(recipe).model)) == expected


def test_inputs_of_a_graph_range_over_the_samples() -> None:
    sizes = [{"frames": np.zeros((batch, time, 4), np.float32)} for batch, time in ((1, 9), (3, 4))]
    ranges = {"batch": (1, 3), "time": (4, 9)}
    expected = {"frames": TensorSpec("float32", ("batch", "time", 4), ranges, name="frames")}
    assert onnx_inputs(exported(SEQUENCE).model, sizes) == expected


def test_nameless_dimension_gets_a_name() -> None:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", floats, [None, 4])],
        [helper.make_tensor_value_info("y", floats, [None, 4])],
    )
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    found = onnx_inputs(model, [{"x": np.zeros((2, 4), np.float32)}])["x"]
    assert (found.shape, dict(found.ranges)) == (("x_dim0", 4), {"x_dim0": (2, 2)})


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    save_model(exported(CONV).model, tmp_path / "m.onnx", limit_bytes=1000)
    found = float_model(replace(CONV, model=tmp_path / "m.onnx"))
    feeds = models.samples({"image": (2, 3, 8, 8)}, 1)[0]
    expected = onnx_function(exported(CONV).model)(feeds)["scores"]
    error, tolerance = deviation(onnx_function(found.model)(feeds)["scores"], expected)
    assert error <= tolerance
