"""The nets of `benchmarks/quantize.py` are what they say, and its tables hold what its parts have found."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from edgekit.recipes import resnet8

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("quantize", "quantize_models", "quantize_peers", "quantize_tables"):
        sys.modules.pop(name, None)


@pytest.fixture
def nets() -> ModuleType:
    return importlib.import_module("quantize_models")


@pytest.fixture
def weights(nets: ModuleType, tmp_path: Path) -> Path:
    """Of an untrained transformer."""
    torch.manual_seed(0)
    torch.save(nets.Vision().state_dict(), tmp_path / "vision.pt")
    return tmp_path / "vision.pt"


@pytest.mark.parametrize("name", ["channel", "softmax", "layer-norm"])
def test_a_broken_net_computes_what_the_sound_one_does(nets: ModuleType, weights: Path, name: str) -> None:
    sound = resnet8.build_model() if name == "channel" else nets.Vision()
    if name != "channel":
        sound.load_state_dict(torch.load(weights, weights_only=True))
    broken = nets.BROKEN[name](weights)
    images = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = sound.eval()(images), broken(images)
    changed = [not torch.equal(a, b) for a, b in zip(sound.parameters(), broken.parameters(), strict=True)]
    assert any(changed)
    np.testing.assert_allclose(found, expected, atol=2e-3 * float(expected.abs().max()))


def test_timed_nets_meet_themselves(nets: ModuleType) -> None:
    feeds, target = next(iter(nets.TIMED["lstm"].evaluation_samples()))
    assert nets.cosine({"y": target}, target) == pytest.approx(1.0)
    assert nets.cosine({"y": -target}, target) == pytest.approx(-1.0)
    assert feeds["steps"].shape == (1, 50, 64)


def test_steps_of_a_build_are_timed_from_their_first_report_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    quantize = importlib.import_module("quantize")
    clock = iter([0.0, 1.0, 3.0, 7.0, 7.5])
    monkeypatch.setattr(quantize.time, "monotonic", lambda: next(clock))
    steps = quantize.Steps()
    steps("cpu: latency", 0, 2)
    steps("cpu: latency", 1, 2)
    steps("cpu: latency", 2, 2)
    assert steps.finish() == {"start": 1.0, "latency": 6.0, "between steps": 0.5}


def test_a_process_that_took_too_much_memory_is_said_to_have_been_ended(tmp_path: Path) -> None:
    tables = importlib.import_module("quantize_tables")
    (tmp_path / "memory").mkdir()
    for count, part in (
        (100, {"peak_bytes": 5e8, "quantize_seconds": 3.0}),
        (900, {"peak_bytes": 9e9, "ended_beyond_bytes": 8e9}),
    ):
        file = tmp_path / "memory" / f"edgekit-128-{count}.json"
        file.write_text(json.dumps({"wall_seconds": 4.0, **part}), encoding="utf-8")
    page = tables.page(tmp_path)
    assert "| 128 | edgekit | 100 | 500 MB | 3.0 s |" in page
    assert "| 128 | edgekit | 900 | ended beyond 8 GiB | - |" in page
