"""How far a compressed graph's outputs are from the float ones: the signal-to-quantization-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from edgekit.errors import BackendError
from edgekit.tensors import Array, Feeds


def outputs_of(graph: Path, samples: Iterable[Feeds]) -> Iterator[dict[str, Array]]:
    """What the ONNX file `graph` computes from each sample, in onnxruntime.

    Raises:
        BackendError: onnxruntime refuses the graph.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    try:
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        for feeds in samples:
            yield dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise BackendError(f"onnxruntime refuses the graph: {error}") from error


def sqnr_db(reference: Iterable[Mapping[str, Array]], outputs: Iterable[Mapping[str, Array]]) -> float:
    """10 log10(signal power / noise power) over all samples, of the float output that has it worst, in decibels.

    Infinite if nothing differs; minus infinity where an output is not finite.
    """
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for expected, got in zip(reference, outputs, strict=True):
        for name, value in expected.items():
            if value.dtype.kind != "f":
                continue
            exact = value.astype(np.float64)
            signal[name] = signal.get(name, 0.0) + float(np.square(exact).sum())
            noise[name] = noise.get(name, 0.0) + float(np.square(got[name] - exact).sum())
    return min((decibels(signal[name], noise[name]) for name in signal), default=math.inf)


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise)."""
    if not math.isfinite(noise):
        return -math.inf
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
