"""The ways to compress a float graph that edgekit knows, as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.transforms.fuse import fuse
from edgekit.transforms.quantize.layers import HEAVY, check_names, is_constant
from edgekit.transforms.quantize.ranges import CALIBRATORS
from edgekit.transforms.quantize.recurrent import OPS
from edgekit.transforms.quantize.workpiece import Workpiece

if TYPE_CHECKING:
    import onnx_ir as ir

DYNAMIC = ("MatMul", "Gemm", "LSTM")
QUANTIZE = "edgekit.transforms.quantize"


@dataclass(frozen=True)
class Method:
    """One way to compress a graph.

    what: in a few words, for a list of candidates.
    precision: what the layers compute in, or hold their weights in.
    backends: which of them gain from it.
    quantizer: `module:function`, called with a Workpiece, a destination and `options`.
    family: methods of one family make graphs of one shape, which take the same time: the most exact one is tried.
    mixes: whether it can leave single layers in float.
    needs: operators of which the float graph must hold one, with a constant weight.
    fused: they are looked for in the graph as `edgekit.transforms.fuse` leaves it.
    """

    what: str
    precision: str
    backends: tuple[str, ...]
    quantizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""
    mixes: bool = False
    needs: tuple[str, ...] = HEAVY
    fused: bool = False


def _calibrated(family: str, what: str, backends: tuple[str, ...], quantizer: str, **options: Any) -> dict[str, Method]:
    """A method of `family` for each calibrator."""
    return {
        f"{family}-{calibrator}": Method(
            f"{what}; ranges by {calibrator}",
            "int8",
            backends,
            quantizer,
            {"calibrator": calibrator, **options},
            family,
            mixes=True,
        )
        for calibrator in CALIBRATORS
    }


METHODS: dict[str, Method] = {
    **_calibrated("lean", "layers alone", ("openvino",), f"{QUANTIZE}.own:quantize", joins=False),
    **_calibrated(
        "joined", "layers, additions and pooling", ("openvino", "native"), f"{QUANTIZE}.own:quantize", joins=True
    ),
    "nncf": Method("NNCF, with bias correction", "int8", ("openvino",), f"{QUANTIZE}.nncf:quantize", mixes=True),
    "nncf-smooth": Method(
        "NNCF for transformers, with SmoothQuant",
        "int8", ("openvino",), f"{QUANTIZE}.nncf:quantize", {"transformer": True}, mixes=True, needs=("MatMul",)
    ),
    **_calibrated("ort", "onnxruntime's quantizer", ("onnxruntime",), f"{QUANTIZE}.ort:quantize"),
    "dynamic": Method(
        "w8a8, ranges found in every call",
        "int8", ("onnxruntime",), f"{QUANTIZE}.ort:quantize_dynamic", {"per_channel": False}, needs=DYNAMIC,
    ),
    "dynamic-channels": Method(
        "w8a8, ranges found in every call; weights with a scale for each channel",
        "int8", ("onnxruntime",), f"{QUANTIZE}.ort:quantize_dynamic", {"per_channel": True}, needs=DYNAMIC,
    ),
    "recurrent": Method(
        "GRU, LSTM and WaveNet in w8a8, ranges found in every call; the rest in float",
        "int8", ("native",), f"{QUANTIZE}.recurrent:quantize", needs=OPS, fused=True,
    ),
    "weights": Method(
        "weights alone, 8 bits in blocks of 32",
        "int8", ("openvino", "onnxruntime"), f"{QUANTIZE}.ort:quantize_weights", {"bits": 8}, needs=("MatMul",),
    ),
    "weights4": Method(
        "weights alone, 4 bits in blocks of 32",
        "int4", ("openvino", "onnxruntime"), f"{QUANTIZE}.ort:quantize_weights", {"bits": 4}, needs=("MatMul",),
    ),
}  # fmt: skip


def quantize(work: Workpiece, destination: Path, *, method: str, kept_float: Sequence[str] = ()) -> None:
    """Compress the graph of `work` with `method`, one of `METHODS`, into the ONNX file `destination`.

    kept_float: names of layers to leave as they are, for a method that can.

    Raises:
        MissingDependencyError: the method's package is not installed.
        BackendError: the quantizer refused the graph, or there is no layer of such a name.
        CalibrationError: an activation has no range on the calibration data.
    """
    check_names(work.model, kept_float)
    module, _, function = METHODS[method].quantizer.partition(":")
    quantizer: Callable[..., None] = getattr(import_module(module), function)
    options = {**METHODS[method].options, **({"kept_float": tuple(kept_float)} if kept_float else {})}
    quantizer(work, destination, **options)


def why_not_applicable(method: str, model: ir.Model) -> str | None:
    """None where the float graph holds something that `method` compresses; else what it lacks."""
    needs = METHODS[method].needs
    if METHODS[method].fused:
        model = model.clone()
        fuse(model)
    for node in model.graph:
        if node.op_type in needs and any(is_constant(value) for value in node.inputs[1:]):
            return None
    return f"the graph has no {' or '.join(needs)} with a constant weight"
