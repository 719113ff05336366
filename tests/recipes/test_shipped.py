"""The shipped recipes: light to import, sound in their tensors and data, and as accurate as they say."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from edgekit.recipes import SHIPPED, load_recipe
from edgekit.tensors import check_feeds, smallest_sizes

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

GOALS = {"simple-cnn": 0.97, "resnet8": 0.90, "ds-cnn": 0.95}
TEST_SAMPLES = {"simple-cnn": 450, "resnet8": 10_000, "ds-cnn": 300}
WEIGHTS = resources.files("edgekit.recipes") / "weights"

CLASSIFIERS = ("simple-cnn", "resnet8", "ds-cnn")  # of whole samples; each of the others has a file of its own
every_recipe = pytest.mark.parametrize("name", CLASSIFIERS)


def test_importing_the_recipes_loads_nothing_heavy():
    heavy = ("torch", "sklearn", "scipy", "pooch", "safetensors", "onnx")
    modules = ", ".join([*SHIPPED.values(), "edgekit.recipes.train"])
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@every_recipe
def test_model_is_in_eval_mode_and_scores_ten_classes_at_every_batch_size(name):
    recipe = load_recipe(name)
    model = recipe.model()
    assert not any(module.training for module in model.modules())
    (spec,) = recipe.input_specs
    for batch in spec.ranges["batch"]:
        with torch.inference_mode():
            scores = model(torch.zeros(spec.shape_at({"batch": batch})))
        assert tuple(scores.shape) == (batch, 10)
        assert recipe.outputs == ("scores",)


@every_recipe
def test_model_exports_with_a_dynamic_batch(name):
    recipe = load_recipe(name)
    (spec,) = recipe.input_specs
    batch = torch.export.Dim("batch", min=spec.ranges["batch"][0], max=spec.ranges["batch"][1])
    model, high = recipe.model(), spec.ranges["batch"][1]
    program = torch.export.export(model, (torch.zeros(spec.shape_at({"batch": 2})),), dynamic_shapes=({0: batch},))
    x = torch.randn(spec.shape_at({"batch": high}), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), model(x))


@every_recipe
def test_processing_makes_the_evaluations_inputs_of_raw_samples(name, skip_without_data):
    skip_without_data(name)
    recipe = load_recipe(name)
    for raw, (feeds, _) in itertools.islice(zip(recipe.raw_samples(), recipe.evaluation(), strict=True), 5):
        made = check_feeds(recipe.input_specs, recipe.processed(raw))
        assert all(np.array_equal(made[key], feeds[key]) for key in recipe.inputs)
    scores = np.zeros((1, 10), np.float32)
    scores[0, 7] = 1.0
    assert recipe.answer({"scores": scores}) == 7


@every_recipe
def test_calibration_is_256_samples_that_fit_the_inputs_and_stay_the_same(name, skip_without_data):
    skip_without_data(name)
    recipe = load_recipe(name)
    first, second = list(recipe.calibration()), list(recipe.calibration())
    assert len(first) == 256
    for feeds, again in zip(first, second, strict=True):
        check_feeds(recipe.input_specs, feeds)
        assert all(np.array_equal(feeds[key], again[key]) for key in recipe.inputs)
        assert all(value.shape[0] == smallest_sizes(recipe.input_specs)["batch"] for value in feeds.values())


@every_recipe
def test_evaluation_is_the_whole_test_split_with_whole_number_labels(name, skip_without_data):
    skip_without_data(name)
    recipe = load_recipe(name)
    samples = list(recipe.evaluation())
    assert len(samples) == TEST_SAMPLES[name]
    assert {type(label) for _, label in samples} == {int}
    assert {label for _, label in samples} == set(range(10))
    for feeds, _ in itertools.islice(samples, 20):
        check_feeds(recipe.input_specs, feeds)


@every_recipe
def test_calibration_shares_no_sample_with_the_evaluation(name, skip_without_data):
    skip_without_data(name)
    recipe = load_recipe(name)
    (key,) = recipe.inputs
    calibration = {feeds[key].tobytes() for feeds in recipe.calibration()}
    assert not any(feeds[key].tobytes() in calibration for feeds, _ in recipe.evaluation())


@every_recipe
def test_weights_are_as_accurate_as_their_readme_says(name, skip_without_data):
    skip_without_data(name)
    recipe = load_recipe(name)
    right = _right(recipe)
    stated_right, of = _stated(name)
    assert of == TEST_SAMPLES[name]
    assert right / of >= GOALS[name]
    assert abs(right - stated_right) <= max(1, of // 1000)  # a tie in the last bits may fall either way


def _right(recipe) -> int:
    samples = list(recipe.evaluation())
    (key,) = recipe.inputs
    inputs = torch.from_numpy(np.concatenate([feeds[key] for feeds, _ in samples]))
    labels = torch.tensor([label for _, label in samples])
    model = recipe.model()
    with torch.inference_mode():
        chosen = torch.cat([model(part).argmax(1) for part in inputs.split(256)])
    return int((chosen == labels).sum())


def _stated(name: str) -> tuple[int, int]:
    row = re.search(rf"\| {name} \|.*?(\d+) of (\d+)", (WEIGHTS / "README.md").read_text(encoding="utf-8"))
    return int(row[1]), int(row[2])


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_stay_small(name):
    assert len((WEIGHTS / f"{name}.safetensors").read_bytes()) < 2_000_000
