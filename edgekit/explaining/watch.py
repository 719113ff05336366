"""The same tensor in the float graph and in the compressed one: how far the second has drifted from the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import BackendError
from edgekit.explaining.facts import WorstSample
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize.noise import decibels
from edgekit.transforms.quantize.observe import save_with_outputs

if TYPE_CHECKING:
    import onnx_ir as ir

MOST_SHOWN = 5
Run = Callable[[Feeds], Mapping[str, Array]]


def watch_onnx(model: ir.Model, names: Sequence[str], folder: Path) -> Run:
    """A function that runs the graph in onnxruntime and returns those of `names` that it has."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    has = {str(value.name) for node in model.graph for value in node.outputs}
    watched = [name for name in names if name in has]
    folder.mkdir(parents=True, exist_ok=True)
    save_with_outputs(model, watched, folder / "watched.onnx")
    session = onnxruntime.InferenceSession(str(folder / "watched.onnx"), providers=["CPUExecutionProvider"])
    return lambda feeds: dict(zip(watched, session.run(watched, dict(feeds)), strict=True))


def watch_openvino(files: Mapping[str, Path], names: Sequence[str], *, precision: str) -> Run:
    """The same for an OpenVINO IR. An output ends a fusion, so that times would not be the model's; values are.

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

    return run


class Drift:
    """Signal and noise of each tensor, summed over samples, and of each sample's outputs."""

    def __init__(self, outputs: Sequence[str]) -> None:
        self._outputs = outputs
        self._signal: dict[str, float] = {}
        self._noise: dict[str, float] = {}
        self._samples: list[tuple[float, Mapping[str, Array], Mapping[str, Array]]] = []

    def add(self, expected: Mapping[str, Array], got: Mapping[str, Array]) -> None:
        """Take in one sample's values in both graphs."""
        own = [0.0, 0.0]
        for name in expected:
            if name not in got or expected[name].dtype.kind != "f" or expected[name].shape != got[name].shape:
                continue
            exact = expected[name].astype(np.float64)
            signal, noise = float(np.square(exact).sum()), float(np.square(got[name] - exact).sum())
            self._signal[name] = self._signal.get(name, 0.0) + signal
            self._noise[name] = self._noise.get(name, 0.0) + noise
            if name in self._outputs:
                own = [own[0] + signal, own[1] + noise]
        pair = [{name: np.array(values[name]) for name in self._outputs} for values in (expected, got)]
        self._samples.append((decibels(*own), pair[0], pair[1]))

    def db(self, name: str) -> float | None:
        """Signal to noise of a tensor, in decibels; None if one of the graphs has no such tensor."""
        return decibels(self._signal[name], self._noise[name]) if name in self._signal else None

    def worst(self, targets: Mapping[int, Any], positions: Sequence[int]) -> tuple[WorstSample, ...]:
        """The samples with the most noise. positions: of each sample in the data that it comes from."""
        ranked = sorted(range(len(self._samples)), key=lambda place: self._samples[place][0])[:MOST_SHOWN]
        return tuple(
            WorstSample(
                positions[place],
                self._samples[place][0],
                _answer(self._samples[place][1]),
                _answer(self._samples[place][2]),
                str(targets.get(positions[place], "")),
            )
            for place in ranked
        )


def drift(float_run: Run, compressed_run: Run, samples: Iterable[Feeds], *, outputs: Sequence[str]) -> Drift:
    """Run both graphs on each sample."""
    found = Drift(outputs)
    for feeds in samples:
        found.add(float_run(feeds), compressed_run(feeds))
    return found


def _answer(outputs: Mapping[str, Array]) -> str:
    """The place of the largest of a row of scores; else the first values of the first output."""
    first = np.asarray(next(iter(outputs.values())))
    if first.ndim == 2 and len(first) == 1 and first.shape[1] > 1:
        return str(int(first.argmax()))
    return " ".join(f"{value:.4g}" for value in first.reshape(-1)[:3])
