"""What every test shares: a cache of its own, and one small bundle that is built once for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle import Bundle
from edgekit.recipes import Budget, Recipe
from edgekit.tensors import TensorSpec

SAMPLES = np.random.default_rng(7).standard_normal((96, 1, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Golden markers and compiled blobs go to a fresh folder, in child processes too; data stays in the cache."""
    from edgekit.caches import cache_dir

    before = {name: os.environ.get(name) for name in ("EDGEKIT_CACHE", "EDGEKIT_DATA")}
    if before["EDGEKIT_DATA"] is None and cache_dir("data").is_dir():
        os.environ["EDGEKIT_DATA"] = str(cache_dir("data"))
    folder = tmp_path_factory.mktemp("cache")
    os.environ["EDGEKIT_CACHE"] = str(folder)
    yield folder
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def tiny_recipe() -> Recipe:
    """A small convolutional net with random weights, whose own float answers are the labels."""
    torch = pytest.importorskip("torch", reason="building takes torch")

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(1),
        torch.nn.Linear(32, 4),
    ).eval()
    with torch.inference_mode():
        labels = net(torch.from_numpy(SAMPLES[:, 0])).argmax(1).numpy()
    return Recipe(
        name="tiny",
        model=lambda: net,
        inputs={"image": TensorSpec("float32", ("batch", 3, 8, 8), ranges={"batch": (1, 4)})},
        outputs=("scores",),
        calibration=lambda: [{"image": sample} for sample in SAMPLES[:32]],
        evaluation=lambda: [({"image": s}, int(label)) for s, label in zip(SAMPLES, labels, strict=True)],
        metric="top1",
        budget=Budget(max_drop=0.1),
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Bundle:
    """`tiny_recipe`, built for this machine: every variant compiled, scored and timed."""
    from edgekit.build import Settings, build

    return build(tiny_recipe(), output=tmp_path_factory.mktemp("built") / "tiny.edgekit", settings=Settings(sessions=6))
