"""Small QDQ graphs, and the one of `models.CONV` as each quantizer writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import onnx_ir as ir
from models import CONV, exported

from edgekit.export import save_model
from edgekit.parity import onnx_function
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array
from edgekit.transforms.quantize import Calibration, Workpiece, quantize

IMAGES = np.concatenate([sample["image"] for sample in islice(CONV.calibration_feeds(), 6)])
# The same images in each sample: a quantizer cuts nothing off, whether it takes the samples' extremes or their mean.
CALIBRATED = replace(CONV, calibration=lambda: [{"image": np.roll(IMAGES, shift, axis=0)} for shift in range(6)])
METHODS = ("ort-minmax", "joined-minmax", "nncf")
Quantized = Callable[[str], ir.Model]


def quantized_with(recipe: Recipe, folder: Path) -> Quantized:
    """A function that gives the float graph in `folder` as a method quantizes it."""
    work = Workpiece(folder / "float.onnx", Calibration(recipe))

    def graph(method: str) -> ir.Model:
        path = folder / f"{method}.onnx"
        if not path.exists():
            quantize(work, path, method=method)
        return ir.load(path)

    return graph


def quantized_conv(folder: Path) -> Quantized:
    """A function that gives `models.CONV` as a method quantizes it."""
    save_model(exported(CONV).model, folder / "float.onnx")
    return quantized_with(CALIBRATED, folder)


def graph_of(text: str) -> ir.Model:
    """A graph in ONNX's own notation, opset 21."""
    return ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]> test {text}')


def nodes(model: ir.Model, kind: str) -> list[ir.Node]:
    """The nodes of an operator."""
    return [node for node in model.graph if node.op_type == kind]


def array(value: ir.Value | None) -> Array:
    """The values of an initializer."""
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def serialized(model: ir.Model) -> bytes:
    """Equal for equal graphs."""
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def run(model: ir.Model, **feeds: Array) -> Array:
    """The first output of the graph in onnxruntime, node by node as written."""
    outputs: dict[str, Array] = onnx_function(model)(feeds)
    return next(iter(outputs.values()))
