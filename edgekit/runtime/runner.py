"""The seam between edgekit and a vendor's runtime: three methods, and a table of who provides them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from edgekit.errors import BackendError, did_you_mean
from edgekit.tensors import Array, TensorSpec

Source = Path | memoryview


class Runner(Protocol):
    """A compiled model, ready to run. The caller has checked the inputs; `run` may be called from several threads.

    origin: what exactly runs, in a few words: the runtime's version, and whether the model came from a cache. Golden
        samples are replayed once for each.
    """

    origin: str

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Outputs by name, in memory that the caller owns.

        Raises:
            BackendError: the runtime failed.
        """

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        """A call without arguments that reads `inputs` and writes `outputs` in place. For one thread at a time."""

    def close(self) -> None:
        """Free the model. Calls after this are undefined."""


@dataclass(frozen=True)
class OpenRequest:
    """What a backend needs to open a model.

    files: where each part of the model lies, by role (`model`, `weights`, `data`): a path, or bytes in memory.
    inputs, outputs: the model's tensors, in graph order.
    precision: "f32", "bf16", "int8" or "int4"; what is not quantized computes in f32, or in bf16 for "int8+bf16" and
        "int4+bf16".
    threads: intra-op threads.
    """

    files: Mapping[str, Source]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    precision: str
    threads: int = 1


def keeping_alive(call: Callable[[], object], *buffers: Array) -> Callable[[], object]:
    """`call`, a lambda, which from now on holds `buffers`: a vendor's runtime knows only their addresses.

    A lambda: CPython calls one Python function from another without a C frame; functools.partial took 0.15 us more.
    """
    call.buffers = buffers  # type: ignore[attr-defined]
    return call


RUNNERS = {
    "openvino": "edgekit.runtime.openvino:open_model",
    "onnxruntime": "edgekit.runtime.onnxruntime:open_model",
    "native": "edgekit.runtime.native:open_model",
}


def open_runner(
    backend: str,
    files: Mapping[str, Source],
    *,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    precision: str,
    threads: int = 1,
) -> Runner:
    """Open a compiled model with `backend`: one of `RUNNERS`, or an entry point of the group `edgekit.backends`.

    Raises:
        MissingDependencyError: the backend's package is not installed.
        BackendError: unknown backend, or the backend refused the model.
    """
    request = OpenRequest(files, inputs, outputs, precision, threads)
    open_model = _find(backend)
    return open_model(request)


def _find(backend: str) -> Callable[[OpenRequest], Runner]:
    if backend in RUNNERS:
        module, _, function = RUNNERS[backend].partition(":")
        found: Callable[[OpenRequest], Runner] = getattr(import_module(module), function)
        return found
    from importlib.metadata import entry_points  # 10 ms, which only outsiders' backends need

    plugins = {entry.name: entry for entry in entry_points(group="edgekit.backends")}
    if backend in plugins:
        plugin: Callable[[OpenRequest], Runner] = plugins[backend].load()
        return plugin
    raise BackendError(f"unknown backend {backend!r}; {did_you_mean(backend, [*RUNNERS, *plugins])}")
