"""One layer as ONNX of its own, compressed and float, with the real inputs on which it errs most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import BackendError
from edgekit.explaining.watch import watch_onnx
from edgekit.files import make_folder, replacing
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize.layers import data_places, is_activation
from edgekit.transforms.quantize.noise import decibels

if TYPE_CHECKING:
    import onnx_ir as ir

SCRIPT = '''"""Runs {layer} alone, float and compressed, on the inputs where it errs most."""

import numpy as np
import onnxruntime

data = np.load("data.npz")


def run(graph):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {{value.name: data[value.name] for value in session.get_inputs()}})[0].astype(np.float64)


expected = run("float.onnx")
noise = np.square(run("layer.onnx") - expected).sum()
print(f"{{10 * np.log10(np.square(expected).sum() / noise):.1f}} dB")
'''


def write_reproduction(
    model: ir.Model, compressed: Path, layer: str, *, samples: Iterable[Feeds], folder: Path
) -> float:
    """Write `layer.onnx`, `float.onnx`, `data.npz` and `reproduce.py` into `folder`; the noise that the script prints.

    model: the float graph. compressed: the ONNX file of the compressed one, whose float tensors have the same names.

    Raises:
        BackendError: the compressed graph does not have the layer's tensors.
    """
    node = next(each for each in model.graph if each.name == layer)
    inputs = [str(node.inputs[place].name) for place in data_places(node) if is_activation(node.inputs[place])]  # type: ignore[union-attr]
    output = str(node.outputs[0].name)
    make_folder(folder)
    _cut(compressed, inputs, output, to=folder / "layer.onnx")
    _cut_model(model, inputs, output, to=folder / "float.onnx")
    worst, found = _worst(model, inputs, output, samples, folder=folder)
    with replacing(folder / "data.npz") as draft, draft.open("wb") as file:
        np.savez(file, **worst)  # type: ignore[arg-type]
    (folder / "reproduce.py").write_text(SCRIPT.format(layer=layer), encoding="utf-8")
    return found


def _cut(source: Path, inputs: Sequence[str], output: str, *, to: Path) -> None:
    import onnx

    try:
        onnx.utils.extract_model(str(source), str(to), list(dict.fromkeys(inputs)), [output])
    except ValueError as error:
        raise BackendError(f"the compressed graph has no tensors {[*inputs, output]}: {error}") from error


def _cut_model(model: ir.Model, inputs: Sequence[str], output: str, *, to: Path) -> None:
    from edgekit.export import save_model

    whole = to.with_name("whole.onnx")
    save_model(model, whole)
    try:
        _cut(whole, inputs, output, to=to)
    finally:
        whole.unlink()


def _worst(
    model: ir.Model, inputs: Sequence[str], output: str, samples: Iterable[Feeds], *, folder: Path
) -> tuple[dict[str, Array], float]:
    """The layer's inputs, from the float graph, on which the compressed layer has the most noise; and that noise."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "layer.onnx"), providers=["CPUExecutionProvider"])
    run = watch_onnx(model, [*inputs, output], folder / "watch")
    worst: dict[str, Array] = {}
    lowest = np.inf
    for feeds in samples:
        values = {**feeds, **run(feeds)}
        given = {name: values[name] for name in inputs}
        exact = values[output].astype(np.float64)
        noise = float(np.square(session.run(None, given)[0] - exact).sum())
        found = decibels(float(np.square(exact).sum()), noise)
        if found < lowest or not worst:
            lowest, worst = found, given
    (folder / "watch" / "watched.onnx").unlink()
    (folder / "watch").rmdir()
    return worst, float(lowest)
