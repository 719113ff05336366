"""The ONNX files that variants are compiled from: the float one, and one for each quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.building.source import FloatModel
from edgekit.building.variants import FLOAT, Variant
from edgekit.errors import BackendError
from edgekit.export import save_model
from edgekit.progress import Progress
from edgekit.target import Target
from edgekit.tensors import Array
from edgekit.transforms.quantize import quantize


@dataclass(frozen=True)
class Graphs:
    """ONNX files by method; `failures` has the reason for each method that gave none."""

    files: Mapping[str, Path]
    failures: Mapping[str, str]


def make_graphs(
    source: FloatModel,
    calibration: Sequence[dict[str, Array]],
    planned: Sequence[Variant],
    *,
    target: Target,
    folder: Path,
    progress: Progress,
) -> Graphs:
    """Write the graphs of the planned variants into `folder`; one that is there already is shared between targets."""
    files, failures = {FLOAT: folder / f"{FLOAT}.onnx"}, {}
    if not files[FLOAT].exists():
        save_model(source.model, files[FLOAT])
    for method in dict.fromkeys(variant.method for variant in planned if variant.method != FLOAT):
        progress(f"quantize ({method})", 0, 1)
        try:
            files[method] = _quantized(files[FLOAT], calibration, method=method, target=target)
        except BackendError as error:
            failures[method] = str(error)
        progress(f"quantize ({method})", 1, 1)
    return Graphs(files, failures)


def graphs_in(folder: Path) -> dict[str, Path]:
    """The files that `make_graphs` left in `folder`, by method."""
    quantized = {path.stem.removeprefix("int8-"): path for path in sorted(folder.glob("int8-*.onnx"))}
    return {FLOAT: folder / f"{FLOAT}.onnx", **quantized}


def _quantized(source: Path, calibration: Sequence[dict[str, Array]], *, method: str, target: Target) -> Path:
    saturates = target.arch == "x86_64" and "avx512-vnni" not in target.isa
    path = source.with_name(f"int8-{method}{'-7bit' if saturates else ''}.onnx")
    if not path.exists():
        quantize(source, path, method=method, samples=calibration, saturates=saturates)
    return path
