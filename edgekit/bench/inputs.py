"""What the timed calls of an arm take: single samples, batches of them, or raw samples that it has to process first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.arms import Arm
from edgekit.bench.bound import Bound
from edgekit.bench.samples import read_samples
from edgekit.errors import MeasurementError
from edgekit.recipes import load_recipe
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, Feeds

VARIED_INPUTS = 16
"""So many samples take turns in the timed calls: one cached input makes any model look faster than it is."""

VARIED_BATCHES = 4
RAW = "raw"  # the name of a raw sample where samples lie on disk


@dataclass(frozen=True)
class Inputs:
    """What is written before each timed call, in turn, and what it means to the network.

    written: feeds, or raw samples where their processing is timed.
    feeds: what the network is given for each of them.
    recipe: whose functions stand around the network; None where it is timed alone.
    """

    written: Sequence[Any]
    feeds: Sequence[Feeds]
    recipe: Recipe | None = None

    def around(self, bound: Bound) -> Bound:
        """`bound`, with the recipe's processing before and after it as part of the call."""
        return bound if self.recipe is None else processed(bound, self.recipe)


def read_inputs(arm: Arm, folder: Path) -> Inputs:
    """The first samples in `folder`, as many as take turns, for `arm`: raw ones if it times their processing.

    Of a sample of many steps it is the first step, with its state at zero.

    Raises:
        MeasurementError: there are no finished samples, or they cannot be put into one batch.
        RecipeError: the arm's recipe cannot be loaded, or has no processing.
    """
    first = [_first_step(arm, feeds) if is_chunk(arm, feeds) else feeds for feeds in _first(folder)]
    samples = [{name: np.array(array) for name, array in feeds.items()} for feeds in first]
    if arm.processing:
        recipe = load_recipe(arm.recipe)
        raw = [sample[RAW] for sample in samples]
        return Inputs(raw, [recipe.processed(sample) for sample in raw], recipe)
    feeds = batches(samples, arm.batch) if arm.batch > 1 else samples
    return Inputs(feeds, feeds)


def is_chunk(arm: Arm, feeds: Feeds) -> bool:
    """Whether a sample is of many steps of a streaming model: it has all inputs but the state, each with an axis of
    steps before the others. State is zero where it begins."""
    return bool(arm.state) and arm.state.keys().isdisjoint(feeds) and not arm.processing


def _first_step(arm: Arm, feeds: Feeds) -> dict[str, Array]:
    zeros = {spec.name: np.zeros(spec.shape_at({}), spec.dtype) for spec in arm.inputs if spec.name in arm.state}
    return {**{name: array[0, ...] for name, array in feeds.items()}, **zeros}


def batches(samples: Sequence[Feeds], size: int) -> list[Feeds]:
    """`VARIED_BATCHES` batches of `size` samples each, which begin at different ones; samples repeat where too few.

    Raises:
        MeasurementError: samples of different shapes.
    """
    refuse_mixed_shapes(samples)
    starts = [number * len(samples) // VARIED_BATCHES for number in range(VARIED_BATCHES)]
    return [_stacked([samples[(start + offset) % len(samples)] for offset in range(size)]) for start in starts]


def refuse_no_batch(outputs: Mapping[str, Array], feeds: Feeds) -> None:
    """Refuse outputs that do not have the leading size of the inputs: their model does not take a batch.

    Raises:
        MeasurementError: such an output; it is named.
    """
    size = next(iter(feeds.values())).shape[0]
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != size:
            raise MeasurementError(f"output {name!r} has shape {array.shape} for a batch of {size}")


def refuse_mixed_shapes(samples: Sequence[Feeds]) -> None:
    """Refuse samples that do not all have the shapes of the first.

    Raises:
        MeasurementError: they have several.
    """
    shapes = {tuple((name, feeds[name].shape) for name in sorted(feeds)) for feeds in samples}
    if len(shapes) > 1:
        raise MeasurementError(
            f"samples to be timed have {len(shapes)} different shapes; a latency belongs to one: give one"
        )


def processed(bound: Bound, recipe: Recipe) -> Bound:
    """`bound` that is written raw samples: a call makes the network's inputs of one, runs it, and reads the answer.

    The copies into the network's inputs and out of its outputs are part of the call; the raw sample lies ready.
    """
    write, network, read, before, after = bound.write, bound.call, bound.read, recipe.processed, recipe.answer
    raw: Any = None

    def take(sample: Any) -> None:
        nonlocal raw
        raw = sample

    def call() -> object:
        write(before(raw))
        network()
        return after(read())

    return Bound(take, call, read)


def _first(folder: Path) -> list[dict[str, Array]]:
    return read_samples(folder)[:VARIED_INPUTS]


def _stacked(samples: Sequence[Feeds]) -> dict[str, Array]:
    return {name: np.concatenate([feeds[name] for feeds in samples]) for name in samples[0]}
