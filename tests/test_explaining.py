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
from click.testing import CliRunner

from edgekit.bundle import Bundle
from edgekit.cli.main import cli
from edgekit.errors import BackendError
from edgekit.explaining import Explanation, explain_bundle, explain_recipe, explanation_to_json
from tests.conftest import tiny_recipe
from tests.test_mixed_precision import broken_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extracted")


@pytest.fixture(scope="module")
def broken(folder: Path) -> Explanation:
    return explain_recipe(broken_recipe(), extract=folder)


def test_the_layer_behind_the_huge_channel_is_the_first_bad_one(broken: Explanation) -> None:
    layers = {each.layer: each for each in broken.layers}
    assert list(layers).index(broken.first_bad) == 2  # the third of five takes the tensor with the huge channel
    assert layers[broken.first_bad].alone_db is not None
    assert layers[broken.first_bad].alone_db < 10
    good = [each.alone_db for each in broken.layers if each.layer != broken.first_bad]
    assert min(db for db in good if db is not None) > 20


def test_noise_so_far_is_small_before_the_bad_layer_and_stays_large_behind_it(broken: Explanation) -> None:
    so_far = [each.so_far_db for each in broken.layers]
    assert all(db is not None for db in so_far)
    assert min(so_far[:2]) > 25  # type: ignore[type-var]
    assert max(so_far[2:4]) < 15  # type: ignore[type-var]


def test_each_layer_says_what_it_ran_in(broken: Explanation) -> None:
    assert {each.precision for each in broken.layers} <= {"int8", "f32"}
    assert all(each.kernel for each in broken.layers)


def test_worst_samples_are_ordered_and_carry_both_answers(broken: Explanation) -> None:
    sqnrs = [each.sqnr_db for each in broken.worst]
    assert len(sqnrs) == 5
    assert sqnrs == sorted(sqnrs)
    assert all(each.expected == each.target for each in broken.worst)  # the labels are the float net's own


def test_the_extracted_layer_reproduces_its_noise(broken: Explanation, folder: Path) -> None:
    for name in ("layer.onnx", "float.onnx"):
        onnx.checker.check_model(str(folder / name))
    heavy = [node for node in onnx.load(folder / "layer.onnx").graph.node if node.op_type == "Conv"]
    assert len(heavy) == 1
    done = subprocess.run([sys.executable, "reproduce.py"], cwd=folder, check=True, capture_output=True, text=True)
    [bad] = [each for each in broken.layers if each.layer == broken.first_bad]
    assert bad.so_far_db is not None
    assert float(done.stdout.removesuffix(" dB\n")) < 15
    assert sorted(path.name for path in folder.iterdir()) == ["data.npz", "float.onnx", "layer.onnx", "reproduce.py"]


def test_a_sound_model_has_no_bad_layer() -> None:
    found = explain_recipe(tiny_recipe())
    assert found.first_bad == ""
    assert min(each.alone_db or math.inf for each in found.layers) > 25


def test_a_bundle_is_explained_from_itself(built: Bundle) -> None:
    if all(payload.precision == "f32" for payload in built.manifest.targets[0].payloads):
        with pytest.raises(BackendError, match="carries nothing compressed"):
            explain_bundle(built.path)
        return
    found = explain_bundle(built.path)
    assert found.variant == built.manifest.targets[0].payloads[0].name
    assert all(each.so_far_db is not None for each in found.layers)
    assert found.notes


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(BackendError, match="unknown method 'lean-msee'; did you mean 'lean-mse'"):
        explain_recipe(tiny_recipe(), method="lean-msee")


def test_json_has_no_infinity(broken: Explanation) -> None:
    text = json.dumps(explanation_to_json(broken), allow_nan=False)
    assert json.loads(text)["first_bad"] == broken.first_bad


def test_the_command_shows_layers_and_samples() -> None:
    result = CliRunner().invoke(cli, ["explain", "simple-cnn"])
    assert result.exit_code == 0, result.stderr
    assert "no layer by itself takes the outputs below 20 dB" in result.stdout
    assert "samples with the most noise" in result.stdout


def test_a_bundle_takes_no_method() -> None:
    result = CliRunner().invoke(cli, ["explain", "x.edgekit", "--method", "nncf"])
    assert result.exit_code == 2
    assert "a bundle has golden samples alone" in result.stderr


def test_answers_are_the_largest_score_or_the_first_values() -> None:
    from edgekit.explaining.watch import _answer

    assert _answer({"scores": np.array([[0.1, 0.7, 0.2]])}) == "1"
    assert _answer({"audio": np.array([[[0.5], [0.25]]])}) == "0.5 0.25"
