"""The ONNX files that variants are compiled from: the float one, and one for each way to compress it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.building.store import Store, code_digest, version_of
from edgekit.building.variants import FLOAT, Variant
from edgekit.errors import BackendError
from edgekit.export import data_file
from edgekit.files import sha256_of
from edgekit.transforms.quantize import METHODS, Workpiece, quantize

QUANTIZERS = ("onnxruntime", "nncf", "onnx")  # whose version a compressed graph depends on


@dataclass
class Graphs:
    """ONNX files by variant, made when they are asked for.

    source: the float graph. work: what quantizers work from; None where nothing is to be quantized.
    folder: where a copy of each file lies under a telling name.
    failures: the reason of each quantizer that refused, by the name of the graph.
    """

    source: Path
    work: Workpiece | None
    folder: Path
    store: Store
    failures: dict[str, str] = field(default_factory=dict)

    def file(self, variant: Variant) -> Path:
        """The graph that `variant` is compiled from.

        Raises:
            BackendError: the quantizer refused.
        """
        if variant.method == FLOAT or self.work is None:
            return self.source
        name = graph_name(variant)
        if name in self.failures:
            raise BackendError(self.failures[name])
        try:
            return self._named(self._stored(self.work, variant), name)
        except BackendError as error:
            self.failures[name] = str(error)
            raise

    def _stored(self, work: Workpiece, variant: Variant) -> Path:
        made_from = {
            "graph": [sha256_of(path) for path in (self.source, data_file(self.source)) if path.exists()],
            "calibration": work.calibration.sha256,
            "method": [variant.method, variant.kept_float, work.saturates],
            "code": [code_digest("edgekit.transforms.quantize"), *map(version_of, QUANTIZERS)],
        }
        return self.store.file(
            made_from,
            "model.onnx",
            make=lambda path: quantize(work, path, method=variant.method, kept_float=variant.kept_float),
        )

    def _named(self, stored: Path, name: str) -> Path:
        path = self.folder / f"{name}.onnx"
        if path.exists():
            return path
        if (data := data_file(stored)).exists():
            shutil.copy(data, self.folder / data.name)  # the graph calls it by that name
        return Path(shutil.copy(stored, path))


def graph_name(variant: Variant) -> str:
    """The name of the file that `variant` is compiled from, without its suffix: such as `int8-lean-mse`."""
    words = [METHODS[variant.method].precision, variant.method] if variant.method != FLOAT else [FLOAT]
    return "-".join(words + ([f"less{len(variant.kept_float)}"] if variant.kept_float else []))


def graphs_for_peers(folder: Path) -> dict[str, Path]:
    """The files that a build left in `folder`, as a user of the plain tools would have them, by method."""
    found = {FLOAT: folder / f"{FLOAT}.onnx"}
    for method in ("ort", "nncf"):
        if files := sorted(folder.glob(f"int8-{method}*.onnx")):
            found[method] = files[0]
    return found
