"""A recipe explained: its float graph, compressed one way, on its own data."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from edgekit.backends import compile_model
from edgekit.backends.execution import Execution, read_execution
from edgekit.bench.samples import read_samples
from edgekit.building.graphs import Graphs
from edgekit.building.guide import Guide, make_guide
from edgekit.building.samples import lay_out_samples
from edgekit.building.sensitivity import sensitivities
from edgekit.building.source import FloatModel, float_model
from edgekit.building.store import open_store
from edgekit.building.variants import FLOAT, Variant
from edgekit.errors import BackendError, did_you_mean
from edgekit.explaining.facts import BAD_DB, Explanation, first_bad
from edgekit.explaining.layers import layer_facts
from edgekit.explaining.reproduce import write_reproduction
from edgekit.explaining.watch import drift, watch_onnx
from edgekit.export import save_model
from edgekit.progress import Progress, silent
from edgekit.recipes.recipe import Recipe
from edgekit.transforms.quantize import METHODS, Calibration, Workpiece
from edgekit.transforms.quantize.layers import layers_of

DEFAULT_METHOD = "lean-mse"


def explain_recipe(
    recipe: Recipe,
    *,
    method: str = DEFAULT_METHOD,
    bad_db: float = BAD_DB,
    extract: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Explanation:
    """Compress the recipe's model by `method` and look at each layer, on samples of its calibration and evaluation.

    method: a name of `edgekit.transforms.quantize.METHODS`.
    bad_db: a layer is bad if the outputs keep less than this, in decibels, where it alone is quantized.
    extract: a folder for the first bad layer as ONNX of its own, see `edgekit.explaining.reproduce`.

    Raises:
        BackendError: no such method, or the quantizer or runtime refused the graph.
        EdgekitError: as a build raises for the recipe's data and model.
    """
    if method not in METHODS:
        raise BackendError(f"unknown method {method!r}; {did_you_mean(method, METHODS)}")
    calibration = Calibration(recipe)
    variant = Variant(METHODS[method].backends[0], METHODS[method].precision, method)
    with tempfile.TemporaryDirectory(prefix="edgekit-explain-") as place, closing(open_store()) as store:
        folder = Path(place)
        progress("export and parity", 0, 1)
        source = float_model(recipe)
        save_model(source.model, folder / f"{FLOAT}.onnx")
        progress("export and parity", 1, 1)
        work = Workpiece(folder / f"{FLOAT}.onnx", calibration)
        guide = make_guide(
            recipe, work, lay_out_samples(recipe, folder / "samples"), folder=folder / "guide", seed=seed
        )
        graph = Graphs(work.source, work, folder, store).file(variant)
        costs = sensitivities(
            work, guide, layers_of(work.model), store=store, folder=folder,
            progress=lambda done, total: progress("sensitivity", done, total),
        )  # fmt: skip
        alone = {cost.layer: cost.sqnr_db for cost in costs}
        found = _explanation(source, variant, guide, work, graph, alone=alone, folder=folder, bad_db=bad_db)
        if extract is not None and found.first_bad:
            samples = read_samples(folder / "guide" / "signal")
            write_reproduction(work.model, graph, found.first_bad, samples=samples, folder=extract)
        return found


def _explanation(
    source: FloatModel,
    variant: Variant,
    guide: Guide,
    work: Workpiece,
    graph: Path,
    *,
    alone: dict[str, float],
    folder: Path,
    bad_db: float,
) -> Explanation:
    import onnx_ir as ir

    watched = [str(value.name) for node in work.model.graph for value in node.outputs]
    evaluated = guide.samples.evaluation if guide.scored else None
    samples = read_samples(evaluated or folder / "guide" / "signal")
    positions = list(guide.scored) if evaluated else list(range(len(samples)))
    outputs = [spec.name for spec in source.outputs]
    drifted = drift(
        watch_onnx(work.model, watched, folder / "float"),
        watch_onnx(ir.load(graph), watched, folder / "compressed"),
        (samples[position] for position in positions),
        outputs=outputs,
    )
    compressed, floats = (
        _execution(source, each, file, guide, folder=folder)
        for each, file in ((variant, graph), (Variant(variant.backend, "f32"), work.source))
    )
    layers = layer_facts(work.model, compressed, floats, alone_db=alone, so_far_db=drifted.db)
    kind = "evaluation" if evaluated else "calibration"
    return Explanation(
        subject=guide.recipe.name,
        variant=variant.name,
        samples=f"{len(positions)} {kind} samples; for a layer alone, calibration samples",
        layers=layers,
        worst=drifted.worst(dict(enumerate(guide.samples.targets)) if evaluated else {}, positions),
        bad_db=bad_db,
        first_bad=first_bad(layers, bad_db),
    )


def _execution(source: FloatModel, variant: Variant, graph: Path, guide: Guide, *, folder: Path) -> Execution:
    place = folder / f"compiled-{variant.name}"
    place.mkdir()
    files = compile_model(variant.backend, graph, place)
    feeds = read_samples(guide.samples.timing)[:4]
    return read_execution(
        variant.backend, files, inputs=source.inputs, outputs=source.outputs, precision=variant.precision, feeds=feeds
    )
