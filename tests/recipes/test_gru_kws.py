"""The streaming keyword network: steps with state equal the whole clip, and its weights are as accurate as stated."""

from __future__ import annotations

import re
from importlib import resources

import numpy as np
import pytest

from edgekit.processing.audio import mel_filters
from edgekit.recipes import gru_kws, load_recipe
from edgekit.recipes.data import spoken_digits
from edgekit.recipes.gru_kws import recipe, shift_and_gain, standardised, top1_at_the_end
from edgekit.tensors import check_feeds

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

WEIGHTS = resources.files("edgekit.recipes") / "weights"
SILENCE = np.float32(np.log(gru_kws.FRAMES.log_floor))


@pytest.fixture
def spoken(skip_without_data):
    skip_without_data("ds-cnn")  # the same recordings
    return spoken_digits()


def test_shipped_name_finds_it():
    assert load_recipe("gru-kws") is recipe


def test_step_takes_and_gives_what_the_recipe_declares():
    network = recipe.model()
    assert not network.training
    feeds = [torch.zeros(spec.shape) for spec in recipe.input_specs]
    with torch.inference_mode():
        scores, hidden_out = network(*feeds)
    assert tuple(scores.shape) == (1, 10)
    assert tuple(hidden_out.shape) == recipe.inputs["hidden"].shape
    assert {name: state.output for name, state in recipe.state.items()} == {"hidden": "hidden_out"}


def test_steps_with_the_state_carried_equal_the_whole_clip():
    network = recipe.model()
    features = torch.from_numpy(np.random.default_rng(0).standard_normal((64, 1, 40)).astype(np.float32))
    hidden = torch.zeros(2, 1, 256)
    with torch.inference_mode():
        expected, expected_hidden = network(features, hidden)
        for feature in features:
            scores, hidden = network(feature[None], hidden)
    torch.testing.assert_close(scores, expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(hidden, expected_hidden, atol=2e-6, rtol=1e-5)


def test_export_keeps_both_layers_as_gru_nodes(spoken):
    pytest.importorskip("onnxruntime")
    from edgekit.export import export
    from edgekit.parity import check_parity

    exported = export(recipe)
    layers = [node for node in exported.model.graph if node.op_type == "GRU"]
    assert len(layers) == 2
    assert all(node.attributes["linear_before_reset"].value == 1 for node in layers)
    assert {check.output for check in check_parity(recipe, exported)} == {"scores", "hidden_out"}


def test_every_mel_band_hears_at_least_one_bin():
    assert (mel_filters(gru_kws.FRAMES).max(axis=0) > 0).all()


def test_decision_is_that_of_the_last_step():
    scores = np.zeros((64, 1, 10), np.float32)
    scores[:-1, 0, 3] = 9.0
    scores[-1, 0, 7] = 1.0
    assert top1_at_the_end({"scores": scores}, 7) == 1.0
    assert top1_at_the_end({"scores": scores}, 3) == 0.0


def test_calibration_is_256_steps_with_the_state_of_the_float_network(spoken):
    feeds = list(recipe.calibration())
    assert len(feeds) == 256
    assert len({feed["features"].tobytes() + feed["hidden"].tobytes() for feed in feeds}) == 256
    for feed in feeds:
        check_feeds(recipe.input_specs, feed)
    spread = np.array([np.abs(feed["hidden"]).max() for feed in feeds])
    assert (spread <= 1.0).all()  # a GRU's state is a mean of what it was and a tanh
    assert np.median(spread) > 0.3  # real steps, not the beginnings of clips
    frames = gru_kws._prepared("test")[0].reshape(-1, 40)
    silent = standardised(SILENCE)
    tested = {frame.tobytes() for frame in frames if not np.allclose(frame, silent)}
    assert not tested & {feed["features"].tobytes() for feed in feeds}


def test_evaluation_is_the_whole_test_split_as_64_steps(spoken):
    samples = list(recipe.evaluation())
    assert len(samples) == 300
    assert {digit for _, digit in samples} == set(range(10))
    assert {type(digit) for _, digit in samples} == {int}
    for feeds, _ in samples:
        assert feeds.keys() == recipe.inputs.keys() - recipe.state.keys()
        assert feeds["features"].shape == (64, *recipe.inputs["features"].shape)
        assert feeds["features"].dtype == np.float32


def test_weights_are_as_accurate_as_their_readme_says_and_stored_small(spoken):
    inputs, labels = gru_kws.training.test()
    row = re.search(r"\| gru-kws \|.*?(\d+) of (\d+)", (WEIGHTS / "README.md").read_text(encoding="utf-8"))
    right, of = int(row[1]), int(row[2])
    assert of == len(labels) == 300
    assert right / of >= 0.95
    assert abs(gru_kws.training.score(recipe.model(), inputs, labels) * of - right) <= 1
    stored = (WEIGHTS / "gru-kws.safetensors").read_bytes()
    assert len(stored) < 2_000_000
    assert {value.dtype for value in safetensors.load(stored).values()} == {torch.float16}


def test_shift_and_gain_moves_whole_frames_and_never_falls_below_silence():
    frames = np.full((200, 64, 40), SILENCE, np.float32)
    frames[:, 30] = 0.0
    moved = shift_and_gain(frames, np.random.default_rng(0))
    assert (moved.shape, moved.dtype) == ((200, 64, 40), np.float32)
    loudest = moved[:, :, 0].argmax(axis=1)
    assert set(loudest) == set(range(30 - 12, 30 + 12 + 1))
    gain = moved.max(axis=(1, 2)) * gru_kws.STD + gru_kws.MEAN
    np.testing.assert_allclose(moved.min(), standardised(SILENCE), rtol=1e-5)
    assert np.abs(gain).max() <= 12 * np.log(10) / 10 + 1e-4
    assert gain.min() < -2
    assert gain.max() > 2


def test_loss_and_score_judge_the_last_step_alone():
    class LastFrame(torch.nn.Module):
        def forward(self, features, hidden):
            assert tuple(hidden.shape) == (2, features.shape[1], 256)
            return features[-1, :, :10] * 50, hidden

    inputs = np.zeros((3, 64, 40), np.float32)
    for row, digit in enumerate((4, 0, 9)):
        inputs[row, :-1, 1], inputs[row, -1, digit] = 1.0, 1.0
    labels = np.array([4, 0, 2], np.uint8)
    assert gru_kws.accuracy_at_the_end(LastFrame(), inputs, labels) == pytest.approx(2 / 3)
    right = gru_kws.loss_at_the_end(LastFrame(), torch.from_numpy(inputs[:2]), torch.from_numpy(labels[:2]))
    assert right.item() < 1e-6
