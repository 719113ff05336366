"""The speech network: one step at a time equals a whole clip at once, and its data and score are what they say."""

from __future__ import annotations

import re
from collections import deque
from importlib import resources

import numpy as np
import pytest

from edgekit.recipes import wavenet
from edgekit.recipes.wavenet import DILATIONS, negative_bits_per_sample, past_at, recipe
from edgekit.tensors import check_feeds

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

WEIGHTS = resources.files("edgekit.recipes") / "weights"


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return wavenet.untrained().eval()


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).integers(0, 256, 1200)


@pytest.fixture(scope="module")
def whole(network, samples):
    """Logits (1200, 256) and what entered each layer (30, 1200, 64), of the sequence form."""
    with torch.inference_mode():
        logits, entered = network.sequence(torch.from_numpy(samples[None]))
    return logits[0].numpy(), torch.stack(entered)[:, 0].numpy()


def test_steps_with_delayed_past_equal_the_whole_clip(network, samples, whole):
    rings = [deque([torch.zeros(1, 64)] * delay) for delay in recipe.state["past"].delay]
    logits = []
    with torch.inference_mode():
        for sample in torch.from_numpy(samples):
            scores, push = network(sample[None], torch.stack([ring.popleft() for ring in rings]))
            logits.append(scores)
            for ring, value in zip(rings, push, strict=True):
                ring.append(value)
    np.testing.assert_allclose(torch.cat(logits).numpy(), whole[0], atol=2e-6)


@pytest.mark.parametrize("step", [0, 1, 511, 512, 1199])
def test_past_taken_from_the_whole_clip_is_that_of_the_step(network, samples, whole, step):
    past = torch.from_numpy(past_at(whole[1], step))
    with torch.inference_mode():
        logits, push = network(torch.from_numpy(samples[step : step + 1]), past)
    np.testing.assert_allclose(logits[0].numpy(), whole[0][step], atol=2e-6)
    np.testing.assert_allclose(push[:, 0].numpy(), whole[1][:, step], atol=2e-6)
    assert [bool(row.any()) for row in past] == [step >= delay for delay in DILATIONS]


def test_the_past_changes_the_answer_by_far_more_than_the_tolerance(network, samples, whole):
    with torch.inference_mode():
        logits, _ = network(torch.from_numpy(samples[-1:]), torch.zeros(30, 1, 64))
    assert np.abs(logits[0].numpy() - whole[0][-1]).max() > 1e-2


def test_step_form_fits_the_recipes_tensors(network):
    feeds = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in recipe.input_specs}
    outputs = network(*map(torch.from_numpy, check_feeds(recipe.input_specs, feeds).values()))
    assert recipe.outputs == ("logits", "push")
    assert [tuple(output.shape) for output in outputs] == [(1, 256), (30, 1, 64)]
    assert recipe.state["past"].delay == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) * 3


def test_bits_are_eight_where_nothing_is_known_and_none_where_all_is():
    target = np.array([3, 200, 255])
    nothing = np.full((3, 1, 256), 7.5, np.float32)
    certain = np.where(np.arange(256) == target[:, None], 0.0, -200.0)[:, None].astype(np.float32)
    half = np.where(np.arange(256) < 128, 0.0, -200.0)[None, None].astype(np.float32)
    assert negative_bits_per_sample({"logits": nothing}, target) == pytest.approx(-8.0)
    assert negative_bits_per_sample({"logits": certain}, target) == pytest.approx(0.0, abs=1e-12)
    assert negative_bits_per_sample({"logits": half}, np.array([5])) == pytest.approx(-7.0)


def test_bits_of_huge_logits_are_finite():
    assert np.isfinite(negative_bits_per_sample({"logits": np.float32([[[1e4] * 255 + [-1e4]]])}, np.array([255])))


def test_weights_are_float16_on_disk_and_float32_in_the_network():
    stored = safetensors.load((WEIGHTS / "wavenet.safetensors").read_bytes())
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert {value.dtype for value in wavenet.build_model().parameters()} == {torch.float32}
    assert len((WEIGHTS / "wavenet.safetensors").read_bytes()) < 2_000_000


def test_calibration_is_256_steps_of_the_trained_network_with_its_own_past(wavenet_data):
    feeds = list(recipe.calibration())
    assert len(feeds) == 256
    for one in feeds:
        check_feeds(recipe.input_specs, one)
    layers = np.stack([one["past"][:, 0] for one in feeds])  # (256, 30, 64)
    # Position 512 of at most 3,000 is passed by most steps, and only then the last layer has a past.
    assert 128 < layers[:, -1].any(axis=1).sum() < 256
    again = list(recipe.calibration())
    assert all(np.array_equal(one[key], two[key]) for one, two in zip(feeds, again, strict=True) for key in one)


def test_evaluation_is_60_clips_whose_target_is_the_next_sample(wavenet_data):
    clips = list(recipe.evaluation())
    assert len(clips) == 60
    lengths = [len(target) for _, target in clips]
    assert max(lengths) == 3000
    assert sum(lengths) < 180_000
    for feeds, target in clips:
        assert set(feeds) == {"sample"}
        assert feeds["sample"].shape == (len(target), 1)
        assert feeds["sample"].dtype == np.int64
        assert np.array_equal(feeds["sample"][1:, 0], target[:-1])


@pytest.mark.slow
def test_weights_are_as_good_as_their_readme_says(wavenet_data):
    clips, digits = wavenet.training.test()
    bits = wavenet.bits_per_sample(wavenet.build_model(), clips, digits)
    row = re.search(r"\| wavenet \| (\d\.\d+) bits", (WEIGHTS / "README.md").read_text(encoding="utf-8"))
    assert bits == pytest.approx(float(row[1]), abs=0.002)


@pytest.fixture
def wavenet_data(skip_without_data):
    skip_without_data("ds-cnn")  # the same recordings
