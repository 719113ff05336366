"""The distribution of a tensor, streamed: a fixed number of counts, whatever passes by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgekit.errors import CalibrationError
from edgekit.tensors import Array

BINS = 4096
CHUNK = 1 << 18  # values binned at once: their indices stay in the cache, and no copy of a large activation is made

Counts = npt.NDArray[np.int64]


@dataclass
class Histogram:
    """Counts of values in `BINS` equal bins over [-limit, limit], with the exact extremes.

    The limit is a power of two; when a value passes it, it doubles and bins merge in pairs, so that no count is lost.

    zeros: values that are exactly 0, which any quantization grid holds exactly; they are counted in `counts` too.
    """

    limit: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    zeros: int = 0
    counts: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: Array) -> None:
        """Count `values`, float, of any shape.

        Raises:
            CalibrationError: NaN or infinity among them.
        """
        flat = values.reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise CalibrationError("it holds NaN or infinity")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(abs(low), abs(high)))
        for start in range(0, flat.size, CHUNK):
            self._count(flat[start : start + CHUNK])

    def centres(self) -> npt.NDArray[np.float64]:
        """The middle of each bin, (BINS,)."""
        step = 2 * self.limit / BINS
        centres: npt.NDArray[np.float64] = (np.arange(BINS, dtype=np.float64) + 0.5) * step - self.limit
        return centres

    def _widen(self, largest: float) -> None:
        if not self.limit:
            self.limit = float(2.0 ** (np.floor(np.log2(largest)) + 1)) if largest else 0.0
            if self.limit and self.zeros:  # all values so far were zero
                self.counts[BINS // 2] = self.zeros
        while self.limit and largest >= self.limit:  # a value at the limit would fall into the bin below it
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[BINS // 4 : 3 * BINS // 4] = merged
            self.limit *= 2

    def _count(self, values: Array) -> None:
        self.zeros += int(values.size - np.count_nonzero(values))
        if not self.limit:
            return
        # Both factors are powers of two, so that float32 is exact here; whole numbers are moved, not values.
        dtype = np.dtype(np.float32 if 2.0**-100 < self.limit < 2.0**100 else np.float64)
        scale = np.array(BINS / (2 * self.limit), dtype)
        places = np.floor(values.astype(dtype, copy=False) * scale).astype(np.intp)
        places += BINS // 2
        self.counts += np.bincount(places, minlength=BINS)
