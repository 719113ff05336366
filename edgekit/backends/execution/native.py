"""The kernel calls of a plan, with the row of each and its time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import edgekit._native as native
from edgekit.backends.execution.layers import ExecutedLayer
from edgekit.runtime.native import NativeRunner, open_model
from edgekit.runtime.runner import OpenRequest
from edgekit.tensors import Feeds

PRECISIONS = {"u8": "int8", "i8": "int8", "f32": "f32", "bf16": "bf16"}  # by the last word of an op
LAYERS = ("conv2d", "depthwise", "dense", "gru", "lstm", "wavenet")
KINDS = {"quantize": "convert", "dequantize": "convert", "border": "reorder"}
WARM_UP = 3


def read_layers(request: OpenRequest, samples: Sequence[Feeds], *, calls: int) -> tuple[ExecutedLayer, ...]:
    """See `edgekit.backends.execution.read_execution`."""
    runner = open_model(request)
    outputs = runner.run(dict(samples[0]))
    times = np.mean([_times(runner, sample, outputs, calls) for sample in samples], axis=0)
    return tuple(_layer(step, time) for step, time in zip(runner.plan.steps, times, strict=True))


def _times(runner: NativeRunner, sample: Feeds, outputs: Feeds, calls: int) -> list[float]:
    run = runner.bind(sample, outputs)
    assert isinstance(run, native.Run)  # noqa: S101 - samples are at the smallest shape, the plan's own
    for _ in range(WARM_UP):
        run()
    return run.step_ns(calls)


def _layer(step: tuple[str, str, str, bytes], time_ns: float) -> ExecutedLayer:
    op, row, label, _ = step
    family, _, word = op.rpartition("_")
    kind = "layer" if family in LAYERS else KINDS.get(family, "other")
    return ExecutedLayer(label, op, PRECISIONS[word], kind, kernel=row, time_us=float(time_ns) / 1000)
