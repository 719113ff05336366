"""The recipe's real data, laid out once in folders that worker processes read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.samples import write_samples
from edgekit.bundle import Bundle
from edgekit.export import traced_sizes
from edgekit.feeds import feeds_at, real_feeds
from edgekit.files import sha256_of
from edgekit.recipes.recipe import Recipe
from edgekit.runtime.stream import check_steps, without_state
from edgekit.tensors import Array, check_feeds, smallest_sizes

GOLDEN_SAMPLES = 3
TIMED_SAMPLES = 16


@dataclass(frozen=True)
class Samples:
    """Folders of feeds.

    evaluation: every evaluation sample, or None where the recipe has none; targets: what each of them should give.
        Where the recipe has state they are of many steps, without it: `edgekit.bench.inputs.is_chunk`.
    timing: inputs at the smallest shape, for latency. golden: inputs of the golden samples. Both are of single steps.
    """

    evaluation: Path | None
    targets: tuple[Any, ...]
    timing: Path
    golden: Path

    @cached_property
    def evaluation_sha256(self) -> str:
        """Digest of the evaluation samples and their targets."""
        parts = [] if self.evaluation is None else sorted(self.evaluation.iterdir())
        facts = [f"{part.name} {sha256_of(part)}" for part in parts]
        facts += [f"{np.asarray(target).dtype} {np.asarray(target).tolist()}" for target in self.targets]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def lay_out_samples(recipe: Recipe, folder: Path) -> Samples:
    """Write the recipe's evaluation data, and the inputs for timing and golden samples, below `folder`.

    Raises:
        TensorError: a sample is not what the recipe's inputs state.
        MeasurementError: the evaluation is empty.
    """
    targets: list[Any] = []
    if recipe.evaluation is not None:
        write_samples(folder / "evaluation", _evaluation(recipe, targets))
    real, smallest = real_feeds(recipe, TIMED_SAMPLES), smallest_sizes(recipe.input_specs)
    write_samples(folder / "timing", (feeds_at(recipe.input_specs, [feeds], smallest) for feeds in real))
    write_samples(folder / "golden", _golden(recipe, real))
    return Samples(
        evaluation=folder / "evaluation" if recipe.evaluation is not None else None,
        targets=tuple(targets),
        timing=folder / "timing",
        golden=folder / "golden",
    )


def golden_samples(bundle: Bundle, folder: Path) -> Samples:
    """The bundle's golden inputs of the first one's shape, for latency where no recipe brings data, in `folder`."""
    golden = [bundle.golden_inputs(sample) for sample in range(bundle.manifest.golden_samples)]
    first = {name: array.shape for name, array in golden[0].items()}  # a latency belongs to one shape
    write_samples(folder, (g for g in golden if {name: array.shape for name, array in g.items()} == first))
    return Samples(evaluation=None, targets=(), timing=folder, golden=folder)


def _golden(recipe: Recipe, real: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """Single samples, and one set of inputs larger than them: runtimes compile another graph for other sizes."""
    larger = feeds_at(recipe.input_specs, real, traced_sizes(recipe.input_specs))
    return [*real[: GOLDEN_SAMPLES - 1], larger]


def _evaluation(recipe: Recipe, targets: list[Any]) -> Iterator[dict[str, Array]]:
    """The checked feeds of each evaluation sample; its target goes to `targets`."""
    specs, check = without_state(recipe.input_specs, recipe.state), check_steps if recipe.state else check_feeds
    for feeds, target in recipe.evaluation_samples():
        targets.append(target)
        yield check(specs, feeds)
