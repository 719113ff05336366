"""MFCC features against a plain loop in float64 that shares no code with them."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from edgekit.errors import TensorError
from edgekit.processing.audio import Mfcc, fit_length, mel_filters, mfcc, prepare_clips, to_float

SMALL = Mfcc(clip_samples=480)  # two frames, for the slow reference


def _wave(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / 8000
    tones = 0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.1 * np.sin(2 * np.pi * 1900 * time_s)
    return (tones + 0.01 * rng.standard_normal(samples)).astype(np.float32)


def _mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)  # the other common way to write it


def _naive_band_energies(window: list[float], spec: Mfcc) -> list[float]:
    n = spec.window_samples
    hann = [window[i] * math.sin(math.pi * i / n) ** 2 for i in range(n)]
    power = []
    for k in range(spec.fft_size // 2 + 1):
        turn = [cmath.exp(-2j * math.pi * k * i / spec.fft_size) for i in range(n)]
        power.append(abs(sum(a * b for a, b in zip(hann, turn, strict=True))) ** 2)
    low, high = _mel(spec.low_hz), _mel(spec.high_hz)
    step = (high - low) / (spec.mel_bands + 1)
    energies = []
    for band in range(spec.mel_bands):
        centre = low + (band + 1) * step
        weights = [max(0.0, 1 - abs(_mel(k * spec.sample_rate_hz / spec.fft_size) - centre) / step) for k in range(257)]
        energies.append(sum(w * p for w, p in zip(weights, power, strict=True)))
    return energies


def _naive_mfcc(wave: np.ndarray, spec: Mfcc) -> np.ndarray:
    rows = []
    for frame in range(spec.frames):
        start = frame * spec.hop_samples
        energies = _naive_band_energies([float(v) for v in wave[start : start + spec.window_samples]], spec)
        logs, bands = [math.log(e + spec.log_floor) for e in energies], spec.mel_bands
        row = []
        for k in range(spec.coefficients):
            scale = math.sqrt((1 if k == 0 else 2) / bands)
            row.append(scale * sum(v * math.cos(math.pi * k * (i + 0.5) / bands) for i, v in enumerate(logs)))
        rows.append(row)
    return np.array(rows)


def test_features_agree_with_the_naive_loop():
    wave = _wave(SMALL.clip_samples)
    np.testing.assert_allclose(mfcc(wave[None], SMALL)[0], _naive_mfcc(wave, SMALL), rtol=1e-6, atol=2e-6)


def test_one_second_gives_49_frames_of_10_coefficients():
    features = prepare_clips([_wave(8000), _wave(3000), _wave(12000)], Mfcc())
    assert features.shape == (3, 1, 49, 10)
    assert features.dtype == np.float32


def test_features_do_not_depend_on_the_rest_of_the_batch():
    clips = [_wave(8000, seed) for seed in range(4)]
    together = prepare_clips(clips, Mfcc())
    alone = np.concatenate([prepare_clips([clip], Mfcc()) for clip in clips])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)


def test_mean_and_std_standardise_each_coefficient():
    wave = _wave(SMALL.clip_samples)[None]
    mean, std = tuple(float(k) for k in range(10)), tuple(float(k + 1) for k in range(10))
    plain = mfcc(wave, SMALL).astype(np.float64)
    scaled = mfcc(wave, Mfcc(clip_samples=480, mean=mean, std=std))
    np.testing.assert_allclose(scaled, (plain - mean) / std, rtol=1e-5, atol=1e-6)


def test_a_gain_moves_only_the_first_coefficient():
    spec = Mfcc(clip_samples=480, log_floor=0.0)
    wave = _wave(480).astype(np.float64)[None]
    change = mfcc(10 * wave, spec).astype(np.float64) - mfcc(wave, spec)
    np.testing.assert_allclose(change[..., 0], math.sqrt(40) * math.log(100), rtol=1e-5)
    np.testing.assert_allclose(change[..., 1:], 0.0, atol=1e-5)


def test_silence_has_finite_features():
    assert np.isfinite(mfcc(np.zeros((1, 8000), np.float32), Mfcc())).all()


def test_every_mel_band_hears_at_least_one_bin():
    filters = mel_filters(Mfcc())
    assert filters.shape == (257, 40)
    assert (filters.max(axis=0) > 0).all()


def test_int16_and_float_clips_give_the_same_features():
    clip = (_wave(8000) * 20000).astype(np.int16)
    as_float = (clip / 32768).astype(np.float32)
    np.testing.assert_array_equal(prepare_clips([clip], Mfcc()), prepare_clips([as_float], Mfcc()))


@pytest.mark.parametrize(
    ("clip", "samples", "expected"),
    [
        ([1, 2, 3], 6, [0, 1, 2, 3, 0, 0]),
        ([1, 2, 3], 5, [0, 1, 2, 3, 0]),
        ([1, 2, 3], 3, [1, 2, 3]),
        ([1, 2, 3, 4, 5], 3, [2, 3, 4]),
        ([1, 2, 3, 4, 5], 2, [2, 3]),
    ],
)
def test_fit_length_pads_and_crops_evenly(clip, samples, expected):
    np.testing.assert_array_equal(fit_length(np.array(clip), samples), expected)


@pytest.mark.parametrize("clip", [np.zeros((100, 2), np.int16), np.zeros(0, np.int16), np.zeros(100, np.float64)])
def test_to_float_refuses_what_is_not_mono_sound(clip):
    with pytest.raises(TensorError, match="expected"):
        to_float(clip)


def test_features_refuse_a_clip_of_another_length():
    with pytest.raises(TensorError, match=r"expected \(n, 8000\)"):
        mfcc(np.zeros((1, 7999), np.float32), Mfcc())
