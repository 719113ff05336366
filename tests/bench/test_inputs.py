"""Inputs of timed calls: batches hold different samples, and processing is part of a call that takes raw ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.arms import Arm
from edgekit.bench.bound import Bound
from edgekit.bench.inputs import RAW, VARIED_BATCHES, batches, processed, read_inputs, refuse_no_batch
from edgekit.bench.samples import write_samples
from edgekit.errors import MeasurementError, RecipeError
from edgekit.recipes import Recipe
from edgekit.tensors import TensorSpec

PROCESSING = """
import numpy as np
from edgekit.recipes import Recipe
from edgekit.tensors import TensorSpec

recipe = Recipe(
    "halves", None, {"x": TensorSpec("float32", (1, 2))}, ("y",),
    raw=lambda: [np.array([2, 4], np.uint8)],
    preprocess=lambda pixels: {"x": (pixels[None] / 2).astype(np.float32)},
)
"""


def test_batches_begin_at_different_samples_and_repeat_where_too_few() -> None:
    samples = [{"x": np.full((1, 2), n, np.float32)} for n in range(5)]
    found = batches(samples, 8)
    assert len(found) == VARIED_BATCHES
    assert found[0]["x"][:, 0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert len({batch["x"][0, 0] for batch in found}) == VARIED_BATCHES
    assert all(batch["x"].shape == (8, 2) for batch in found)


def test_samples_of_two_shapes_make_no_batch() -> None:
    with pytest.raises(MeasurementError, match="2 different shapes"):
        batches([{"x": np.zeros((1, 2))}, {"x": np.zeros((1, 3))}], 4)


@pytest.mark.parametrize("shape", [(1, 10), (), (10,)])
def test_outputs_without_the_batch_are_refused(shape: tuple[int, ...]) -> None:
    feeds = {"x": np.zeros((8, 2))}
    refuse_no_batch({"y": np.zeros((8, 10))}, feeds)
    with pytest.raises(MeasurementError, match="output 'y' has shape .* for a batch of 8"):
        refuse_no_batch({"y": np.zeros(shape)}, feeds)


def test_a_call_with_processing_goes_from_raw_sample_to_answer() -> None:
    buffer, answers = np.zeros(2), []
    network = Bound(
        write=lambda feeds: np.copyto(buffer, feeds["x"]),
        call=lambda: np.multiply(buffer, 10, out=buffer),
        read=lambda: {"y": buffer.copy()},
    )
    recipe = Recipe(
        "r", lambda: None, {"x": TensorSpec("float64", (2,))}, ("y",),
        raw=list, preprocess=lambda raw: {"x": raw / 2}, postprocess=lambda out: answers.append(out["y"].sum()),
    )  # fmt: skip
    whole = processed(network, recipe)
    whole.write(np.array([2.0, 4.0]))
    assert not buffer.any()  # making the inputs is the call's work
    whole.call()
    assert answers == [30.0]
    assert whole.read()["y"].tolist() == [10.0, 20.0]


def test_raw_samples_are_read_with_the_feeds_that_they_become(tmp_path: Path) -> None:
    (tmp_path / "halves.py").write_text(PROCESSING, encoding="utf-8")
    write_samples(tmp_path / "raw", [{RAW: np.array([2, 4], np.uint8)}, {RAW: np.array([6, 8], np.uint8)}])
    arm = Arm("a", "onnxruntime", "f32", {"model": "/m"}, recipe=str(tmp_path / "halves.py"), processing=True)
    found = read_inputs(arm, tmp_path / "raw")
    assert [sample.tolist() for sample in found.written] == [[2, 4], [6, 8]]
    assert [feeds["x"].tolist() for feeds in found.feeds] == [[[1, 2]], [[3, 4]]]


def test_a_recipe_without_processing_is_refused(recipe: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_samples(tmp_path / "raw", [{RAW: np.zeros(2)}])
    arm = Arm("a", "onnxruntime", "f32", {"model": "/m"}, recipe=recipe, processing=True)
    with pytest.raises(RecipeError, match="recipe 'tiny' has no processing to time; give it raw"):
        read_inputs(arm, tmp_path / "raw")
