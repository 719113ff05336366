"""Calibration lint: each finding where it belongs, none on good data, and no memory for the length of the data."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.caches import cache_dir
from edgekit.errors import CalibrationError, TensorError
from edgekit.recipes import Recipe, load_recipe
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.quantize import lint_streams
from edgekit.transforms.quantize.lint import Finding, lint_calibration, raise_errors

BATCH = {"batch": (1, 64)}
IMAGE = TensorSpec("float32", ("batch", 3, 8, 8), BATCH, "image")
FRAMES = TensorSpec("float32", ("batch", "time", 4), BATCH | {"time": (2, 400)}, "frames")
IDS = TensorSpec("int64", ("batch", 6), BATCH, "ids")
MASK = TensorSpec("int64", ("batch", 6), BATCH, "mask")


def images(count: int, seed: int = 0, *, scale: float = 1.0) -> list[dict[str, Array]]:
    """(1, 3, 8, 8) samples from 0 to `scale`, of different brightness."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0, 1, (count, 1, 3, 8, 8)) * rng.uniform(0.5, 1, (count, 1, 1, 1, 1)) * scale
    return [{"image": each.astype(np.float32)} for each in pixels]


def labelled(feeds: list[dict[str, Array]]) -> list[tuple[dict[str, Array], int]]:
    return [(each, 0) for each in feeds]


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.severity) for finding in findings]


def only(findings: tuple[Finding, ...], kind: str, severity: str = "warning") -> Finding:
    """The one finding that there is, of this kind."""
    assert kinds(findings) == [(kind, severity)], findings
    return findings[0]


def changed(feeds: list[dict[str, Array]], name: str, change: Any) -> list[dict[str, Array]]:
    return [each | {name: change(each[name]).astype(each[name].dtype)} for each in feeds]


def test_good_data_has_no_findings() -> None:
    assert lint_calibration(images(120), [IMAGE], evaluation=labelled(images(80, 1))) == ()


def test_each_stream_is_read_once() -> None:
    assert lint_calibration(iter(images(120)), [IMAGE], evaluation=iter(labelled(images(80, 1)))) == ()


def test_empty_data_is_an_error() -> None:
    found = only(lint_calibration([], [IMAGE], evaluation=labelled(images(80))), "no-samples", "error")
    assert "at least 100 real samples" in found.message


def test_few_samples_are_counted_and_the_chance_to_fall_beyond_them_is_named() -> None:
    found = only(lint_calibration(images(12), [IMAGE]), "too-few")
    assert "1 in 13" in found.message
    assert found.numbers == {"samples": 12, "distinct": 12, "enough": 100}


def test_repeats_do_not_make_enough() -> None:
    found = lint_calibration(images(60) * 2, [IMAGE])
    assert kinds(found) == [("too-few", "warning"), ("duplicates", "warning")]
    assert found[0].numbers["distinct"] == 60
    assert found[1].numbers["share"] == 0.5
    assert "60 of 120" in found[1].message


@pytest.mark.parametrize(("repeats", "expected"), [(4, []), (12, [("duplicates", "warning")])])
def test_duplicates_are_a_finding_from_five_percent(repeats: int, expected: list[tuple[str, str]]) -> None:
    feeds = images(120)
    assert kinds(lint_calibration(feeds[: 120 - repeats] + feeds[:repeats], [IMAGE])) == expected


def test_samples_that_differ_in_one_value_of_one_input_are_no_duplicates() -> None:
    ids = [{"ids": np.full((1, 6), 7), "mask": np.array([[0, 0, row, 0, 0, 0]])} for row in range(120)]
    assert lint_calibration(ids, [IDS, MASK]) == ()


def test_identical_samples_are_an_error() -> None:
    found = only(lint_calibration(images(1) * 120, [IMAGE]), "identical", "error")
    assert "all 120 calibration samples are the same" in found.message


def test_one_sample_is_too_few_and_not_identical() -> None:
    only(lint_calibration(images(1), [IMAGE]), "too-few")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_an_error_with_their_place(value: float) -> None:
    feeds = images(120)
    for spoiled in (5, 7):
        feeds[spoiled]["image"][0, 1, 2, 3] = value
    found = only(lint_calibration(feeds, [IMAGE], evaluation=labelled(images(80, 1))), "not-finite", "error")
    assert "2 of 120 calibration samples" in found.message
    assert "sample 5: input 'image' holds 1 NaN or infinite values of 192" in found.message


def test_only_spoiled_samples_are_one_error() -> None:
    only(lint_calibration(changed(images(20), "image", lambda x: x * np.nan), [IMAGE]), "not-finite", "error")


def test_evaluation_samples_that_are_not_finite_are_a_warning_and_left_out() -> None:
    held_out = images(80, 1)
    held_out[3]["image"][0, 0, 0, 0] = np.nan
    found = only(lint_calibration(images(120), [IMAGE], evaluation=labelled(held_out)), "not-finite")
    assert "1 of 80 evaluation samples" in found.message


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(TensorError, match="size 9 where 8 was expected"):
        lint_calibration([{"image": np.zeros((1, 3, 8, 9), np.float32)}], [IMAGE])


# Constant inputs.


def test_inputs_that_are_all_the_same_value_are_an_error() -> None:
    found = lint_calibration(changed(images(120), "image", lambda x: x * 0 + 0.25), [IMAGE])
    assert kinds(found) == [("identical", "error"), ("constant-input", "error")]
    assert "'image' is 0.25 everywhere" in found[1].message


def test_different_samples_may_each_hold_one_value() -> None:
    flat = [{"image": np.full((1, 3, 8, 8), row, np.float32)} for row in range(120)]
    assert lint_calibration(flat, [IMAGE], evaluation=labelled(flat[10:110])) == ()


def test_one_constant_signal_beside_another_is_a_warning() -> None:
    gain = TensorSpec("float32", ("batch", 1), BATCH, "gain")
    feeds = [each | {"gain": np.full((1, 1), 2, np.float32)} for each in images(120)]
    found = only(lint_calibration(feeds, [IMAGE, gain], evaluation=labelled(feeds)), "constant-input")
    assert "'gain' is 2 everywhere in all 120" in found.message


def tokens(count: int, mask: int, seed: int = 0) -> list[dict[str, Array]]:
    rng = np.random.default_rng(seed)
    return [{"ids": rng.integers(0, 30000, (1, 6)), "mask": np.full((1, 6), mask)} for _ in range(count)]


def test_mask_of_ones_is_normal_where_evaluation_has_the_same() -> None:
    assert lint_calibration(tokens(120, mask=1), [IDS, MASK]) == ()
    assert lint_calibration(tokens(120, mask=1), [IDS, MASK], evaluation=labelled(tokens(80, mask=1, seed=1))) == ()


def test_constant_mask_is_a_warning_where_evaluation_has_another() -> None:
    found = lint_calibration(tokens(120, mask=1), [IDS, MASK], evaluation=labelled(tokens(80, mask=0, seed=1)))
    assert "'mask' is 1 everywhere" in only(found, "constant-input").message


def test_token_ids_have_no_range_to_leave() -> None:
    rare = changed(tokens(80, mask=1), "ids", lambda x: x + 100_000)
    assert lint_calibration(tokens(120, mask=1), [IDS, MASK], evaluation=labelled(rare)) == ()


def test_dead_channel_is_named_with_its_value() -> None:
    def kill(image: Array) -> Array:
        image = image.copy()
        image[:, 1] = 0.5
        return image

    found = only(lint_calibration(changed(images(120), "image", kill), [IMAGE]), "constant-channel")
    assert "1 of 3 channels (axis 1)" in found.message
    assert "channel 1 is 0.5" in found.message


def test_constant_margin_along_time_or_rows_is_no_dead_channel() -> None:
    rows = TensorSpec("float32", ("batch", 28, 28, 1), BATCH, "image")
    rng = np.random.default_rng(0)
    padded = [np.pad(rng.uniform(0, 1, (1, 24, 28, 1)), ((0, 0), (2, 2), (0, 0), (0, 0))) for _ in range(120)]
    assert lint_calibration([{"image": each.astype(np.float32)} for each in padded], [rows]) == ()


# Against the evaluation data.


def test_evaluation_on_another_scale_is_cut_off_and_shifted() -> None:
    found = lint_calibration(images(120), [IMAGE], evaluation=labelled(images(80, 1, scale=255)))
    assert kinds(found) == [("clipped", "warning"), ("shifted", "warning")]
    assert found[0].numbers["share"] > 0.9
    assert found[0].numbers["high"] <= 1
    assert found[0].numbers["evaluation_high"] > 200
    assert found[1].numbers["mean_distance"] > 100
    assert "by 80 of 80 evaluation samples" in found[0].message


def test_calibration_on_a_far_wider_scale_is_shifted_though_nothing_is_cut_off() -> None:
    found = lint_calibration(images(120, scale=255), [IMAGE], evaluation=labelled(images(80, 1)))
    assert only(found, "shifted").numbers["spread_distance"] > 1.5


def test_bytes_are_compared_as_floats_are() -> None:
    pixels = TensorSpec("uint8", IMAGE.shape, BATCH, "image")
    bright = [{"image": each["image"].astype(np.uint8)} for each in images(120, scale=255)]
    dark = [{"image": each["image"] // 8} for each in bright]
    assert lint_calibration(bright[:100], [pixels], evaluation=labelled(bright[20:])) == ()
    assert "clipped" in dict(kinds(lint_calibration(dark[:100], [pixels], evaluation=labelled(bright[20:]))))


@pytest.mark.parametrize(("top", "expected"), [(1.001, []), (1.01, ["clipped"])])
def test_values_are_cut_off_where_they_leave_the_range_by_more_than_rounding(top: float, expected: list[str]) -> None:
    def reach(feeds: list[dict[str, Array]], top: float) -> list[dict[str, Array]]:
        return changed(feeds, "image", lambda x: np.where(x > 0.7, top, x))

    held_out = labelled(reach(images(80, 1), top))
    found = lint_calibration(reach(images(120), 1.0), [IMAGE], evaluation=held_out)
    assert [each.kind for each in found] == expected


def test_samples_of_one_mean_and_spread_each_are_not_shifted_by_rounding() -> None:
    """Each sample is normalised by itself: between samples there is no deviation to measure a distance in."""

    def normalise(image: Array) -> Array:
        return (image - image.mean()) / image.std()

    def both(seed: int, by: float) -> list[dict[str, Array]]:
        return changed(images(120, seed), "image", lambda x: normalise(x) * by)

    assert lint_calibration(both(0, 1.0), [IMAGE], evaluation=labelled(both(1, 1.001))) == ()
    only(lint_calibration(both(0, 2.0), [IMAGE], evaluation=labelled(both(1, 1.0))), "shifted")


def frames(count: int, low: int, high: int) -> list[dict[str, Array]]:
    rng = np.random.default_rng(low)
    sizes = rng.integers(low, high + 1, count)
    return [{"frames": rng.standard_normal((1, size, 4)).astype(np.float32)} for size in sizes]


def test_sizes_that_calibration_never_reaches_are_named() -> None:
    found = only(lint_calibration(frames(120, 20, 60), [FRAMES], evaluation=labelled(frames(80, 40, 300))), "sizes")
    assert found.numbers["share"] > 0.8
    assert found.numbers["high"] <= 60 < found.numbers["evaluation_high"]
    assert "dimension 'time'" in found.message


def test_a_few_sizes_beyond_those_of_calibration_are_no_finding() -> None:
    assert lint_calibration(frames(120, 20, 60), [FRAMES], evaluation=labelled(frames(80, 20, 62))) == ()


def test_all_of_a_long_evaluation_counts_though_only_a_share_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last tenth is on another scale: a cut after the first samples would not see it, equal weights would less."""
    monkeypatch.setattr(lint_streams, "EVALUATED_SAMPLES", 50)
    held_out = images(900, 1) + images(100, 2, scale=255)
    found = {each.kind: each for each in lint_calibration(images(120), [IMAGE], evaluation=labelled(held_out))}
    assert "of 1000 evaluation samples" in found["clipped"].message
    assert "by 1000 of" not in found["clipped"].message
    assert found["clipped"].numbers["share"] == pytest.approx(0.1, abs=0.015)


# Classes.


def brightest(feeds: Any) -> dict[str, Array]:
    """A float graph with ten classes: the cell of a 2 x 5 corner that holds the largest value."""
    return {"scores": feeds["image"][:, 0, :2, :5].reshape(-1, 10)}


def with_class(label: int, seed: int) -> dict[str, Array]:
    (feeds,) = images(1, seed)
    feeds["image"][0, 0, label // 5, label % 5] = 1.0
    return feeds


def test_class_that_no_calibration_sample_has_is_named_with_its_count() -> None:
    held_out = [(with_class(row % 10, 1000 + row), np.int64(row % 10)) for row in range(200)]
    feeds = [with_class(row % 8, row) for row in range(120)]
    found = only(lint_calibration(feeds, [IMAGE], evaluation=held_out, predict=brightest), "missing-classes")
    assert "2 of 10 classes" in found.message
    assert "8 (20), 9 (20)" in found.message
    assert found.numbers["class 9"] == 20
    assert found.numbers["predictions"] == 120


def test_all_classes_there_is_no_finding() -> None:
    held_out = [(with_class(row % 10, 1000 + row), row % 10) for row in range(200)]
    feeds = [with_class(row % 10, row) for row in range(120)]
    assert lint_calibration(feeds, [IMAGE], evaluation=held_out, predict=brightest) == ()


def test_rare_class_that_chance_leaves_out_is_no_finding() -> None:
    held_out = [(with_class(0 if row else 1, 1000 + row), 0 if row else 1) for row in range(200)]
    feeds = [with_class(0, row) for row in range(120)]
    assert lint_calibration(feeds, [IMAGE], evaluation=held_out, predict=brightest) == ()


def test_targets_that_are_no_single_integers_are_not_compared_and_nothing_is_run() -> None:
    def never(_: Any) -> dict[str, Array]:
        pytest.fail("the graph was run for nothing")

    for target in (np.zeros(5, np.int64), 0.5, None):
        evaluation = [(each, target) for each in images(80, 1)]
        assert lint_calibration(images(120), [IMAGE], evaluation=evaluation, predict=never) == ()


def test_graph_runs_on_a_bounded_share_of_long_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint_streams, "PREDICTED_SAMPLES", 16)
    calls: list[int] = []

    def counting(feeds: Any) -> dict[str, Array]:
        calls.append(len(feeds["image"]))
        return brightest(feeds)

    held_out = [(with_class(0, row), 0) for row in range(50)]
    lint_calibration(images(1024), [IMAGE], evaluation=held_out, predict=counting)
    assert len(calls) == 16 + 8 * 6  # all of 16, half of the next 16, a quarter of the next 32, ... up to 1024


def test_second_output_is_refused() -> None:
    def two(feeds: Any) -> dict[str, Array]:
        return brightest(feeds) | {"embedding": feeds["image"]}

    with pytest.raises(CalibrationError, match="single output, and there are 2 .scores, embedding."):
        lint_calibration(images(120), [IMAGE], evaluation=labelled(images(5)), predict=two)


# Batches, reports, memory.


def test_rows_of_a_batch_are_samples() -> None:
    rows = np.concatenate([each["image"] for each in images(128)])
    batches = [{"image": rows[start : start + 32]} for start in range(0, 128, 32)]
    assert lint_calibration(batches, [IMAGE], evaluation=labelled(images(80, 1))) == ()
    twice = [*batches[:2], {"image": np.concatenate([batches[2]["image"][:16]] * 2)}]
    found = lint_calibration(twice, [IMAGE])
    assert found[0].numbers == {"samples": 96, "distinct": 80, "enough": 100}


def test_findings_are_json_ready() -> None:
    held_out = labelled(images(80, 1, scale=255))
    found = lint_calibration(images(12), [IMAGE], evaluation=held_out)
    read = json.loads(json.dumps([asdict(each) for each in found], allow_nan=False))
    assert [each["kind"] for each in read] == ["too-few", "clipped", "shifted"]


def test_errors_are_raised_together_and_warnings_are_not() -> None:
    raise_errors(lint_calibration(images(12), [IMAGE]))
    with pytest.raises(CalibrationError, match="all 120 calibration samples are the same.*; the calibration samples"):
        raise_errors(lint_calibration(changed(images(120), "image", lambda x: x * 0), [IMAGE]))


def peak_bytes(count: int) -> int:
    """Peak memory of a lint of `count` samples that are made one at a time."""

    def stream(seed: int) -> Iterator[dict[str, Array]]:
        noise = np.random.default_rng(seed).random((1, 3, 128, 128), np.float32)
        for row in range(count):
            noise[0, 0, 0, 0] = row / count
            yield {"image": noise}

    spec = TensorSpec("float32", ("batch", 3, 128, 128), BATCH, "image")
    tracemalloc.start()
    try:
        lint_calibration(stream(0), [spec], evaluation=((each, 0) for each in stream(1)))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_data() -> None:
    peak_bytes(100)  # first-time caches of numpy
    assert peak_bytes(5000) <= 1.1 * peak_bytes(100)


# The shipped recipes.

NEEDS = {"simple-cnn": (), "resnet8": ("fashion-mnist/train-images-idx3-ubyte.gz",), "ds-cnn": ("fsdd.npz",)}
NORMALISED = {"simple-cnn": (0.305, 0.322), "resnet8": (0.286, 0.353), "ds-cnn": (0.0, 1.0)}


@pytest.fixture(params=NEEDS)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    pytest.importorskip("sklearn", reason="handwritten digits come with scikit-learn")
    folders = [Path(os.environ.get("EDGEKIT_DATA", "")), cache_dir("data")]
    for name in NEEDS[request.param]:
        if not any((folder / name).is_file() for folder in folders):
            pytest.skip(f"{name} is neither in $EDGEKIT_DATA nor in the cache")
    return load_recipe(request.param)


def float_graph(recipe: Recipe) -> lint_streams.Predict:
    torch = pytest.importorskip("torch", reason="the float model is a torch module")
    model, (name,) = recipe.load_model(), recipe.inputs

    def predict(feeds: Any) -> dict[str, Array]:
        with torch.inference_mode():
            return {"scores": model(torch.from_numpy(feeds[name])).numpy()}

    return predict


def test_shipped_recipes_have_no_findings(recipe: Recipe) -> None:
    found = lint_calibration(
        recipe.calibration_feeds(),
        recipe.input_specs,
        evaluation=recipe.evaluation_samples(),
        predict=float_graph(recipe),
    )
    assert found == ()


def test_wrong_normalisation_and_silence_of_shipped_recipes_are_found(recipe: Recipe) -> None:
    (name,), (mean, std) = recipe.inputs, NORMALISED[recipe.name]
    real, held_out = list(recipe.calibration_feeds()), list(recipe.evaluation_samples())[:1000]
    silence = np.random.default_rng(0).normal(0, 1e-3, (256, *real[0][name].shape)).astype(np.float32)
    wrong = {"silence": [{name: each} for each in silence]}
    if recipe.name == "ds-cnn":
        wrong["not normalised"] = changed(real, name, lambda x: x * 14.17 - 34.22)
    else:
        wrong["0 to 255"] = changed(real, name, lambda x: (x * std + mean) * 255)
        wrong["0 to 1"] = changed(real, name, lambda x: x * std + mean)
        wrong["another data set's"] = changed(real, name, lambda x: (x * std + mean - 0.449) / 0.226)
    for what, feeds in wrong.items():
        found = lint_calibration(feeds, recipe.input_specs, evaluation=held_out)
        assert {"shifted", "clipped"} & set(dict(kinds(found))), what
        swapped = lint_calibration(real, recipe.input_specs, evaluation=labelled(feeds))
        assert {"shifted", "clipped"} & set(dict(kinds(swapped))), f"{what}, in the evaluation data"


def test_calibration_data_that_is_sorted_by_class_is_found(recipe: Recipe) -> None:
    held_out = list(recipe.evaluation_samples())
    ordered = sorted(held_out, key=lambda sample: int(sample[1]))
    feeds = [each for each, _ in ordered[: len(ordered) // 3]][:256]
    found = lint_calibration(feeds, recipe.input_specs, evaluation=held_out, predict=float_graph(recipe))
    assert "missing-classes" in dict(kinds(found))
