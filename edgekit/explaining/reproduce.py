"""One layer as ONNX of its own, compressed and float, with the real inputs on which it errs most.

A layer's own result may look well where the network's does not: noise of 1 % in logits of tens of thousands is much
after the softmax. So the piece goes on to the first tensor that keeps less than the bound, all else in it being float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.explaining.facts import Reproduction
from edgekit.explaining.parts import Part, splice
from edgekit.explaining.watch import drift, powers, save, watch_onnx
from edgekit.explaining.wiring import Wiring
from edgekit.files import make_folder, replacing
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize.noise import decibels, outputs_of

if TYPE_CHECKING:
    import onnx

SCRIPT = '''"""Layer {layer} alone, float and compressed, on the inputs where it errs most: signal to noise."""

from pathlib import Path

import numpy as np
import onnxruntime

here = Path(__file__).parent
data = np.load(here / "data.npz")
for file in ("float.onnx", "layer.onnx"):
    session = onnxruntime.InferenceSession(str(here / file), providers=["CPUExecutionProvider"])
    got = session.run(None, {{each.name: data["input/" + each.name] for each in session.get_inputs()}})
    for output, values in zip(session.get_outputs(), got):
        exact = data["float/" + output.name].astype(np.float64)
        with np.errstate(divide="ignore"):
            found = 10 * np.log10(np.square(exact).sum() / np.square(values - exact).sum())
        print(f"{{file}} {{output.name}}: {{found:.2f}} dB")
'''


@dataclass(frozen=True)
class _Piece:
    """model: one layer compressed, all else float. outputs: the layer's result, and where its noise shows.

    sample: place, among the samples, of the one where it errs most.
    """

    model: Wiring
    outputs: tuple[str, ...]
    sample: int


def write_reproduction(
    floats: Wiring, compressed: Wiring, part: Part, *, samples: Sequence[Feeds], bad_db: float, folder: Path
) -> Reproduction:
    """Write `layer.onnx`, `float.onnx`, `data.npz` and `reproduce.py` into `folder`.

    samples: the model's inputs, of which the worst is taken; `Reproduction.index` is its place among them.
    part: one that the compressed graph has (`lacking` is empty).

    Raises:
        EdgekitError: the folder cannot be written.
    """
    make_folder(folder)
    piece = _piece(floats, compressed, part, samples, bad_db, folder)
    aside = set(floats.live) - set(floats.downstream(part.tensor))  # what the layer has no part in is given
    cuts = {"layer.onnx": piece.model.upstream(piece.outputs, aside)}
    given = cuts["layer.onnx"][1]
    cuts["float.onnx"] = floats.upstream(piece.outputs, given)
    values = _values(floats, (*given, *piece.outputs), samples[piece.sample], folder / "watched.onnx")
    for (file, (nodes, own)), wiring in zip(cuts.items(), (piece.model, floats), strict=True):
        save(_model(wiring, nodes, own, piece.outputs, values), folder / file)
    _write_data(folder / "data.npz", {name: values[name] for name in given}, {n: values[n] for n in piece.outputs})
    (folder / "reproduce.py").write_text(SCRIPT.format(layer=part.layer), encoding="utf-8")
    return Reproduction(part.layer, folder, piece.sample, _outputs_db(folder, given, values))


def _piece(
    floats: Wiring, compressed: Wiring, part: Part, samples: Sequence[Feeds], bad_db: float, folder: Path
) -> _Piece:
    model = splice(floats, compressed, part)
    names = tuple(floats.downstream(part.tensor))
    files = folder / "watched.onnx", folder / "watched-layer.onnx"
    try:
        float_run, own_run = watch_onnx(floats.model, names, files[0]), watch_onnx(model, names, files[1])
        drifted = drift(float_run, own_run, samples, same=dict(zip(names, names, strict=True)))
    finally:
        _delete(*files)
    decibels_of = {name: db for name in names if (db := drifted.db(name)) is not None}
    shown = next((name for name, db in decibels_of.items() if db < bad_db), part.tensor)
    sample = min(range(len(samples)), key=lambda place: drifted.samples[place][shown])
    return _Piece(Wiring(model), tuple(dict.fromkeys((part.tensor, shown))), sample)


def _values(floats: Wiring, names: Sequence[str], feeds: Feeds, file: Path) -> dict[str, Array]:
    """Tensors of the float graph on one sample."""
    computed = [name for name in names if name not in floats.inputs]
    try:
        [found] = watch_onnx(floats.model, computed, file)([feeds])
    finally:
        _delete(file)
    return {name: found[name] if name in found else feeds[name] for name in names}


def _model(
    wiring: Wiring, nodes: Sequence[Any], given: Sequence[str], outputs: Sequence[str], values: Mapping[str, Array]
) -> onnx.ModelProto:
    """A piece of a graph, at the sizes of `values`."""
    from onnx import helper

    def told(name: str) -> Any:
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(values[name].dtype), values[name].shape
        )

    graph = helper.make_graph(
        nodes, "layer", [told(name) for name in given], [told(name) for name in outputs], wiring.constants_of(nodes)
    )
    return helper.make_model(
        graph, opset_imports=wiring.model.opset_import, ir_version=wiring.model.ir_version, producer_name="edgekit"
    )


def _write_data(path: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
    arrays = {f"input/{name}": array for name, array in inputs.items()}
    arrays |= {f"float/{name}": array for name, array in outputs.items()}
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _outputs_db(folder: Path, given: Sequence[str], values: Mapping[str, Array]) -> dict[str, float]:
    [got] = outputs_of(folder / "layer.onnx", [{name: values[name] for name in given}])
    return {name: decibels(*powers(values[name], array)) for name, array in got.items()}


def _delete(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
        file.with_name(f"{file.name}.data").unlink(missing_ok=True)
