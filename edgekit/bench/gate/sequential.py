"""How sure each look must be, where a measurement is looked at several times and may stop at any of them.

Looking three times at a 5 % test, and stopping at the first alarm, is a test at 10 %. Spending says how much of the
whole level may be used up by each look; the level of a look follows from what the looks before have left.

Source: Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983, with their spending
function of Pocock's kind; Armitage, McPherson and Rowe, "Repeated significance tests on accumulating data", JRSS A 132,
1969, for the integration.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from edgekit.bench.statistics import Floats

GRID_POINTS = 1501
GRID_REACH = 8.0  # standard deviations of the last look; what lies beyond has a chance of 1e-15


@lru_cache(maxsize=512)
def level_at(look: int, looks: tuple[int, ...], alpha: float) -> float:
    """One-sided level for the bound after `look` sessions, so that all looks together err with a chance of `alpha`.

    looks: sessions at each look, increasing; `look` is one of them.
    """
    return _levels(looks, alpha)[looks.index(look)]


def spent(information: float, alpha: float) -> float:
    """How much of `alpha` may be used up by the time that this share of all sessions is there, 0 to 1."""
    return alpha * math.log(1 + (math.e - 1) * information)


@lru_cache(maxsize=512)
def _levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """The level of each look, by the normal limit: sums of scores as a random walk with a boundary at each look."""
    times = [look / looks[-1] for look in looks]
    grid = np.linspace(-GRID_REACH, GRID_REACH, GRID_POINTS)
    step = float(grid[1] - grid[0])
    going: Floats = np.zeros(0)  # density, over the grid, of the walk where it has not crossed yet
    levels: list[float] = []
    before = used = 0.0
    for time in times:
        density = _walked(going, grid, time - before, step=step) if levels else _normal(grid, math.sqrt(time))
        allowed = spent(time, alpha) - used
        boundary = _boundary(density, grid, allowed, step=step)
        levels.append(1 - NormalDist().cdf(boundary / math.sqrt(time)))
        going = np.where(grid < boundary, density, 0.0)
        before, used = time, spent(time, alpha)
    return tuple(levels)


def _normal(x: Floats, deviation: float) -> Floats:
    density: Floats = np.exp(-0.5 * (x / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    return density


def _walked(density: Floats, grid: Floats, time: float, *, step: float) -> Floats:
    """The density after an independent step of variance `time`."""
    walked: Floats = _normal(grid[:, None] - grid[None, :], math.sqrt(time)) @ density * step
    return walked


def _boundary(density: Floats, grid: Floats, chance: float, *, step: float) -> float:
    """Above which the density holds `chance`, linear between the points of the grid."""
    above = np.concatenate((np.cumsum((density[1:] + density[:-1])[::-1])[::-1] * step / 2, [0.0]))
    return float(np.interp(-chance, -above, grid))
