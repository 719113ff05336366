"""The anomaly detector: pairs that share no recording, a score that is the AUC, and weights as good as stated."""

from __future__ import annotations

import re
from importlib import resources

import numpy as np
import pytest

from edgekit.processing.audio import mel_filters
from edgekit.recipes import autoencoder, load_recipe
from edgekit.recipes.autoencoder import excerpts_of, network_input, recipe, stranger_stands_out, training
from edgekit.recipes.data import spoken_digits
from edgekit.tensors import check_feeds

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

WEIGHTS = resources.files("edgekit.recipes") / "weights"


@pytest.fixture
def spoken(skip_without_data):
    skip_without_data("ds-cnn")  # the same recordings
    return spoken_digits()


def _noise(samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def _stated(what):
    row = re.search(what, (WEIGHTS / "README.md").read_text(encoding="utf-8"))
    return tuple(float(group) for group in row.groups())


def test_shipped_name_finds_it():
    assert load_recipe("autoencoder") is recipe


def test_network_is_the_one_of_mlperf_tiny_and_keeps_the_shape_at_every_batch():
    network = autoencoder.untrained()
    sizes = [layer.in_features for layer in network if isinstance(layer, torch.nn.Linear)]
    assert sizes == [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    assert not isinstance(network[-1], torch.nn.ReLU)  # log energies around zero are negative too
    for batch in recipe.inputs["frames"].ranges["batch"]:
        assert tuple(network(torch.zeros(batch, 640)).shape) == (batch, 640)


def test_every_mel_band_hears_at_least_one_bin():
    assert (mel_filters(autoencoder.FRAMES).max(axis=0) > 0).all()


def test_input_is_five_frames_and_does_not_depend_on_the_level():
    excerpt = _noise(1536)[None]
    plain, louder = network_input(excerpt), network_input(10 * excerpt)
    assert (plain.shape, plain.dtype) == ((1, 640), np.float32)
    np.testing.assert_allclose(louder, plain, atol=1e-3)
    np.testing.assert_allclose(plain.mean(), 0.0, atol=1e-5)


def test_values_of_the_last_frame_come_last():
    changed = _noise(1536)
    changed[1400:] = 0.0  # within the fifth window alone: it begins at 1024, the fourth ends at 1280
    levels = [network_input(wave[None])[0].reshape(5, 128) for wave in (_noise(1536), changed)]
    difference = levels[1] - levels[0]
    np.testing.assert_allclose(difference[:4], difference[0, 0], atol=1e-5)  # the mean that is subtracted moved
    assert np.abs(difference[4] - difference[0, 0]).max() > 0.1


def test_excerpts_span_the_whole_clip_and_a_short_one_is_padded():
    clip = np.arange(4000, dtype=np.float32)
    spread = excerpts_of(clip)
    assert spread.shape == (4, 1536)
    assert (spread[0, 0], spread[-1, -1]) == (0.0, 3999.0)
    short = excerpts_of(clip[:1000])
    assert np.array_equal(short, np.tile(np.pad(clip[:1000], (0, 536)), (4, 1)))


def _outputs(known_error, stranger_error, target):
    off = np.repeat(np.float32([known_error, stranger_error]), 4)[:, None]
    return {"reconstruction": target + off}


@pytest.mark.parametrize(("known", "stranger", "score"), [(0.1, 0.2, 1.0), (0.2, 0.1, 0.0), (0.25, 0.25, 0.5)])
def test_score_is_whether_the_stranger_is_reconstructed_worse(known, stranger, score):
    target = np.zeros((8, 640), np.float32)
    assert stranger_stands_out(_outputs(known, stranger, target), target) == score


def test_score_is_of_the_mean_over_a_recordings_excerpts_not_of_the_worst():
    target, got = np.zeros((8, 640), np.float32), np.zeros((8, 640), np.float32)
    got[0], got[4:] = 3.0, 2.0  # mean squares 9 / 4 and 4
    assert stranger_stands_out({"reconstruction": got}, target) == 1.0


def test_calibration_is_256_single_excerpts_of_known_speakers(spoken):
    feeds = list(recipe.calibration())
    assert len(feeds) == 256
    assert {check_feeds(recipe.input_specs, feed)["frames"].shape for feed in feeds} == {(1, 640)}
    again = [feed["frames"].tobytes() for feed in recipe.calibration()]
    assert [feed["frames"].tobytes() for feed in feeds] == again
    strangers = np.flatnonzero(spoken.speaker == autoencoder.STRANGER)
    tested = np.flatnonzero(spoken.take < 5)
    unseen = {row.tobytes() for i in {*strangers, *tested} for row in autoencoder._recording(i)}
    assert not unseen & set(again)


def test_evaluation_pairs_each_known_test_recording_with_another_one_of_the_stranger(spoken):
    samples = list(recipe.evaluation())
    assert len(samples) == 250
    owner = {}
    for index, clip in enumerate(spoken.clips):
        if spoken.take[index] < 25:
            owner[network_input(excerpts_of(clip)).tobytes()] = index
    pairs = []
    for feeds, target in samples:
        frames = check_feeds(recipe.input_specs, feeds)["frames"]
        assert np.array_equal(frames, target)
        pairs.append([owner[half.tobytes()] for half in (frames[:4], frames[4:])])
    known, stranger = np.array(pairs).T
    assert len({*known, *stranger}) == 500
    assert np.array_equal(spoken.digit[known], spoken.digit[stranger])
    assert (spoken.take[known] < 5).all()
    assert set(spoken.speaker[known]) == set(range(6)) - {autoencoder.STRANGER}
    assert set(spoken.speaker[stranger]) == {autoencoder.STRANGER}


def test_training_never_hears_the_stranger_nor_the_test_split(spoken):
    trained_on = autoencoder._training_recordings()
    assert len(trained_on) == 5 * 10 * 45
    assert autoencoder.STRANGER not in spoken.speaker[trained_on]
    assert spoken.take[trained_on].min() == 5


def test_raw_excerpts_make_the_inputs_of_the_evaluation(spoken):
    raw = recipe.raw_samples()
    feeds, _ = next(iter(recipe.evaluation()))
    made = [check_feeds(recipe.input_specs, recipe.processed(next(raw)))["frames"] for _ in range(4)]
    np.testing.assert_allclose(np.concatenate(made), feeds["frames"][:4], atol=1e-6)


def test_weights_separate_the_stranger_as_their_readme_says(spoken):
    network, pairs = recipe.model(), autoencoder._pairs()
    assert not network.training
    right, of = _stated(r"\| autoencoder \|.*?(\d+) of (\d+) pairs")
    assert of == len(pairs)
    assert (
        abs(training.score(network, pairs, np.zeros(0)) * of - right) <= 1
    )  # a tie in the last bits may fall either way


def test_auc_of_all_recordings_is_as_the_readme_says(spoken):
    network = recipe.model()

    def errors(indices):
        inputs = torch.from_numpy(np.stack([autoencoder._recording(index) for index in indices]))
        with torch.inference_mode():
            return (network(inputs.flatten(0, 1)).reshape(inputs.shape) - inputs).square().mean((1, 2)).numpy()

    theirs = spoken.speaker == autoencoder.STRANGER
    known, stranger = errors(np.flatnonzero(~theirs & (spoken.take < 5))), errors(np.flatnonzero(theirs))
    (stated,) = _stated(r"500 of his the AUC is ([\d.]+) ")
    assert abs((stranger[:, None] > known).mean() - stated) < 0.001


def test_loss_is_the_mean_squared_error_of_the_reconstruction():
    class Halved(torch.nn.Module):
        def forward(self, x):
            return x / 2

    inputs = torch.full((3, 640), 4.0)
    assert autoencoder.reconstruction_loss(Halved(), inputs, torch.zeros(3)).item() == pytest.approx(4.0)
