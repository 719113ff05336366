"""Explaining: the layer that spoils a model is named and can be reproduced alone; a sound model has none."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekit.build import Settings, build
from edgekit.bundle import Bundle
from edgekit.errors import BackendError, TargetError
from edgekit.explaining import Explanation, Look, explain_bundle, explain_recipe, explanation_to_json
from edgekit.explaining.disagreeing import _answer
from edgekit.recipes import Recipe
from edgekit.target import load_target
from edgekit.tensors import TensorSpec
from tests.conftest import tiny_recipe
from tests.test_mixed_precision import broken_recipe

torch = pytest.importorskip("torch", reason="recipes take torch")
LOUD = "node_conv2d_2"  # takes the tensor with a channel a thousand times the others


class Attention(torch.nn.Module):  # type: ignore[misc, name-defined]
    """(1, 6, 8) float32 -> (1, 6, 8); a common part of all keys makes its logits huge, and the softmax ignores it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (torch.nn.Linear(8, 8) for _ in range(3))
        with torch.no_grad():
            self.key.bias += 100

    def forward(self, x):
        logits = self.query(x) @ self.key(x).transpose(1, 2)
        return torch.softmax(logits, -1) @ self.value(x)


def huge_logits() -> Recipe:
    torch.manual_seed(0)
    net = Attention().eval()
    samples = np.random.default_rng(1).standard_normal((40, 1, 6, 8)).astype(np.float32)
    return Recipe(
        name="huge-logits",
        model=lambda: net,
        inputs={"x": TensorSpec("float32", (1, 6, 8))},
        outputs=("y",),
        calibration=lambda: [{"x": sample} for sample in samples],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extracted")


@pytest.fixture(scope="module")
def broken(folder: Path) -> Explanation:
    return explain_recipe(broken_recipe(), method="lean-mse", look=Look(extract=folder))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`tiny_recipe` with compressed payloads for both runtimes, which were not shown to be faster in one session."""
    settings = Settings(only=("f32", "lean-mse", "ort-mse"), sessions=1, alternatives=8)
    return build(tiny_recipe(), output=tmp_path_factory.mktemp("small") / "x.edgekit", settings=settings)


def payload(bundle: Bundle, method: str) -> str:
    return next(each.name for each in bundle.manifest.targets[0].payloads if each.method == method)


def reproduced(folder: Path) -> dict[str, float]:
    """What the script prints, by `file tensor`; it is run elsewhere than where it lies."""
    done = subprocess.run(
        [sys.executable, str(folder / "reproduce.py")], cwd=folder.parent, check=True, capture_output=True, text=True
    )
    assert not done.stderr
    lines = (line.rpartition(": ") for line in done.stdout.splitlines())
    return {what: float(found.removesuffix(" dB")) for what, _, found in lines}


def test_the_layer_behind_the_huge_channel_is_the_first_bad_one(broken: Explanation) -> None:
    alone = {each.layer: each.alone_db for each in broken.layers}
    assert broken.first_bad == LOUD
    assert alone.pop(LOUD) < 10  # type: ignore[operator]
    assert min(alone.values()) > 25  # type: ignore[type-var]


def test_noise_so_far_is_small_before_the_bad_layer_and_stays_large_behind_it(broken: Explanation) -> None:
    so_far = [each.so_far_db for each in broken.layers]
    assert min(so_far[:2]) > 25  # type: ignore[type-var]
    assert max(so_far[2:4]) < 15  # type: ignore[type-var]


def test_each_layer_says_what_it_ran_in_and_how_long_it_took_in_float(broken: Explanation) -> None:
    assert {each.precision for each in broken.layers} <= {"int8", "f32", "unknown"}
    assert all(each.kernel for each in broken.layers)
    assert sum(each.float_time_us is not None for each in broken.layers) >= 4
    assert broken.executed.startswith(("4 of 5 int8", "5 of 5 int8"))
    assert broken.float_executed.startswith("5 of 5 f32")


def test_worst_samples_are_ordered_and_carry_both_answers(broken: Explanation) -> None:
    sqnrs = [each.sqnr_db for each in broken.worst]
    assert len(sqnrs) == 5
    assert sqnrs == sorted(sqnrs)
    assert all(each.expected == each.target for each in broken.worst)  # the labels are the float net's own


def test_samples_that_float_has_right_and_the_compressed_model_wrong_are_told_apart(broken: Explanation) -> None:
    assert broken.lost_count > len(broken.lost) == 5
    assert all((each.float_score, each.score) == (1.0, 0.0) and each.got != each.target for each in broken.lost)


def test_the_extracted_layer_is_valid_and_prints_the_reported_noise(broken: Explanation, folder: Path) -> None:
    assert broken.reproduction is not None
    for name in ("layer.onnx", "float.onnx"):
        onnx.checker.check_model(str(folder / name), full_check=True)
        assert sum(node.op_type == "Conv" for node in onnx.load(folder / name).graph.node) == 1
    found = reproduced(folder)
    [(tensor, noise)] = broken.reproduction.outputs_db.items()
    assert found[f"layer.onnx {tensor}"] == pytest.approx(noise, abs=0.01)
    assert noise < 10
    assert found[f"float.onnx {tensor}"] > 100
    assert sorted(path.name for path in folder.iterdir()) == ["data.npz", "float.onnx", "layer.onnx", "reproduce.py"]


def test_the_piece_goes_on_to_where_the_noise_shows(tmp_path: Path) -> None:
    found = explain_recipe(huge_logits(), method="lean-mse", look=Look(extract=tmp_path / "bad"))
    assert found.reproduction is not None
    (own, own_db), (shown, shown_db) = found.reproduction.outputs_db.items()
    graph = onnx.load(tmp_path / "bad" / "layer.onnx").graph
    producers = {name: node.op_type for node in graph.node for name in node.output}
    assert (producers[own], producers[shown]) == ("MatMul", "Softmax")
    assert own_db > 30
    assert shown_db < 20
    onnx.checker.check_model(str(tmp_path / "bad" / "layer.onnx"), full_check=True)
    assert reproduced(tmp_path / "bad")[f"layer.onnx {shown}"] == pytest.approx(shown_db, abs=0.01)


def test_any_layer_can_be_extracted(tmp_path: Path) -> None:
    found = explain_recipe(tiny_recipe(), method="lean-mse", look=Look(extract=tmp_path, layer="node_linear"))
    assert found.first_bad == ""
    assert found.reproduction is not None
    assert found.reproduction.layer == "node_linear"
    assert found.reproduction.index in range(32)
    with pytest.raises(BackendError, match="no layer 'node_lineal' in the graph; did you mean 'node_linear'"):
        explain_recipe(tiny_recipe(), look=Look(extract=tmp_path, layer="node_lineal"))


def test_a_sound_model_has_no_bad_layer(tmp_path: Path) -> None:
    found = explain_recipe(tiny_recipe(), method="lean-mse", look=Look(extract=tmp_path))
    assert found.first_bad == ""
    assert found.reproduction is None
    assert min(each.alone_db or math.inf for each in found.layers) > 25
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_nothing_compresses_is_never_bad() -> None:
    """`weights` takes matrix products alone, and so has no part in the noise of a convolution."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv1d(4, 64, 1), torch.nn.ReLU(), torch.nn.Linear(64, 64, bias=False))
    samples = np.random.default_rng(1).standard_normal((40, 1, 4, 64)).astype(np.float32)
    recipe = Recipe(
        name="mixed",
        model=net.eval,
        inputs={"x": TensorSpec("float32", (1, 4, 64))},
        outputs=("y",),
        calibration=lambda: [{"x": sample} for sample in samples],
    )
    found = explain_recipe(recipe, method="weights", look=Look(bad_db=1000.0))
    convolution, product = found.layers
    assert (convolution.compressed, convolution.alone_db) == (False, None)
    assert product.compressed
    assert found.first_bad == product.layer


def test_a_method_is_refused_that_is_not_known_or_has_nothing_to_compress() -> None:
    with pytest.raises(BackendError, match="unknown method 'lean-msee'; did you mean 'lean-mse'"):
        explain_recipe(tiny_recipe(), method="lean-msee")
    with pytest.raises(BackendError, match="weights has nothing to compress in 'tiny': the graph has no MatMul"):
        explain_recipe(tiny_recipe(), method="weights")


def test_a_target_that_cannot_run_here_is_refused() -> None:
    elsewhere = "arm64-neon" if load_target("cpu").arch == "x86_64" else "cpu-avx2"
    with pytest.raises(TargetError, match="explain on such a machine"):
        explain_recipe(tiny_recipe(), target=load_target(elsewhere))


def test_json_has_no_infinity(broken: Explanation) -> None:
    data = json.loads(json.dumps(explanation_to_json(broken), allow_nan=False))
    assert data["first_bad"] == LOUD
    assert data["reproduction"]["layer"] == LOUD
    assert len(data["layers"]) == len(broken.layers)


def test_a_payload_that_is_onnx_is_explained_from_the_bundle_alone(small: Bundle, tmp_path: Path) -> None:
    found = explain_bundle(
        small.path, payload=payload(small, "ort-mse"), look=Look(extract=tmp_path, layer="node_linear")
    )
    assert all(each.alone_db is not None and each.so_far_db is not None for each in found.layers)
    assert found.reproduction is not None
    assert reproduced(tmp_path)
    assert "3 golden samples" in found.samples


def test_a_payload_for_openvino_alone_drifts_and_says_what_cannot_be_had(small: Bundle, tmp_path: Path) -> None:
    name = payload(small, "lean-mse")
    found = explain_bundle(small.path, payload=name)
    assert all(each.so_far_db is not None and each.compressed is None for each in found.layers)
    assert "no ONNX graph of this payload" in found.notes[0]
    with pytest.raises(BackendError, match="explain it with its recipe"):
        explain_bundle(small.path, payload=name, look=Look(extract=tmp_path))


def test_with_the_recipe_the_graph_of_the_payload_is_made_again(small: Bundle) -> None:
    found = explain_bundle(small.path, payload=payload(small, "lean-mse"), recipe=tiny_recipe())
    assert found.notes == ()
    assert all(each.compressed and each.alone_db is not None for each in found.layers)
    assert "96 evaluation samples" in found.samples


def test_a_recipe_whose_data_have_changed_is_not_taken_for_the_payload(small: Bundle) -> None:
    recipe = tiny_recipe()
    louder = [{"image": 3 * feeds["image"]} for feeds in recipe.calibration_feeds()]
    changed = Recipe(
        recipe.name, recipe.model, recipe.inputs, recipe.outputs, lambda: louder, recipe.evaluation, recipe.metric
    )
    found = explain_bundle(small.path, payload=payload(small, "lean-mse"), recipe=changed)
    assert "it computes something else" in found.notes[0]
    assert all(each.alone_db is None for each in found.layers)


def test_a_bundle_without_such_a_payload_is_refused(small: Bundle) -> None:
    with pytest.raises(BackendError, match="no compressed payload 'onnxruntime-f32'"):
        explain_bundle(small.path, payload="onnxruntime-f32")


def test_answers_are_the_largest_score_or_the_first_values() -> None:
    assert _answer({"scores": np.array([[0.1, 0.7, 0.2]])}) == "1"
    assert _answer({"audio": np.array([[[0.5], [0.25]]])}) == "0.5 0.25"
