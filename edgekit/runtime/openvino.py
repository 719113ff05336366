"""Runs OpenVINO models on the CPU plugin.

Facts that shape this file, measured on a 2-core Zen 4 with openvino 2026.4:
- The plugin computes in bf16 wherever the CPU can, unless INFERENCE_PRECISION_HINT says f32: it is always set here.
- A graph compiled for dynamic shapes runs 15-40 % slower than the same graph at a fixed shape. The smallest shape, the
  one that latency is measured at, is compiled as fixed; a dynamic one is compiled when another shape first comes.
- `infer` copies its outputs unless share_outputs is set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgekit.caches import cache_dir
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.machine import machine_key
from edgekit.runtime.openvino_extension import find_extension
from edgekit.runtime.runner import OpenRequest, Source, keeping_alive
from edgekit.runtime.telemetry import disable_telemetry
from edgekit.tensors import Array, smallest_sizes

Shapes = tuple[tuple[int, ...], ...]
PLAIN, FUSED = ("model", "weights"), ("fused", "fused_weights")  # roles of a payload's files


def open_model(request: OpenRequest) -> OpenvinoRunner:
    """Open `files["model"]` and `files["weights"]`, an OpenVINO IR (.xml and .bin).

    Where there are `fused` and `fused_weights` as well, the same model with parts of it as plans, these run at the
    smallest shape if edgekit's extension is here: see `edgekit.runtime.openvino_extension`.

    Raises:
        MissingDependencyError: openvino is not installed.
        BackendError: OpenVINO refused the model.
    """
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", extra="openvino") from error
    core = openvino.Core()
    _use_cache(core, openvino.__version__)
    try:
        return OpenvinoRunner(core, request, version=openvino.__version__)
    except RuntimeError as error:
        raise BackendError(f"openvino refused the model: {error}") from error


def _use_cache(core: Any, version: str) -> None:
    """Keep compiled models per OpenVINO version and CPU; OpenVINO keys them there by model and configuration.

    Where the folder cannot be written, models are compiled each time.
    """
    folder = cache_dir("openvino", f"{version.partition('-')[0]}-{machine_key()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        core.set_property({"CACHE_DIR": str(folder)})
    except (OSError, RuntimeError):
        return


def _config(request: OpenRequest) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if request.precision.endswith("bf16") else "f32",
        "INFERENCE_NUM_THREADS": request.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }


class OpenvinoRunner:
    """A Runner over one or two compiled forms of the same model: at its smallest shape, and dynamic."""

    def __init__(self, core: Any, request: OpenRequest, *, version: str) -> None:
        self._core = core
        self._request = request
        self._output_names = [spec.name for spec in request.outputs]
        sizes = smallest_sizes(request.inputs)
        self._smallest: Shapes = tuple(spec.shape_at(sizes) for spec in request.inputs)
        self.roles = PLAIN  # of the files that run at the smallest shape
        compiled, graph = self._compile_smallest(version)
        how = "from cache" if compiled.get_property("LOADED_FROM_CACHE") else "compiled"
        self.origin = f"{version}, {how}{graph}"
        self._fixed = _RequestPool(compiled)
        self._dynamic: _RequestPool | None = None if sizes else self._fixed
        self._compiling = threading.Lock()

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        pool = self._pool_for(feeds)
        request = pool.take()
        try:
            request.infer(feeds, share_inputs=True, share_outputs=True)
            return {name: request.get_tensor(name).data.copy() for name in self._output_names}
        except RuntimeError as error:
            raise BackendError(f"openvino failed: {error}") from error
        finally:
            pool.give_back(request)

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        import openvino

        request = self._pool_for(inputs).take()
        for name, array in (*inputs.items(), *outputs.items()):
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        infer = request.infer
        return keeping_alive(lambda: infer(share_outputs=True), *inputs.values(), *outputs.values())

    def close(self) -> None:
        del self._fixed, self._dynamic, self._core

    def _pool_for(self, feeds: Mapping[str, Array]) -> _RequestPool:
        if tuple(feeds[spec.name].shape for spec in self._request.inputs) == self._smallest:
            return self._fixed
        if self._dynamic is None:
            with self._compiling:
                self._dynamic = self._dynamic or _RequestPool(self._compile(fixed=False))
        return self._dynamic

    def _compile_smallest(self, version: str) -> tuple[Any, str]:
        """The compiled model at the smallest shape, and for `origin` which of its graphs that is, and why."""
        if FUSED[0] not in self._request.files:
            return self._compile(fixed=True), ""
        extension = find_extension(version)
        if extension.library is None:
            return self._compile(fixed=True), f", plain graph, since {extension.reason}"
        try:
            self._core.add_extension(str(extension.library))
            compiled = self._compile(fixed=True, roles=FUSED)
        except RuntimeError as error:
            reason = f"edgekit's extension failed: {_last_line(error)}"
            return self._compile(fixed=True), f", plain graph, since {reason}"
        self.roles = FUSED
        return compiled, ", fused graph on edgekit's extension"

    def _compile(self, *, fixed: bool, roles: tuple[str, str] = PLAIN) -> Any:
        xml, weights = (_as_argument(self._request.files[role]) for role in roles)
        model = self._core.read_model(xml, weights)
        if fixed:
            shapes = zip(self._request.inputs, self._smallest, strict=True)
            model.reshape({spec.name: list(shape) for spec, shape in shapes})
        config = _config(self._request)
        compiled = self._core.compile_model(model, "CPU", config)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if used != config["INFERENCE_PRECISION_HINT"]:
            raise BackendError(
                f"openvino computes in {used} here, not in {config['INFERENCE_PRECISION_HINT']} as asked"
            )
        return compiled


class _RequestPool:
    """Idle infer requests of one compiled model; each is used by one thread at a time."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: list[Any] = []

    def take(self) -> Any:
        try:
            return self._idle.pop()  # list.pop and append are atomic: no lock in the hot path
        except IndexError:
            return self._compiled.create_infer_request()

    def give_back(self, request: Any) -> None:
        self._idle.append(request)


def _last_line(error: Exception) -> str:
    """What OpenVINO says in the end; before it come places in its own sources."""
    return str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__


def _as_argument(source: Source) -> str | bytes:
    """OpenVINO takes no read-only memory, so bytes are copied; it packs the weights into its own layout in any case."""
    return str(source) if isinstance(source, Path) else bytes(source)
