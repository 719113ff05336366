"""Runs ONNX models on onnxruntime's CPU provider: the reference, the baseline, and the portable fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import BackendError, MissingDependencyError
from edgekit.runtime.runner import OpenRequest, Source, keeping_alive
from edgekit.tensors import Array


def open_model(request: OpenRequest) -> OnnxruntimeRunner:
    """Open `files["model"]`, an ONNX file. Any other role is the name by which the graph calls a file of weights.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        BackendError: onnxruntime refused the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", extra="onnxruntime") from error
    onnxruntime.set_default_logger_severity(3)  # errors only: its warnings are about graph optimizations, not results
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    weights = {role: source for role, source in request.files.items() if role != "model"}
    try:
        _add_weights(options, weights)
        session = onnxruntime.InferenceSession(
            _as_argument(request.files["model"]), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions have no common base class of their own
        raise BackendError(f"onnxruntime refused the model: {error}") from error
    return OnnxruntimeRunner(session, [spec.name for spec in request.outputs], origin=onnxruntime.__version__)


def _add_weights(options: Any, weights: Mapping[str, Source]) -> None:
    """Hand over weights that are in memory; files of weights are found beside the model."""
    in_memory = {name: source for name, source in weights.items() if not isinstance(source, Path)}
    if in_memory:
        options.add_external_initializers_from_files_in_memory(
            list(in_memory), list(in_memory.values()), [len(view) for view in in_memory.values()]
        )


def _as_argument(source: Source) -> str | bytes:
    return str(source) if isinstance(source, Path) else bytes(source)


class OnnxruntimeRunner:
    """A Runner over an onnxruntime InferenceSession, whose `run` is thread-safe by itself."""

    def __init__(self, session: Any, output_names: list[str], *, origin: str) -> None:
        self.origin = origin
        self._session = session
        self._output_names = output_names

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        try:
            outputs = self._session.run(self._output_names, feeds)
        except Exception as error:  # see open_model
            raise BackendError(f"onnxruntime failed: {error}") from error
        return dict(zip(self._output_names, outputs, strict=True))

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        run = self._session.run_with_iobinding
        return keeping_alive(lambda: run(binding), *inputs.values(), *outputs.values())

    def close(self) -> None:
        del self._session
