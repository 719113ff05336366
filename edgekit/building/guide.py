"""Samples that guide the choice between compressed graphs before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edgekit.bench.accuracy import score_samples
from edgekit.bench.samples import read_samples, write_samples
from edgekit.bench.statistics import Floats
from edgekit.building.samples import Samples
from edgekit.building.steps import stepped_outputs
from edgekit.recipes.recipe import Recipe
from edgekit.transforms.quantize import Workpiece
from edgekit.transforms.quantize.noise import outputs_of, sqnr_db

SIGNAL_SAMPLES = 64  # of the calibration data, for noise
MOST_SCORED = 512  # of the evaluation data, for the metric, and at most a quarter of it


@dataclass(frozen=True)
class Guide:
    """Samples of the calibration data, evenly spaced, and of the evaluation data, drawn.

    scored: positions of the evaluation samples that are looked at; what they helped to choose is judged by the others.
    """

    recipe: Recipe
    source: Path
    samples: Samples
    folder: Path
    scored: tuple[int, ...]

    def sqnr_db(self, graph: Path, *, samples: int = SIGNAL_SAMPLES) -> float:
        """The signal-to-noise ratio of a compressed graph's outputs on calibration samples, in decibels."""
        feeds, reference = read_samples(self._signal[0]), read_samples(self._signal[1])
        used = range(0, len(feeds), max(1, math.ceil(len(feeds) / samples)))
        found = outputs_of(graph, (feeds[position] for position in used))
        return sqnr_db((reference[position] for position in used), found)

    def drop(self, graph: Path, *, samples: int = MOST_SCORED) -> float | None:
        """What a compressed graph loses of the metric on the drawn evaluation samples; None without any."""
        if not self.scored:
            return None
        used = self.scored[:samples]
        return float(np.mean(self._float_scores[: len(used)] - self._scores(graph, used)))

    @cached_property
    def steps(self) -> int:
        """How many runs of a graph a drawn evaluation sample takes, on average: 1 but for streaming models."""
        if not self.scored or not self.recipe.state or self.samples.evaluation is None:
            return 1
        feeds = read_samples(self.samples.evaluation)
        counts = [len(next(iter(feeds[position].values()))) for position in self.scored]
        return math.ceil(sum(counts) / len(counts))

    @cached_property
    def _signal(self) -> tuple[Path, Path]:
        """Folders of calibration samples and of the float graph's outputs for them."""
        feeds, outputs = self.folder / "signal", self.folder / "signal-float"
        write_samples(outputs, outputs_of(self.source, read_samples(feeds)))
        return feeds, outputs

    @cached_property
    def _float_scores(self) -> Floats:
        return self._scores(self.source, self.scored)

    def _scores(self, graph: Path, positions: Sequence[int]) -> Floats:
        assert self.samples.evaluation is not None  # noqa: S101 - `scored` is empty without it
        assert self.recipe.metric is not None  # noqa: S101 - a recipe has both or neither
        feeds = read_samples(self.samples.evaluation)
        targets = [self.samples.targets[position] for position in positions]
        used = (feeds[position] for position in positions)
        found = stepped_outputs(graph, used, self.recipe) if self.recipe.state else outputs_of(graph, used)
        return score_samples(self.recipe.metric, found, targets)


def make_guide(recipe: Recipe, work: Workpiece, samples: Samples, *, folder: Path, seed: int) -> Guide:
    """Lay the calibration samples out below `folder`, and draw the evaluation samples by `seed`."""
    count = work.calibration.count
    step = max(1, math.ceil(count / SIGNAL_SAMPLES))
    write_samples(folder / "signal", (feeds for index, feeds in enumerate(work.calibration) if index % step == 0))
    total = len(samples.targets)
    drawn = np.random.default_rng(seed).permutation(total)[: min(MOST_SCORED, total // 4)]
    return Guide(recipe, work.source, samples, folder, tuple(drawn.tolist()))
