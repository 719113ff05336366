"""Real data for the recipes' tests; where it is not on this machine, a test is skipped and says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.caches import cache_dir

NEEDS = {
    "simple-cnn": (),
    "resnet8": ("fashion-mnist/t10k-images-idx3-ubyte.gz", "fashion-mnist/train-images-idx3-ubyte.gz"),
    "ds-cnn": ("fsdd.npz",),
}


@pytest.fixture
def skip_without_data() -> Callable[[str], None]:
    """A function that skips the test where the data of the named recipe would have to be downloaded."""
    return _skip


def _skip(recipe: str) -> None:
    if recipe == "simple-cnn":
        pytest.importorskip("sklearn", reason="handwritten digits come with scikit-learn")
    folders = [Path(os.environ.get("EDGEKIT_DATA", "")), cache_dir("data")]
    for name in NEEDS[recipe]:
        if not any((folder / name).is_file() for folder in folders):
            pytest.skip(f"{name} is neither in $EDGEKIT_DATA nor in the cache")
