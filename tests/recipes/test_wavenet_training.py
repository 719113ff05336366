"""Training on the next sample: crops, padding, the loss in bfloat16, and that a tone is learnt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgekit import recipes
from edgekit.recipes import wavenet
from edgekit.recipes.train import main, save_weights, train

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture
def tones(monkeypatch):
    """`training` on 16 short clips of one tone, each starting elsewhere in it."""
    tone = np.round(128 + 100 * np.sin(np.arange(1000) * 2 * np.pi / 20)).astype(np.int64)
    clips = wavenet._ragged(tone[start : start + 300 + start] for start in range(16))
    plan = replace(wavenet.training, samples=lambda: (clips, np.zeros(16)), test=lambda: (clips[:2], np.zeros(2)))
    monkeypatch.setattr(wavenet, "training", plan)
    monkeypatch.setitem(recipes.SHIPPED, "wavenet", "edgekit.recipes.wavenet")
    return clips


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return wavenet.untrained()


def test_crops_come_from_anywhere_in_a_clip_and_short_clips_are_padded():
    clips = wavenet._ragged([np.arange(5000), np.arange(40)])
    rng = np.random.default_rng(0)
    starts = []
    for _ in range(200):
        long, short = wavenet.crop(clips, rng)
        starts.append(long[0])
        assert np.array_equal(long, np.arange(long[0], long[0] + 2049))
        assert np.array_equal(short[:40], np.arange(40))
        assert set(short[40:]) == {wavenet.PADDING}
    assert min(starts) < 300
    assert max(starts) > 2650
    assert max(starts) <= 5000 - 2049


def test_crops_are_no_longer_than_the_longest_clip():
    assert wavenet.crop(wavenet._ragged([np.arange(40), np.arange(60)]), np.random.default_rng(0)).shape == (2, 60)


def test_padding_costs_nothing_and_changes_nothing(network):
    samples = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 100)))
    padded = torch.cat([samples, torch.full((1, 50), wavenet.PADDING)], 1)
    with torch.inference_mode():
        alone, together = (float(wavenet.next_sample_loss(network, x, None)) for x in (samples, padded))
    assert alone == pytest.approx(together, rel=1e-3)


def test_loss_in_bfloat16_is_the_bits_of_the_score_in_float32(network):
    samples = np.random.default_rng(0).integers(0, 256, 400)
    with torch.inference_mode():
        nats = float(wavenet.next_sample_loss(network, torch.from_numpy(samples[None]), None))
    bits = wavenet.bits_per_sample(network, [samples], np.zeros(1))
    assert nats / math.log(2) == pytest.approx(bits, abs=0.01)
    assert 7.9 < bits < 8.5  # random weights know nothing


def test_an_epoch_on_a_tone_learns_some_of_it(tones):
    epochs = []
    train("wavenet", report=epochs.append, epochs=2)
    assert epochs[1].accuracy < 6.0  # bits; 8 say nothing
    assert epochs[1].loss < epochs[0].loss


def test_command_names_the_score_and_writes_float16(tones, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(wavenet, "training", replace(wavenet.training, epochs=1))
    main(["wavenet", "-o", str(tmp_path / "weights.safetensors")])
    assert "test bits per sample " in capsys.readouterr().out
    stored = safetensors.load_file(tmp_path / "weights.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}


def test_float16_weights_are_read_into_a_float32_network(network, tmp_path):
    save_weights(network, tmp_path / "weights.safetensors", float16=True)
    read = wavenet.untrained()
    read.load_state_dict(safetensors.load_file(tmp_path / "weights.safetensors"))
    for name, value in network.state_dict().items():
        assert torch.equal(read.state_dict()[name], value.half().float())
