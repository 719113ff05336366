"""MFCC features and mu-law against plain loops in float64 that share no code with them; WAV files read back."""

from __future__ import annotations

import cmath
import math
import wave

import numpy as np
import pytest

from edgekit.errors import EdgekitError, TensorError
from edgekit.processing.audio import (
    MU_LAW_SILENCE,
    LogMel,
    Mfcc,
    fit_length,
    log_mel,
    mel_filters,
    mfcc,
    mu_law_decode,
    mu_law_encode,
    prepare_clips,
    to_float,
    write_wave,
)

SMALL = Mfcc(clip_samples=480)  # two frames, for the slow reference


def _wave(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / 8000
    tones = 0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.1 * np.sin(2 * np.pi * 1900 * time_s)
    return (tones + 0.01 * rng.standard_normal(samples)).astype(np.float32)


def _mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)  # the other common way to write it


def _naive_band_energies(window: list[float], spec: LogMel) -> list[float]:
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


def test_log_mel_agrees_with_the_naive_loop_whatever_the_clips_length():
    spec = LogMel(window_samples=200, hop_samples=80, fft_size=512, mel_bands=12)
    wave = _wave(440)  # four windows: 0, 80, 160, 240
    expected = [
        [
            math.log(e + spec.log_floor)
            for e in _naive_band_energies([float(v) for v in wave[start : start + 200]], spec)
        ]
        for start in (0, 80, 160, 240)
    ]
    found = log_mel(wave[None], spec)
    assert (found.shape, found.dtype) == ((1, 4, 12), np.float32)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=2e-6)


def test_log_mel_of_a_frame_does_not_need_the_rest_of_the_clip():
    spec, wave = LogMel(window_samples=200, hop_samples=80, fft_size=256), _wave(1000)
    whole = log_mel(wave[None], spec)[0]
    alone = np.stack([log_mel(wave[None, start : start + 200], spec)[0, 0] for start in range(0, 801, 80)])
    np.testing.assert_allclose(whole, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("waves", [np.zeros((1, 199), np.float32), np.zeros(400, np.float32)])
def test_log_mel_refuses_less_than_a_window(waves):
    with pytest.raises(TensorError, match=r"expected \(n, 200 or more samples\)"):
        log_mel(waves, LogMel(window_samples=200))


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


def test_mu_law_agrees_with_the_formula_one_sample_at_a_time():
    samples = np.linspace(-1, 1, 501, dtype=np.float32)
    expected = []
    for x in samples.tolist():
        f = math.copysign(math.log(1 + 255 * abs(x)) / math.log(256), x)
        expected.append(math.floor((f + 1) / 2 * 255 + 0.5))
    np.testing.assert_array_equal(mu_law_encode(samples), expected)


def test_mu_law_levels_survive_decoding_and_encoding():
    levels = np.arange(256, dtype=np.uint8)
    decoded = mu_law_decode(levels)
    assert decoded.dtype == np.float32
    assert (decoded[0], decoded[255]) == (-1.0, 1.0)
    assert (np.diff(decoded) > 0).all()
    np.testing.assert_array_equal(mu_law_encode(decoded), levels)


def test_mu_law_is_finest_near_silence():
    steps = np.diff(mu_law_decode(np.arange(256)))
    assert steps.argmin() == 127
    assert steps[127] < 2e-4
    assert steps[0] > 0.02


def test_mu_law_keeps_the_shape_and_clips_what_is_too_loud():
    samples = np.array([[-3.0, 0.0, 1.5]], np.float32)
    np.testing.assert_array_equal(mu_law_encode(samples), [[0, MU_LAW_SILENCE, 255]])


def test_mu_law_refuses_what_it_cannot_mean():
    with pytest.raises(TensorError, match="samples are int16; expected float32"):
        mu_law_encode(np.zeros(3, np.int16))
    with pytest.raises(TensorError, match="expected integers from 0 to 255"):
        mu_law_decode(np.array([0, 256]))
    with pytest.raises(TensorError, match="levels are float32"):
        mu_law_decode(np.zeros(3, np.float32))


def test_written_wave_reads_back_as_the_same_samples(tmp_path):
    path = tmp_path / "tone.wav"
    samples = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 2.0], np.float32)
    write_wave(path, samples, sample_rate_hz=8000)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        read = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(read, [0, 16384, -16384, 32767, -32768, 32767])
    assert [file.name for file in tmp_path.iterdir()] == ["tone.wav"]


def test_written_wave_keeps_int16_as_it_is(tmp_path):
    write_wave(tmp_path / "clip.wav", np.array([-32768, 7, 32767], np.int16), sample_rate_hz=8000)
    with wave.open(str(tmp_path / "clip.wav")) as file:
        assert np.frombuffer(file.readframes(3), "<i2").tolist() == [-32768, 7, 32767]


def test_wave_that_cannot_be_written_says_what_to_do(tmp_path):
    with pytest.raises(EdgekitError, match="create the folder first"):
        write_wave(tmp_path / "missing" / "tone.wav", np.zeros(4, np.float32), sample_rate_hz=8000)
