"""Watches the activations of a float graph on calibration data, one sample at a time, in constant memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import BackendError, CalibrationError
from edgekit.export import save_model
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize.histogram import Histogram

if TYPE_CHECKING:
    import onnx_ir as ir


def observe(model: ir.Model, tensors: Iterable[str], *, samples: Iterable[Feeds]) -> dict[str, Histogram]:
    """The histogram of each of `tensors` over all `samples`.

    tensors: names of float values of the graph, inputs among them.
    samples: checked feeds; each is held for its own run alone.

    Raises:
        BackendError: onnxruntime refuses the graph.
        CalibrationError: there are no samples, or an activation becomes NaN or infinite.
    """
    found = {name: Histogram() for name in tensors}
    count = 0
    with tempfile.TemporaryDirectory(prefix="edgekit-observe-") as folder:
        run = _Watched(model, list(found), Path(folder))
        for count, feeds in enumerate(samples, start=1):
            _add(found, run(feeds), count - 1)
    if not count:
        raise CalibrationError("there are no calibration samples to observe; a hundred or more are usual")
    return found


def _add(found: Mapping[str, Histogram], values: Feeds, sample: int) -> None:
    for name, value in values.items():
        try:
            found[name].add(value)
        except CalibrationError as error:
            raise CalibrationError(
                f"calibration sample {sample}: activation {name!r}: {error}, so it has no range; "
                "look at the sample, or at the float model on it"
            ) from error


class _Watched:
    """Runs the graph in onnxruntime and returns intermediate values."""

    def __init__(self, model: ir.Model, tensors: list[str], folder: Path) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        inputs = {str(value.name) for value in model.graph.inputs}
        self._fed = [name for name in tensors if name in inputs]
        self._watched = [name for name in tensors if name not in inputs]
        save_with_outputs(model, self._watched, folder / "watched.onnx")
        path = str(folder / "watched.onnx")
        with _refusing():
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(self, feeds: Feeds) -> dict[str, Array]:
        with _refusing():
            values = self._session.run(self._watched, dict(feeds)) if self._watched else []
        return dict(zip(self._watched, values, strict=True)) | {name: feeds[name] for name in self._fed}


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise BackendError(f"onnxruntime refuses the graph with its inner tensors as outputs: {error}") from error


def save_with_outputs(model: ir.Model, names: list[str], path: Path) -> None:
    """Write the graph to `path` with the values of these names for outputs; the graph stays as it is."""
    values = {str(value.name): value for node in model.graph for value in node.outputs}
    own = list(model.graph.outputs)
    try:
        model.graph.outputs.clear()
        model.graph.outputs.extend(values[name] for name in names)
        save_model(model, path)
    finally:
        model.graph.outputs.clear()
        model.graph.outputs.extend(own)
