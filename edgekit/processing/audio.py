"""Speech to network input: mel-frequency cepstral coefficients (MFCC) of a clip of fixed length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import TensorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.tensors import Array


@dataclass(frozen=True)
class Mfcc:
    """How a clip becomes features; the defaults give (49, 10) from one second at 8 kHz.

    clip_samples: every clip is padded with zeros or cropped, evenly on both sides, to this length.
    window_samples, hop_samples: 40 ms and 20 ms.
    fft_size: each window is padded with zeros to this length.
    low_hz, high_hz: edges of the mel bands.
    log_floor: added to every band's energy, so that silence has a finite logarithm.
    mean, std: one for each coefficient; subtracted, then divided by. Empty: the coefficients as they are.
    """

    sample_rate_hz: int = 8000
    clip_samples: int = 8000
    window_samples: int = 320
    hop_samples: int = 160
    fft_size: int = 512
    mel_bands: int = 40
    low_hz: float = 20.0
    high_hz: float = 4000.0
    coefficients: int = 10
    log_floor: float = 1e-3
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
    windows = np.lib.stride_tricks.sliding_window_view(waves, spec.window_samples, axis=1)[:, :: spec.hop_samples]
    spectrum = np.fft.rfft(windows * _hann(spec.window_samples), spec.fft_size)
    energy = (spectrum.real**2 + spectrum.imag**2) @ mel_filters(spec)
    cepstrum = np.log(energy + spec.log_floor) @ _dct(spec.mel_bands, spec.coefficients)
    if spec.mean:
        cepstrum = (cepstrum - spec.mean) / spec.std
    return cepstrum.astype(np.float32)


@lru_cache(maxsize=8)
def mel_filters(spec: Mfcc) -> Array:
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
