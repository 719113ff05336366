"""The examples: a recipe and an ONNX file that edgekit takes as they stand, judged on data that they did not see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.recipes import load_recipe

EXAMPLES = Path(__file__).parents[1] / "examples"
pytest.importorskip("sklearn", reason="the examples' data come with scikit-learn")


def test_own_model_is_normalised_and_calibrated_by_training_rows_alone() -> None:
    pytest.importorskip("torch")
    recipe = load_recipe(str(EXAMPLES / "own_model.py"))
    training = np.concatenate([feeds["features"] for feeds in recipe.calibration_feeds()])
    test = np.concatenate([feeds["features"] for feeds, _ in recipe.evaluation_samples()])
    assert (len(training), len(test)) == (300, 269)
    np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(training.std(axis=0), 1, atol=1e-5)
    assert not {row.tobytes() for row in training} & {row.tobytes() for row in test}


def test_onnx_example_writes_what_a_build_takes(tmp_path: Path) -> None:
    pytest.importorskip("onnx_ir", reason="reading ONNX files takes it")
    from edgekit.building.onnx_recipe import onnx_recipe

    subprocess.run([sys.executable, EXAMPLES / "digits_onnx.py"], cwd=tmp_path, check=True)
    data = {"calibration": tmp_path / "calibration.npz", "evaluation": tmp_path / "evaluation.npz"}
    recipe = onnx_recipe(tmp_path / "digits.onnx", **data, metric="top1", ranges={"batch": (1, 32)})
    assert sum(1 for _ in recipe.evaluation_samples()) == 450
    assert str(recipe.input_specs[0]) == "pixels: float32[batch=1..32, 64]"


def test_no_example_has_the_name_of_a_module_of_onnxruntime() -> None:
    """Its quantizer imports modules such as `onnx_model` by bare name, and a recipe's folder is on the path."""
    spec = pytest.importorskip("onnxruntime").__path__[0]
    names = {file.stem for file in (Path(spec) / "transformers").glob("*.py")}
    assert names
    assert names.isdisjoint(file.stem for file in EXAMPLES.glob("*.py"))
