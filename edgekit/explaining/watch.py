"""The same tensor in the float graph and in the compressed one: how far the second has drifted from the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import BackendError
from edgekit.export import save_model
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize.noise import decibels, outputs_of

if TYPE_CHECKING:
    import onnx

Run = Callable[[Iterable[Feeds]], Iterable[Mapping[str, Array]]]


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a graph, its weights beside it where they are too large; `path`."""
    import onnx_ir as ir

    save_model(ir.from_proto(model), path)
    return path


def watch_onnx(model: onnx.ModelProto, names: Iterable[str], path: Path) -> Run:
    """Runs the graph in onnxruntime, a sample at a time, and gives the tensors `names`. path: for a file of its own."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
    save(watched, path)
    return lambda samples: outputs_of(path, samples)


def watch_openvino(files: Mapping[str, Path], names: Sequence[str], *, precision: str) -> Run:
    """The same for an OpenVINO IR, with those of `names` that it has.

    An output ends a fusion, so that times would not be the model's; values are.

    Raises:
        BackendError: OpenVINO refuses the graph with these outputs.
    """
    import openvino

    core = openvino.Core()
    try:
        model = core.read_model(str(files["model"]), str(files["weights"]))
        outputs = {name for port in model.outputs for name in port.get_names()}
        has = {name for op in model.get_ops() for port in op.outputs() for name in port.get_names()}
        model.add_outputs([name for name in dict.fromkeys(names) if name in has and name not in outputs])
        hint = "bf16" if precision.endswith("bf16") else "f32"
        request = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint}).create_infer_request()
    except RuntimeError as error:
        raise BackendError(f"openvino refuses the graph with its inner tensors as outputs: {error}") from error

    def run(feeds: Feeds) -> dict[str, Array]:
        found: Any = request.infer(dict(feeds))
        return {name: np.array(value) for port, value in found.items() for name in port.get_names()}

    return lambda samples: map(run, samples)


class Drift:
    """Signal and noise of tensors, summed over samples. same: what each tensor is called in the compressed graph."""

    def __init__(self, same: Mapping[str, str]) -> None:
        self._same = same
        self._powers: dict[str, tuple[float, float]] = {}
        self.samples: list[dict[str, float]] = []

    def add(self, expected: Mapping[str, Array], got: Mapping[str, Array]) -> None:
        """Take in one sample's values in both graphs."""
        own = {
            name: powers(expected[name], got[same])
            for name, same in self._same.items()
            if name in expected and same in got and expected[name].dtype.kind == "f"
        }
        for name, (signal, noise) in own.items():
            before = self._powers.get(name, (0.0, 0.0))
            self._powers[name] = (before[0] + signal, before[1] + noise)
        self.samples.append({name: decibels(*found) for name, found in own.items()})

    def db(self, name: str) -> float | None:
        """Signal to noise of a tensor, in decibels; None if one of the graphs has no such tensor."""
        return decibels(*self._powers[name]) if name in self._powers else None


def drift(float_run: Run, compressed_run: Run, samples: Sequence[Feeds], *, same: Mapping[str, str]) -> Drift:
    """Run both graphs on each sample, whose values are let go before the next."""
    found = Drift(same)
    for expected, got in zip(float_run(samples), compressed_run(samples), strict=True):
        found.add(expected, got)
    return found


def powers(expected: Array, got: Array) -> tuple[float, float]:
    """Power of the signal and of the noise; where both have the same infinity, as in a mask, there is neither."""
    if expected.shape != got.shape:
        return float(np.square(expected.astype(np.float64)).sum()), float("inf")
    exact, other = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(exact)
    if not np.array_equal(exact[~finite], other[~finite], equal_nan=True):
        return 1.0, float("inf")
    return float(np.square(exact[finite]).sum()), float(np.square(other[finite] - exact[finite]).sum())
