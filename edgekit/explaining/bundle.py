"""A bundle explained from itself: its golden samples through its compressed payload and through its float one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.backends.execution import read_execution
from edgekit.building.variants import REFERENCE
from edgekit.bundle import Bundle, Payload, TargetEntry, open_bundle
from edgekit.contest import extract
from edgekit.errors import BackendError
from edgekit.explaining.facts import BAD_DB, Explanation, first_bad
from edgekit.explaining.layers import layer_facts
from edgekit.explaining.watch import Run, drift, watch_onnx, watch_openvino
from edgekit.runtime.session import choose_target

if TYPE_CHECKING:
    import onnx_ir as ir

NO_NOISE_ALONE = (
    "a bundle has no calibration data, so no layer could be quantized alone: explain its recipe for that column, "
    "for samples that disagree most in the evaluation data, and for a layer as ONNX of its own"
)
FROM_THE_SEARCH = "noise of a layer alone: as the build's search for mixed precision found it"


def explain_bundle(path: Path, *, bad_db: float = BAD_DB) -> Explanation:
    """What the first compressed payload for this machine executes, and how far it drifts from the float payload.

    Raises:
        BundleError: not a sound bundle.
        TargetError: none of its targets runs here.
        BackendError: it has no compressed payload, or a runtime refused one.
    """
    bundle = open_bundle(path)
    entry = choose_target(bundle)
    payload = next((each for each in entry.payloads if each.precision != "f32"), None)
    plain = next((each for each in entry.payloads if each.name == REFERENCE.name), None)
    if payload is None or plain is None:
        raise BackendError(f"{path} carries nothing compressed for {entry.target.name}, so there is nothing to explain")
    with tempfile.TemporaryDirectory(prefix="edgekit-explain-") as place:
        return _explanation(bundle, entry, payload, plain, folder=Path(place), bad_db=bad_db)


def _explanation(
    bundle: Bundle, entry: TargetEntry, payload: Payload, plain: Payload, *, folder: Path, bad_db: float
) -> Explanation:
    import onnx_ir as ir

    model = ir.load(extract(bundle, plain, folder / "float"))
    files = _files(bundle, payload, folder / "compressed")
    samples = [bundle.golden_inputs(sample) for sample in range(bundle.manifest.golden_samples)]
    names = [str(value.name) for node in model.graph for value in node.outputs]
    outputs = [spec.name for spec in bundle.manifest.outputs]
    drifted = drift(
        watch_onnx(model, names, folder / "watched-float"),
        _watch(payload, files, names, folder / "watched-compressed"),
        samples,
        outputs=outputs,
    )
    specs: dict[str, Any] = {"inputs": bundle.manifest.inputs, "outputs": bundle.manifest.outputs}
    compressed = read_execution(
        payload.backend, files, **specs, precision=payload.precision, threads=entry.target.threads, feeds=samples[:1]
    )
    floats = None
    if payload.backend == plain.backend:
        floats = read_execution(
            plain.backend, _files(bundle, plain, folder / "float-again"), **specs, precision="f32", feeds=samples[:1]
        )
    alone = _searched(entry)
    layers = layer_facts(model, compressed, floats, alone_db=alone, so_far_db=drifted.db)
    return Explanation(
        subject=bundle.path.name,
        variant=payload.name,
        samples=f"the bundle's {len(samples)} golden samples",
        layers=layers,
        worst=drifted.worst({}, list(range(len(samples)))),
        bad_db=bad_db,
        first_bad=first_bad(layers, bad_db),
        notes=(FROM_THE_SEARCH if alone else NO_NOISE_ALONE,),
    )


def _watch(payload: Payload, files: Mapping[str, Path], names: list[str], folder: Path) -> Run:
    import onnx_ir as ir

    if payload.backend == "openvino":
        return watch_openvino(files, names, precision=payload.precision)
    model: ir.Model = ir.load(files["model"])
    return watch_onnx(model, names, folder)


def _files(bundle: Bundle, payload: Payload, folder: Path) -> dict[str, Path]:
    extract(bundle, payload, folder)
    return {role: folder / Path(entry).name for role, entry in payload.files.items()}


def _searched(entry: TargetEntry) -> dict[str, float]:
    """The noise of each layer alone, where the build has looked for it."""
    searches = [row["search"] for row in entry.candidates if row.get("search")]
    layers = searches[0]["layers"] if searches else []
    return {layer["layer"]: layer["sqnr_db"] for layer in layers if layer["sqnr_db"] is not None}
