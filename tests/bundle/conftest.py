"""The bundle that most of these tests read or damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_bundle import contents, manifest

from edgekit.bundle import write_bundle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small sound bundle, alone in its folder."""
    (tmp_path / "out").mkdir()
    return write_bundle(tmp_path / "out" / "tiny.edgekit", manifest(), contents()).path
