"""Speech to network input and back: log-mel energies, cepstral coefficients (MFCC), 8-bit mu-law samples, WAV files."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import TensorError
from edgekit.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgekit.tensors import Array

MU = 255
MU_LAW_SILENCE = 128  # the level that 0.0 becomes


@dataclass(frozen=True)
class LogMel:
    """How sound becomes the logarithms of its mel bands' energies; the defaults take 40 ms every 20 ms at 8 kHz.

    window_samples, hop_samples: the length of a window, and how far the next one begins after it.
    fft_size: each window is padded with zeros to this length.
    low_hz, high_hz: edges of the mel bands.
    log_floor: added to every band's energy, so that silence has a finite logarithm.
    """

    sample_rate_hz: int = 8000
    window_samples: int = 320
    hop_samples: int = 160
    fft_size: int = 512
    mel_bands: int = 40
    low_hz: float = 20.0
    high_hz: float = 4000.0
    log_floor: float = 1e-3


@dataclass(frozen=True)
class Mfcc(LogMel):
    """How a clip becomes features; the defaults give (49, 10) from one second at 8 kHz.

    clip_samples: every clip is padded with zeros or cropped, evenly on both sides, to this length.
    mean, std: one for each coefficient; subtracted, then divided by. Empty: the coefficients as they are.
    """

    clip_samples: int = 8000
    coefficients: int = 10
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def frames(self) -> int:
        """Whole windows in a clip."""
        return 1 + (self.clip_samples - self.window_samples) // self.hop_samples


def prepare_clips(clips: Iterable[Array], spec: Mfcc) -> Array:
    """Network input from clips of any length: their features, stacked.

    clips: each (samples,), int16 or float32 in [-1, 1].
    Returns (n, 1, spec.frames, spec.coefficients) float32.

    Raises:
        TensorError: a clip that is not mono, is empty, or has another dtype.
    """
    waves = np.stack([fit_length(to_float(clip), spec.clip_samples) for clip in clips])
    return mfcc(waves, spec)[:, None]


def to_float(clip: Array) -> Array:
    """One clip as float32 in [-1, 1]: int16 is divided by 32768, float32 is passed on.

    clip: (samples,) int16 or float32.

    Raises:
        TensorError: a clip that is not mono, is empty, or has another dtype.
    """
    if clip.ndim != 1 or clip.size == 0:
        raise TensorError(f"clip has shape {clip.shape}; expected one channel: (samples,)")
    if clip.dtype == np.int16:
        return clip.astype(np.float32) / np.float32(32768)
    if clip.dtype == np.float32:
        return clip
    raise TensorError(f"clip is {clip.dtype.name}; expected int16, or float32 in [-1, 1]")


def fit_length(clip: Array, samples: int) -> Array:
    """The clip with zeros added, or samples taken off, evenly at both ends: (n,) -> (samples,)."""
    missing = samples - len(clip)
    if missing <= 0:
        start = -missing // 2
        return clip[start : start + samples]
    return np.pad(clip, (missing // 2, missing - missing // 2))


def mfcc(waves: Array, spec: Mfcc) -> Array:
    """Mel-frequency cepstral coefficients of clips that have the right length.

    Windows under a periodic Hann window -> |rfft|^2 -> mel bands -> log(energy + floor) -> orthonormal DCT-II
    -> the first coefficients -> (c - mean) / std. After S. Davis and P. Mermelstein, "Comparison of
    parametric representations for monosyllabic word recognition", IEEE Trans. ASSP 28(4), 1980. Computed in
    float64.

    waves: (n, spec.clip_samples) float. Returns (n, spec.frames, spec.coefficients) float32.

    Raises:
        TensorError: the clips do not have `spec.clip_samples` samples.
    """
    if waves.ndim != 2 or waves.shape[1] != spec.clip_samples:
        raise TensorError(f"clips have shape {waves.shape}; expected (n, {spec.clip_samples}): see fit_length")
    cepstrum = _log_energies(waves, spec) @ _dct(spec.mel_bands, spec.coefficients)
    if spec.mean:
        cepstrum = (cepstrum - spec.mean) / spec.std
    return cepstrum.astype(np.float32)


def log_mel(waves: Array, spec: LogMel) -> Array:
    """Logarithms of the energies in mel bands, of as many whole windows as the clips hold: the first half of `mfcc`.

    waves: (n, samples) float. Returns (n, frames, spec.mel_bands) float32.

    Raises:
        TensorError: the clips are shorter than one window.
    """
    if waves.ndim != 2 or waves.shape[1] < spec.window_samples:
        raise TensorError(f"clips have shape {waves.shape}; expected (n, {spec.window_samples} or more samples)")
    return _log_energies(waves, spec).astype(np.float32)


def _log_energies(waves: Array, spec: LogMel) -> Array:
    """(n, samples) -> (n, frames, mel_bands) float64."""
    windows = np.lib.stride_tricks.sliding_window_view(waves, spec.window_samples, axis=1)[:, :: spec.hop_samples]
    spectrum = np.fft.rfft(windows * _hann(spec.window_samples), spec.fft_size)
    energy = (spectrum.real**2 + spectrum.imag**2) @ mel_filters(spec)
    logarithms: Array = np.log(energy + spec.log_floor)
    return logarithms


@lru_cache(maxsize=8)
def mel_filters(spec: LogMel) -> Array:
    """Triangular filters, equally wide in mel, peak 1: (fft_size // 2 + 1, mel_bands) float64.

    mel(f) = 1127 ln(1 + f / 700 Hz), and triangles that are straight in mel, as in the HTK Book (S. Young et
    al., version 3.4, section 5.4) and TensorFlow's `linear_to_mel_weight_matrix`.
    """
    edges = np.linspace(_mel(spec.low_hz), _mel(spec.high_hz), spec.mel_bands + 2)
    bins = _mel(np.fft.rfftfreq(spec.fft_size, 1 / spec.sample_rate_hz))[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(frequency_hz: float | Array) -> Array:
    return np.asarray(1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0))


@lru_cache(maxsize=8)
def _hann(samples: int) -> Array:
    """Periodic Hann window, 0.5 - 0.5 cos(2 pi n / samples): (samples,) float64."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)


@lru_cache(maxsize=8)
def _dct(bands: int, coefficients: int) -> Array:
    """First columns of the orthonormal DCT-II: (bands, coefficients) float64.

    sqrt(2 / bands) cos(pi k (2 n + 1) / (2 bands)), and that over sqrt(2) for k = 0.
    """
    n, k = np.arange(bands)[:, None], np.arange(coefficients)
    matrix: Array = np.sqrt(2 / bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * bands))
    matrix[:, 0] /= np.sqrt(2)
    return matrix


def mu_law_encode(samples: Array) -> Array:
    """Samples as 256 levels, finer the nearer they are to zero.

    f(x) = sign(x) ln(1 + 255 |x|) / ln(256), rounded to the nearest of 256 even steps from -1 to 1, as in
    A. van den Oord et al., "WaveNet", 2016 (arXiv:1609.03499), section 2.2. What lies outside [-1, 1] becomes the
    first or last level. Not the bit layout of ITU-T G.711.

    samples: float32, any shape, finite. Returns uint8, the same shape.

    Raises:
        TensorError: samples of another dtype.
    """
    if samples.dtype != np.float32:
        raise TensorError(f"samples are {samples.dtype.name}; expected float32 in [-1, 1]: see to_float")
    x = np.clip(samples.astype(np.float64), -1.0, 1.0)
    compressed: Array = np.sign(x) * np.log1p(MU * np.abs(x)) / np.log1p(MU)
    return np.floor((compressed + 1) / 2 * MU + 0.5).astype(np.uint8)


def mu_law_decode(levels: Array) -> Array:
    """The inverse of `mu_law_encode`, to half a step: sign(f) (256^|f| - 1) / 255 with f = 2 level / 255 - 1.

    levels: integers from 0 to 255, any shape. Returns float32 in [-1, 1], the same shape.

    Raises:
        TensorError: not integers, or outside 0 to 255.
    """
    if levels.dtype.kind not in "iu" or (levels.size and (levels.min() < 0 or levels.max() > MU)):
        raise TensorError(f"levels are {levels.dtype.name}; expected integers from 0 to {MU}")
    f = 2 * levels.astype(np.float64) / MU - 1
    decoded: Array = np.sign(f) * np.expm1(np.abs(f) * np.log1p(MU)) / MU
    return decoded.astype(np.float32)


def write_wave(path: Path, samples: Array, *, sample_rate_hz: int) -> None:
    """Write one channel of sound as a 16-bit WAV file, the whole file or nothing.

    samples: (n,) float32 in [-1, 1], clipped where it is not; or int16.

    Raises:
        TensorError: samples that are not mono, are empty, or have another dtype.
        EdgekitError: the file cannot be written.
    """
    pcm = np.clip(np.round(to_float(samples) * 32768), -32768, 32767)  # int16 comes back as it was
    with replacing(path) as draft, draft.open("wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())
