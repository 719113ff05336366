"""A recipe explained: its float graph, compressed one way, on its own data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from edgekit.backends import compile_model
from edgekit.bench.samples import read_samples
from edgekit.building.graphs import Graphs
from edgekit.building.guide import SIGNAL_SAMPLES
from edgekit.building.samples import lay_out_samples
from edgekit.building.source import float_model
from edgekit.building.store import open_store
from edgekit.building.variants import FLOAT, Variant
from edgekit.errors import BackendError, TargetError, did_you_mean
from edgekit.explaining.disagreeing import Judged
from edgekit.explaining.explain import explain
from edgekit.explaining.facts import Explanation
from edgekit.explaining.subject import PLAIN_LOOK, Look, Signal, Subject
from edgekit.export import save_model
from edgekit.progress import Progress, silent
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target, load_target, why_not_runnable
from edgekit.transforms.quantize import METHODS, Calibration, Workpiece, why_not_applicable

# What a build would take of the plainest methods: pairs for layers alone; its calibrator is the most exact one mostly.
DEFAULT_METHODS = {"openvino": "lean-mse", "onnxruntime": "ort-mse"}
MOST_JUDGED = 1000  # evaluation samples, evenly spaced


def explain_recipe(
    recipe: Recipe,
    *,
    method: str = "",
    target: Target | None = None,
    look: Look = PLAIN_LOOK,
    progress: Progress = silent,
) -> Explanation:
    """Compress the recipe's model by `method` and look at each layer, on its calibration and evaluation samples.

    method: a name of `edgekit.transforms.quantize.METHODS`; that of `DEFAULT_METHODS` for the target's first backend
        if empty.
    target: this machine's CPU if None.

    Raises:
        BackendError: no such method, or it, the quantizer or the runtime has no use for the graph.
        TargetError: the target cannot run here.
        EdgekitError: as a build raises for the recipe's data and model.
    """
    target = target or load_target("cpu")
    if reason := why_not_runnable(target):
        raise TargetError(f"{reason}, so what it executes cannot be read here; explain on such a machine, or for cpu")
    variant = _variant(method, target)
    calibration = Calibration(recipe)
    with tempfile.TemporaryDirectory(prefix="edgekit-explain-") as place, closing(open_store()) as store:
        folder = Path(place)
        progress("export and parity", 0, 1)
        source = float_model(recipe)
        save_model(source.model, folder / f"{FLOAT}.onnx")
        progress("export and parity", 1, 1)
        if lacking := why_not_applicable(variant.method, source.model):
            raise BackendError(f"{variant.method} has nothing to compress in {recipe.name!r}: {lacking}")
        work = Workpiece(folder / f"{FLOAT}.onnx", calibration, saturates(target))
        graph = Graphs(work.source, work, folder, store).file(variant)
        subject = Subject(
            recipe.name, variant, source.inputs, source.outputs, target.threads, work.source,
            files=_compiled(variant, graph, folder), compressed=graph,
            signal=(signal := calibration_signal(calibration)), judged=judged_samples(recipe, signal, folder),
        )  # fmt: skip
        return explain(subject, look, store=store, folder=folder, progress=progress)


def _variant(method: str, target: Target) -> Variant:
    backends = [backend for backend in target.backends if backend in DEFAULT_METHODS]
    if not backends:
        raise TargetError(f"target {target.name!r} has no backend that quantized graphs are compiled for here")
    method = method or DEFAULT_METHODS[backends[0]]
    if method not in METHODS:
        raise BackendError(f"unknown method {method!r}; {did_you_mean(method, METHODS)}")
    of_method = [backend for backend in backends if backend in METHODS[method].backends]
    if not of_method:
        raise BackendError(
            f"{method} is for {' or '.join(METHODS[method].backends)}, which {target.name!r} does not run"
        )
    return Variant(of_method[0], METHODS[method].precision, method)


def saturates(target: Target) -> bool:
    """See `edgekit.transforms.quantize.Workpiece`."""
    return target.arch == "x86_64" and "avx512-vnni" not in target.isa


def _compiled(variant: Variant, graph: Path, folder: Path) -> Mapping[str, Path]:
    place = folder / "compiled"
    place.mkdir()
    return compile_model(variant.backend, graph, place)


def calibration_signal(calibration: Calibration) -> Signal:
    """Calibration samples, evenly spaced."""
    step = -(-calibration.count // SIGNAL_SAMPLES)
    return Signal("calibration", {place: feeds for place, feeds in enumerate(calibration) if place % step == 0})


def judged_samples(recipe: Recipe, signal: Signal, folder: Path) -> Judged:
    """The recipe's evaluation data, laid out below `folder`; `signal` where it has none, or of many steps each."""
    laid_out = lay_out_samples(recipe, folder / "samples")
    if laid_out.evaluation is None or recipe.state:
        return Judged(signal.kind, signal.samples, tuple(signal.samples))
    samples = read_samples(laid_out.evaluation)
    positions = range(0, len(samples), -(-len(samples) // MOST_JUDGED))
    return Judged("evaluation", samples, positions, laid_out.targets, recipe.metric)
