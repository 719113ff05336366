"""Each shipped recipe's bundle and its peers: one interleaved measurement a recipe, one benchmark an arm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgekit.bench.report import Report
from edgekit.benchmark import Contest, benchmark
from edgekit.bundle import Bundle
from edgekit.recipes import load_recipe


@pytest.fixture(scope="module")
def report(reference: str, bundle_of: Callable[..., Bundle], request: pytest.FixtureRequest) -> Report:
    contest = Contest(recipe=load_recipe(reference), reference=reference)
    return benchmark(bundle_of(reference).path, contest, sessions=request.config.getoption("--sessions"))


@pytest.mark.parametrize("arm", ["edgekit", "onnxruntime", "openvino", "torch"])
def test_latency(report: Report, arm: str, edgekit_benchmark: Callable[[Report, str], None]) -> None:
    names = [row.name for row in report.rows if row.name.split()[0] == arm]
    assert names, f"{arm} was not measured: {' '.join(report.notes)}"
    edgekit_benchmark(report, names[0])
