"""Opens each kind of arm and binds it to fixed buffers, in that runtime's fastest call style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.arms import Arm
from edgekit.bench.bound import Bound, Peer
from edgekit.errors import MeasurementError, MissingDependencyError
from edgekit.recipes.recipe import Recipe
from edgekit.runtime.stream import Carried, Held, hold
from edgekit.tensors import Array, Feeds

# Runtime -> the module whose import is timed, the package that brings it, the extra that installs that.
RUNTIMES = {
    "onnxruntime": ("onnxruntime", "onnxruntime", "onnxruntime"),
    "openvino": ("openvino", "openvino", "openvino"),
    "torch": ("torch", "torch", "export"),
    "torch-aot": ("torch", "torch", "export"),
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "dev"),
}


def import_runtime(arm: Arm) -> None:
    """Import the package that runs `arm`, so that its cost can be told from the cost of opening a model.

    Raises:
        MissingDependencyError: it is not installed.
    """
    runtime = arm.backend if arm.kind in ("bundle", "model") else arm.kind
    if runtime not in RUNTIMES:
        return
    from edgekit.runtime.telemetry import disable_telemetry

    disable_telemetry()
    module, package, extra = RUNTIMES[runtime]
    try:
        import_module(module)
    except ImportError as error:
        raise MissingDependencyError(package, extra=extra) from error


def open_peer(arm: Arm, feeds: Feeds) -> Peer:
    """Open `arm`; `feeds` is a sample, for runtimes that compile for a shape.

    Raises:
        MissingDependencyError: its runtime is not installed.
        EdgekitError: the runtime refused the model.
    """
    import_runtime(arm)
    return PEERS[arm.kind](arm, feeds)


def _open_bundle(arm: Arm, _sample: Feeds) -> Peer:
    """The bundle's best payload, which the arm is named after; never the next one, which `load` would fall back to."""
    import edgekit

    session = edgekit.load(arm.files["bundle"], threads=arm.threads, tuned=False)
    if session.info.skipped:
        session.close()
        raise MeasurementError(f"the bundle's best payload does not work here: {session.info.skipped[0]}")
    return _Edgekit(session, session.state)


def _open_model(arm: Arm, _sample: Feeds) -> Peer:
    from edgekit.runtime import open_runner

    files = {role: Path(path) for role, path in arm.files.items()}
    runner = open_runner(
        arm.backend,
        files,
        inputs=arm.inputs,
        outputs=arm.outputs,
        precision=arm.precision,
        threads=arm.threads,
    )
    return _Edgekit(runner, lambda: hold(runner, arm.inputs, arm.state))


def open_stream(peer: Peer, arm: Arm) -> Held:
    """A stream of the open `peer`, its own where it is edgekit's, so that accuracy is that of what ships."""
    return peer.stream() if isinstance(peer, _Edgekit) else Carried(peer.run, arm.inputs, arm.state)


def _open_litert(arm: Arm, sample: Feeds) -> Peer:
    from edgekit.bench.litert import LitertPeer

    return LitertPeer(arm, sample)


class _Edgekit:
    """A Session or a Runner of edgekit's runtime: both have `run`, `bind` and `close`."""

    def __init__(self, model: Any, stream: Callable[[], Held]) -> None:
        self._model = model
        self.stream = stream

    def run(self, feeds: Feeds) -> dict[str, Array]:
        outputs: dict[str, Array] = self._model.run(_contiguous(feeds))
        return outputs

    def bind(self, feeds: Feeds) -> Bound:
        outputs = {name: np.empty_like(array, order="C") for name, array in self.run(feeds).items()}
        inputs = _buffers(feeds)
        return Bound(_writer(inputs), self._model.bind(inputs, outputs), lambda: _copies(outputs))

    def close(self) -> None:
        self._model.close()


def torch_module(recipe: Recipe, weights: str | Path | None = None) -> Any:
    """The recipe's module in eval mode, with the weights of a safetensors file in place of its own if one is given.

    Raises:
        RecipeError: the recipe is an ONNX file, or its function raised.
    """
    module = recipe.load_model()
    if weights is not None:
        from safetensors.torch import load_file

        module.load_state_dict(load_file(weights))
    return module


class _Torch:
    """Eager PyTorch under inference_mode: the recipe's module, its inputs by position."""

    def __init__(self, arm: Arm, _sample: Feeds) -> None:
        import torch

        from edgekit.recipes import load_recipe

        torch.set_num_threads(arm.threads)
        recipe = load_recipe(arm.recipe)
        self._torch = torch
        self._inputs = tuple(recipe.inputs)
        self._outputs = recipe.outputs
        self._model = torch_module(recipe, arm.files.get("weights"))
        self._mode = torch.inference_mode()
        self._mode.__enter__()  # once, not in the timed call

    def run(self, feeds: Feeds) -> dict[str, Array]:
        bound = self.bind(feeds)
        bound.call()
        return bound.read()

    def bind(self, feeds: Feeds) -> Bound:
        buffers = _buffers(feeds)
        arguments = tuple(self._torch.from_numpy(buffers[name]) for name in self._inputs)
        model = self._model
        result: Any = None

        def call() -> None:
            nonlocal result
            result = model(*arguments)

        return Bound(_writer(buffers), call, lambda: self._named(result))

    def close(self) -> None:
        self._mode.__exit__(None, None, None)
        del self._model

    def _named(self, result: Any) -> dict[str, Array]:
        if isinstance(result, Mapping):
            return {name: result[name].numpy().copy() for name in self._outputs}
        tensors = result if isinstance(result, (tuple, list)) else (result,)
        return {name: tensor.numpy().copy() for name, tensor in zip(self._outputs, tensors, strict=True)}


class _TorchAot:
    """PyTorch's AOTInductor package, compiled ahead of time for one shape, run through its bare loader."""

    def __init__(self, arm: Arm, _sample: Feeds) -> None:
        import torch
        from torch._inductor import aoti_load_package

        torch.set_num_threads(arm.threads)
        self._torch = torch
        self._inputs = [spec.name for spec in arm.inputs]
        self._outputs = [spec.name for spec in arm.outputs]
        self._loader = aoti_load_package(arm.files["model"]).loader

    def run(self, feeds: Feeds) -> dict[str, Array]:
        bound = self.bind(feeds)
        bound.call()
        return bound.read()

    def bind(self, feeds: Feeds) -> Bound:
        buffers = _buffers(feeds)
        arguments = [self._torch.from_numpy(buffers[name]) for name in self._inputs]
        run = self._loader.run
        result: Any = None

        def call() -> None:
            nonlocal result
            result = run(arguments)

        return Bound(_writer(buffers), call, lambda: self._named(result))

    def close(self) -> None:
        del self._loader

    def _named(self, result: Any) -> dict[str, Array]:
        named = zip(self._outputs, result, strict=True)
        return {name: tensor.numpy().copy() for name, tensor in named if name}  # the recipe does not declare the rest


class _Onnxruntime:
    """onnxruntime with its default graph optimizations and IO binding: half the call overhead of `run`."""

    def __init__(self, arm: Arm, _sample: Feeds) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arm.threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(arm.files["model"], options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, Array]:
        return dict(zip(self._names, self._session.run(None, _contiguous(feeds)), strict=True))

    def bind(self, feeds: Feeds) -> Bound:
        outputs = {name: np.empty_like(array, order="C") for name, array in self.run(feeds).items()}
        inputs = _buffers(feeds)
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        run = self._session.run_with_iobinding
        return Bound(_writer(inputs), lambda: run(binding), lambda: _copies(outputs))

    def close(self) -> None:
        del self._session


class _Openvino:
    """OpenVINO compiled for one static shape, inputs preset, outputs shared.

    Where `run` is given a sample of another shape the model is compiled anew for that.
    """

    def __init__(self, arm: Arm, feeds: Feeds) -> None:
        import openvino

        self._openvino = openvino
        self._arm = arm
        self._core = openvino.Core()
        self._compile(feeds)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        if {name: array.shape for name, array in feeds.items()} != self._shapes:
            self._compile(feeds)
        self._request.infer(_contiguous(feeds), share_inputs=True, share_outputs=True)
        return self._read(self._request)

    def bind(self, feeds: Feeds) -> Bound:
        self.run(feeds)
        inputs = _buffers(feeds)
        request = self._compiled.create_infer_request()
        for name, array in inputs.items():
            request.set_tensor(name, self._openvino.Tensor(array, shared_memory=True))
        infer = request.infer
        return Bound(_writer(inputs), lambda: infer(share_outputs=True), lambda: self._read(request))

    def close(self) -> None:
        del self._request, self._compiled, self._core

    def _compile(self, feeds: Feeds) -> None:
        hint = (
            "bf16" if self._arm.precision.endswith("bf16") else "f32"
        )  # it would compute f32 models in bf16 by default
        self._shapes = {name: array.shape for name, array in feeds.items()}
        model = self._core.read_model(self._arm.files["model"])
        model.reshape({name: list(shape) for name, shape in self._shapes.items()})
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": self._arm.threads,
            "NUM_STREAMS": 1,
        }
        self._compiled = self._core.compile_model(model, "CPU", settings | {"PERFORMANCE_HINT": "LATENCY"})
        if (used := self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()) != hint:
            raise MeasurementError(f"OpenVINO computes in {used} on this CPU, where {hint} was asked for")
        self._request = self._compiled.create_infer_request()
        wanted = [spec.name for spec in self._arm.outputs]
        self._names = wanted or [output.get_any_name() for output in self._compiled.outputs]

    def _read(self, request: Any) -> dict[str, Array]:
        return {name: request.get_tensor(name).data.copy() for name in self._names}


# Kind of arm -> how it is opened.
PEERS: dict[str, Callable[[Arm, Feeds], Peer]] = {
    "bundle": _open_bundle,
    "model": _open_model,
    "torch": _Torch,
    "torch-aot": _TorchAot,
    "onnxruntime": _Onnxruntime,
    "openvino": _Openvino,
    "litert": _open_litert,
}


def _contiguous(feeds: Feeds) -> dict[str, Array]:
    return {name: np.ascontiguousarray(array) for name, array in feeds.items()}


def _buffers(feeds: Feeds) -> dict[str, Array]:
    return {name: np.array(array, order="C") for name, array in feeds.items()}


def _copies(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.copy() for name, array in arrays.items()}


def _writer(buffers: Mapping[str, Array]) -> Callable[[Feeds], None]:
    """A function that copies a sample into `buffers`."""

    def write(feeds: Feeds) -> None:
        for name, buffer in buffers.items():
            np.copyto(buffer, feeds[name], casting="no")

    return write
