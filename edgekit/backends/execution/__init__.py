"""What a compiled model really executes: the precision of each layer, read from the runtime that runs it.

A graph with QuantizeLinear pairs is a wish. Whether a layer computes in int8 is decided by the runtime when it compiles
the graph, and it does not say so by itself: it takes what it has a kernel for, and computes the rest in float between
conversions. So the layers are read back from the compiled model, never from the graph that went in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from edgekit.backends.execution.layers import (
    ExecutedLayer,
    Execution,
    Summary,
    describe,
    execution_from_json,
    execution_to_json,
    fell_back,
    summary,
)
from edgekit.errors import BackendError, did_you_mean
from edgekit.feeds import feeds_at
from edgekit.runtime.runner import OpenRequest
from edgekit.tensors import Array, TensorSpec, smallest_sizes

__all__ = [
    "ExecutedLayer",
    "Execution",
    "Summary",
    "describe",
    "execution_from_json",
    "execution_to_json",
    "fell_back",
    "read_execution",
    "summary",
]

READERS = {
    "openvino": "edgekit.backends.execution.openvino:read_layers",
    "onnxruntime": "edgekit.backends.execution.onnxruntime:read_layers",
    "native": "edgekit.backends.execution.native:read_layers",
}


def read_execution(
    backend: str,
    files: Mapping[str, Path],
    *,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    precision: str,
    feeds: Sequence[Mapping[str, Array]],
    threads: int = 1,
    calls: int = 50,
) -> Execution:
    """The layers that `backend` executes for the compiled model `files`, each with its precision and time.

    The model is compiled as its runner compiles it, with the runtime's profiler on, and run `calls` times in this
    process at the smallest shape, the one that latency is measured at. Nothing is left on disk or in a cache.

    feeds: real samples, taken in turn; brought to the smallest shape.
    precision: as `edgekit.runtime.runner.OpenRequest` has it.
    calls: timed runs, after a few that are not. Times are for people: both profilers count in whole microseconds;
        OpenVINO's cuts off what is below one, onnxruntime's adds about two of its own to each node. In models of small
        layers, compare layers with each other, and take latencies from `edgekit.bench`.

    Raises:
        MissingDependencyError: the backend's package, or onnx for onnxruntime, is not installed.
        BackendError: unknown backend, no samples, or the runtime refused the model or the samples.
    """
    if backend not in READERS:
        raise BackendError(f"no reader of executions for backend {backend!r}; {did_you_mean(backend, READERS)}")
    if not feeds or calls < 1:
        raise BackendError(f"{len(feeds)} samples and {calls} calls; reading an execution takes one of each or more")
    module, _, function = READERS[backend].partition(":")
    read_layers: Callable[..., tuple[ExecutedLayer, ...]] = getattr(import_module(module), function)
    sizes = smallest_sizes(inputs)
    samples = [feeds_at(inputs, [sample], sizes) for sample in feeds]
    request = OpenRequest(files, inputs, outputs, precision, threads)
    return Execution(backend, read_layers(request, samples, calls=calls))
