"""What each layer costs: noise and metric when it alone is quantized, and the time that quantizing it saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.backends.execution import Execution
from edgekit.building.guide import Guide
from edgekit.building.store import Store, code_digest
from edgekit.export import save_model
from edgekit.files import sha256_of
from edgekit.floor import count_work
from edgekit.tensors import smallest_sizes, state_to_json
from edgekit.transforms.quantize import Workpiece
from edgekit.transforms.quantize.qdq import write_qdq

CALIBRATOR = "mse"
MACS_IN_ALL = 2e12  # about a minute of float arithmetic on one core: so many samples are run, and no clock decides
LEAST_SAMPLES, MOST_SAMPLES, MOST_SCORED = 4, 32, 256


@dataclass(frozen=True)
class Sensitivity:
    """What one layer, quantized alone, costs and gains.

    op: its operator. sqnr_db: signal to noise of the outputs on calibration samples, in decibels.
    drop: what the metric loses on the drawn evaluation samples; None where none are run.
    saved_us: float time less quantized time by the runtimes' profilers, of all that is fused with it; None where one of
        them does not tell.
    """

    layer: str
    op: str
    sqnr_db: float
    drop: float | None
    saved_us: float | None = None


def sensitivities(
    work: Workpiece,
    guide: Guide,
    nodes: Sequence[str],
    *,
    store: Store,
    folder: Path,
    progress: Callable[[int, int], None],
) -> tuple[Sensitivity, ...]:
    """The cost of each of `nodes`, in their order; one that an earlier build has looked at is not run again.

    As many samples are run as fit a fixed amount of arithmetic, at least `LEAST_SAMPLES`.
    """
    samples, scored = _sample_counts(work, guide, len(nodes))
    ops = {str(node.name): node.op_type for node in work.model.graph}
    ranges, state = work.ranges(CALIBRATOR), state_to_json(guide.recipe.state)
    file = folder / "one-layer.onnx"
    facts = {
        "sensitivity": [sha256_of(work.source), work.calibration.sha256, work.saturates, samples, scored],
        "scored": [guide.samples.evaluation_sha256, guide.scored, guide.recipe.metric_name, state] if scored else [],
        "code": code_digest("edgekit.transforms.quantize"),
    }

    def measure(node: str) -> list[float | None]:
        save_model(write_qdq(work.model, (node,), ranges=ranges, saturates=work.saturates), file)
        return [guide.sqnr_db(file, samples=samples), guide.drop(file, samples=scored) if scored else None]

    found = []
    for done, node in enumerate(nodes):
        progress(done, len(nodes))
        sqnr, drop = store.value({**facts, "layer": node}, make=lambda node=node: measure(node))  # type: ignore[misc]
        found.append(Sensitivity(node, ops[node], sqnr, drop))
    progress(len(nodes), len(nodes))
    return tuple(found)


def saved_us(floats: Execution, compressed: Execution) -> dict[str, float]:
    """The time that each layer saves in `compressed` against `floats`, in microseconds, where both profilers tell."""
    before, after = _times_us(floats), _times_us(compressed)
    return {layer: before[layer] - after[layer] for layer in before if layer in after}


def _times_us(execution: Execution) -> Mapping[str, float]:
    """By the name of each ONNX node that a timed layer stands for; nodes fused into one have its whole time each."""
    return {
        name: layer.time_us for layer in execution.layers if layer.time_us is not None for name in layer.name.split(",")
    }


def _sample_counts(work: Workpiece, guide: Guide, nodes: int) -> tuple[int, int]:
    """How many calibration and evaluation samples to run for each node."""
    macs = count_work(work.model, smallest_sizes(guide.recipe.input_specs)).macs or 1e9
    affordable = int(MACS_IN_ALL / (macs * max(nodes, 1)))
    samples = max(LEAST_SAMPLES, min(MOST_SAMPLES, affordable))
    scored = min(MOST_SCORED, len(guide.scored), (affordable - samples) // guide.steps)
    return samples, scored if scored >= MOST_SAMPLES else 0
