"""A bundle explained: its compressed payload beside its float one, on its golden samples, or on its recipe's data.

The bundle has the float graph as ONNX. Of a payload for OpenVINO the ONNX graph that it was compiled from is not in it;
with the recipe it is made again, and taken only if it computes bit for bit what the payload computes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.backends import compile_model
from edgekit.building.graphs import Graphs
from edgekit.building.store import Store, open_store
from edgekit.building.variants import FLOAT, REFERENCE, Variant
from edgekit.bundle import Bundle, Payload, TargetEntry, open_bundle
from edgekit.contest import extract
from edgekit.errors import BackendError, did_you_mean
from edgekit.explaining.disagreeing import Judged
from edgekit.explaining.explain import explain
from edgekit.explaining.facts import Explanation
from edgekit.explaining.recipe import calibration_signal, judged_samples, saturates
from edgekit.explaining.subject import PLAIN_LOOK, Look, Signal, Subject
from edgekit.progress import Progress, silent
from edgekit.recipes.recipe import Recipe
from edgekit.runtime.runner import open_runner
from edgekit.runtime.session import choose_target
from edgekit.transforms.quantize import Calibration, Workpiece

NO_ONNX = "the bundle has no ONNX graph of this payload"
WITHOUT_RECIPE = f"{NO_ONNX}: give --recipe to make it again, for noise of single layers and a layer as ONNX of its own"
FROM_THE_SEARCH = (
    f"{NO_ONNX}: noise of a layer alone is what the build's search found, for int8 with edgekit's own pairs; "
    "give --recipe to make the graph again, for this payload's own noise and a layer as ONNX of its own"
)
MADE_OTHERWISE = f"{NO_ONNX}, and made again from the recipe it computes something else: the data or tools have changed"


def explain_bundle(
    path: Path,
    *,
    recipe: Recipe | None = None,
    target: str | None = None,
    payload: str = "",
    look: Look = PLAIN_LOOK,
    progress: Progress = silent,
) -> Explanation:
    """What a compressed payload of the bundle at `path` executes, and how far it drifts from the float payload.

    recipe: what it was built from, for more samples than the golden ones, and for what needs calibration data.
    target: name of one of its targets; the most specific one that this machine can run if None.
    payload: name of one of its payloads; the first compressed one if empty.

    Raises:
        BundleError: not a sound bundle.
        TargetError: no such target, or none that runs here.
        BackendError: no such payload, nothing compressed, or a runtime refused one.
        EdgekitError: as a build raises for the recipe's data.
    """
    bundle = open_bundle(path)
    entry = choose_target(bundle, name=target)
    chosen = _payload(bundle, entry, payload)
    with tempfile.TemporaryDirectory(prefix="edgekit-explain-") as place, closing(open_store()) as store:
        folder = Path(place)
        subject = _subject(bundle, entry, chosen, folder)
        if recipe is not None:
            progress("samples of the recipe", 0, 1)
            subject = _with_recipe(subject, bundle, entry, recipe, store, folder)
            progress("samples of the recipe", 1, 1)
        elif subject.compressed is None:
            note = FROM_THE_SEARCH if subject.alone_db else WITHOUT_RECIPE
            subject = replace(subject, notes=(note,))
        return explain(subject, look, store=store, folder=folder, progress=progress)


def _payload(bundle: Bundle, entry: TargetEntry, name: str) -> Payload:
    compressed = {each.name: each for each in entry.payloads if each.precision != "f32"}
    if name and name not in compressed:
        known = did_you_mean(name, compressed) if compressed else "there is none"
        raise BackendError(f"{bundle.path} has no compressed payload {name!r} for {entry.target.name}; {known}")
    if not compressed:
        raise BackendError(
            f"{bundle.path} carries nothing compressed for {entry.target.name}, so there is nothing to explain; "
            "explain its recipe with --method to see what compressing would do"
        )
    return compressed[name] if name else next(iter(compressed.values()))


def _subject(bundle: Bundle, entry: TargetEntry, payload: Payload, folder: Path) -> Subject:
    """The payload on the bundle's golden samples."""
    plain = next((each for each in entry.payloads if each.name == REFERENCE.name), None)
    if plain is None:
        raise BackendError(f"{bundle.path} has no {REFERENCE.name} to compare with; build it with edgekit build")
    floats = extract(bundle, plain, folder / "float")
    extract(bundle, payload, folder / "payload")
    files = {role: folder / "payload" / Path(item).name for role, item in payload.files.items()}
    row = next((row for row in entry.candidates if row["name"] == payload.name), {})
    golden = {sample: bundle.golden_inputs(sample) for sample in range(bundle.manifest.golden_samples)}
    kept_float = tuple(row.get("kept_float") or ())
    own = files["model"] if payload.backend == "onnxruntime" else None
    compressed = floats if payload.method == FLOAT else own
    return Subject(
        name=bundle.path.name,
        variant=Variant(payload.backend, payload.precision, payload.method, kept_float),
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
        threads=entry.target.threads,
        floats=floats,
        files=files,
        compressed=compressed,
        signal=Signal("golden", golden),
        judged=Judged("golden", golden, tuple(golden)),
        alone_db=_searched(entry, kept_float) if compressed is None else {},
    )


def _with_recipe(
    subject: Subject, bundle: Bundle, entry: TargetEntry, recipe: Recipe, store: Store, folder: Path
) -> Subject:
    """The same on the recipe's data, and with the ONNX graph of the payload if that can be made again."""
    work = Workpiece(subject.floats, Calibration(recipe), saturates(entry.target))
    signal = calibration_signal(work.calibration)
    subject = replace(subject, signal=signal, judged=judged_samples(recipe, signal, folder))
    if subject.compressed is not None:
        return subject
    graph = Graphs(work.source, work, folder, store).file(subject.variant)
    place = folder / "again"
    place.mkdir()
    again = compile_model(subject.variant.backend, graph, place)
    if _golden_answers(subject, bundle, again) == _golden_answers(subject, bundle, subject.files):
        return replace(subject, compressed=graph, alone_db={})
    return replace(subject, notes=(MADE_OTHERWISE,))


def _golden_answers(subject: Subject, bundle: Bundle, files: Mapping[str, Path]) -> list[dict[str, bytes]]:
    runner = open_runner(
        subject.variant.backend, files, inputs=subject.inputs, outputs=subject.outputs,
        precision=subject.variant.precision, threads=subject.threads,
    )  # fmt: skip
    try:
        found = [runner.run(bundle.golden_inputs(sample)) for sample in range(bundle.manifest.golden_samples)]
    finally:
        runner.close()
    return [{name: np.ascontiguousarray(array).tobytes() for name, array in each.items()} for each in found]


def _searched(entry: TargetEntry, kept_float: Collection[str]) -> dict[str, float]:
    """The noise of each layer alone that is not in float, where the build has looked for it."""
    searches = [row["search"] for row in entry.candidates if row.get("search")]
    layers = searches[0]["layers"] if searches else []
    return {
        layer["layer"]: layer["sqnr_db"]
        for layer in layers
        if layer["sqnr_db"] is not None and layer["layer"] not in kept_float
    }
