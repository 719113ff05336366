"""Looks at a subject: reads as the columns of its table, then its samples, then the one layer that is cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgekit.backends import compile_model
from edgekit.backends.execution import Execution, describe, read_execution
from edgekit.building.sensitivity import LEAST_SAMPLES, MACS_IN_ALL, MOST_SAMPLES
from edgekit.building.store import Store
from edgekit.errors import BackendError, did_you_mean
from edgekit.explaining.alone import alone_db
from edgekit.explaining.disagreeing import Disagreements, disagreements
from edgekit.explaining.facts import Explanation, Reproduction, first_bad
from edgekit.explaining.layers import layer_facts
from edgekit.explaining.parts import Part, find_parts, layers_alone
from edgekit.explaining.reproduce import write_reproduction
from edgekit.explaining.subject import Look, Subject
from edgekit.explaining.watch import Drift, drift, watch_onnx, watch_openvino
from edgekit.explaining.wiring import load
from edgekit.floor import count_work
from edgekit.progress import Progress
from edgekit.runtime.runner import open_runner
from edgekit.tensors import smallest_sizes

PROFILED_MACS = 6e9  # about 0.3 s of float arithmetic on one core


class _Graphs:
    """The subject's graphs, its layers in both, and as many samples as fit a fixed amount of arithmetic."""

    def __init__(self, subject: Subject) -> None:
        self.floats = load(subject.floats)
        self.compressed = load(subject.compressed) if subject.compressed is not None else None
        self.parts = find_parts(self.floats, self.compressed) if self.compressed else layers_alone(self.floats)
        self.macs = _macs(subject)
        affordable = int(MACS_IN_ALL / (self.macs * max(len(self.parts), 1)))
        self.signal = subject.signal.thinned(max(LEAST_SAMPLES, min(MOST_SAMPLES, affordable)))
        self.samples = list(self.signal.samples.values())


def explain(subject: Subject, look: Look, *, store: Store, folder: Path, progress: Progress) -> Explanation:
    """Everything that is asked for. folder: for files on the way.

    Raises:
        BackendError: a runtime refuses one of the graphs, or `look.layer` is none, or cannot be cut out.
    """
    graphs = _Graphs(subject)
    chosen = _named(graphs.parts, look.layer)
    _refuse_extraction(graphs, look, chosen)
    drifted = _drift(subject, graphs, folder)
    alone = dict(subject.alone_db)
    if graphs.compressed is not None:
        alone = alone_db(
            graphs.floats, graphs.compressed, graphs.parts, graphs.samples, store=store, folder=folder,
            progress=lambda done, total: progress("layers alone", done, total),
        )  # fmt: skip
    compressed, floats = _executions(subject, graphs, folder, progress)
    layers = layer_facts(graphs.parts, compressed, floats, alone_db=alone, so_far_db=drifted.db)
    differing = _disagreements(subject, progress)
    bad = first_bad(layers, look.bad_db)
    return Explanation(
        subject=subject.name,
        variant=subject.variant.name,
        samples=_in_words(subject, graphs),
        executed=describe(compressed),
        float_executed=describe(floats),
        layers=layers,
        worst=differing.worst,
        lost=differing.lost,
        lost_count=differing.lost_count,
        bad_db=look.bad_db,
        first_bad=bad,
        reproduction=_reproduction(graphs, look, chosen or _named(graphs.parts, bad)),
        notes=(*subject.notes, *(_lacking(graphs.parts) if graphs.compressed else ())),
    )


def _macs(subject: Subject) -> float:
    import onnx_ir as ir

    return count_work(ir.load(subject.floats), smallest_sizes(subject.inputs)).macs or 1e9


def _named(parts: Sequence[Part], layer: str) -> Part | None:
    """The part of that layer; None where no layer is named."""
    by_name = {part.layer: part for part in parts}
    if layer and layer not in by_name:
        raise BackendError(f"no layer {layer!r} in the graph; {did_you_mean(layer, by_name)}")
    return by_name.get(layer)


def _refuse_extraction(graphs: _Graphs, look: Look, chosen: Part | None) -> None:
    """Before the work, not after it."""
    if look.extract is not None and graphs.compressed is None:
        raise BackendError("there is no ONNX graph of what runs to cut a layer out of; explain it with its recipe")
    if chosen is not None and chosen.lacking:
        raise BackendError(f"layer {chosen.layer!r} cannot be cut out of the compressed graph: {chosen.lacking}")


def _drift(subject: Subject, graphs: _Graphs, folder: Path) -> Drift:
    """How far each layer's result is off in the compressed model, in the runtime that it is for."""
    same = {part.tensor: part.found for part in graphs.parts if part.found}
    if subject.variant.backend == "openvino":
        run = watch_openvino(subject.files, list(same.values()), precision=subject.variant.precision)
    else:
        assert graphs.compressed is not None  # noqa: S101 - onnxruntime runs ONNX
        run = watch_onnx(graphs.compressed.model, same.values(), folder / "watched-compressed.onnx")
    floats = watch_onnx(graphs.floats.model, same, folder / "watched-float.onnx")
    return drift(floats, run, graphs.samples, same=same)


def _executions(subject: Subject, graphs: _Graphs, folder: Path, progress: Progress) -> tuple[Execution, Execution]:
    """What the runtime executes for the variant, and for the float graph."""
    place = folder / "compiled-float"
    place.mkdir()
    backend = subject.variant.backend
    kinds = [
        (subject.files, subject.variant.precision),
        (compile_model(backend, subject.floats, place), "f32"),
    ]
    found = []
    for done, (files, precision) in enumerate(kinds):
        progress("executed precision", done, len(kinds))
        found.append(
            read_execution(
                backend,
                files,
                inputs=subject.inputs,
                outputs=subject.outputs,
                precision=precision,
                threads=subject.threads,
                feeds=graphs.samples[:4],
                calls=max(5, min(50, int(PROFILED_MACS / graphs.macs))),
            )
        )
    progress("executed precision", len(kinds), len(kinds))
    return found[0], found[1]


def _disagreements(subject: Subject, progress: Progress) -> Disagreements:
    runner = open_runner(
        subject.variant.backend,
        subject.files,
        inputs=subject.inputs,
        outputs=subject.outputs,
        precision=subject.variant.precision,
        threads=subject.threads,
    )
    try:
        return disagreements(
            subject.floats, lambda feeds: runner.run(dict(feeds)), subject.judged,
            progress=lambda done, total: progress("samples", done, total),
        )  # fmt: skip
    finally:
        runner.close()


def _reproduction(graphs: _Graphs, look: Look, part: Part | None) -> Reproduction | None:
    if look.extract is None or part is None or graphs.compressed is None:
        return None
    found = write_reproduction(
        graphs.floats, graphs.compressed, part,
        samples=graphs.samples, bad_db=look.bad_db, folder=look.extract,
    )  # fmt: skip
    return replace(found, index=list(graphs.signal.samples)[found.index])


def _in_words(subject: Subject, graphs: _Graphs) -> str:
    judged, signal = subject.judged, graphs.signal
    return (
        f"noise of layers on {len(signal.samples)} {signal.kind} samples, "
        f"answers on {len(judged.positions)} {judged.kind} samples"
    )


def _lacking(parts: Sequence[Part]) -> list[str]:
    """One line for each reason that layers could not be found in the compressed graph."""
    reasons: dict[str, list[str]] = {}
    for part in parts:
        if part.lacking:
            reasons.setdefault(part.lacking, []).append(part.layer)
    return [f"not looked at alone, since {reason}: {', '.join(layers)}" for reason, layers in reasons.items()]
