"""The pytest plugin: `edgekit_gate` makes a gate a test, `edgekit_benchmark` hands raw times to pytest-benchmark.

pytest loads it wherever edgekit is installed, so it imports nothing before a fixture is used.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from edgekit.bench.gate.verdict import GateReport
    from edgekit.bench.report import Report
    from edgekit.recipes import Recipe

ON_INCONCLUSIVE = ("skip", "fail", "pass")
COUNTS = pytest.StashKey[dict[str, int]]()
"""How many gates each test has run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's one option."""
    parser.getgroup("edgekit").addoption(
        "--edgekit-gate-json",
        metavar="DIR",
        type=Path,
        help="write the result of each edgekit_gate to DIR, for: edgekit report DIR/*.json -o report.html",
    )


@pytest.fixture
def edgekit_gate(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Gate:
    """`edgekit_gate(base, head)` judges head against base: see `Gate.__call__`."""
    return Gate(request.node.nodeid, request.config, record_property)


@dataclass(frozen=True)
class Gate:
    """The gate as a test calls it."""

    nodeid: str
    config: pytest.Config
    record_property: Callable[[str, object], None]

    def __call__(
        self,
        base: str | Path,
        head: str | Path,
        *,
        latency: float = 0.025,
        metrics: Sequence[str] = ("latency",),
        data: str | Path | None = None,
        recipe: str | Recipe | None = None,
        max_drop: float | None = None,
        on_inconclusive: str = "skip",
    ) -> GateReport:
        """The report, if head is no worse than allowed.

        base, head: bundles, ONNX files, folders of them, or references to recipes.
        latency: the largest harmless relative change of latency.
        metrics: what is judged, of `edgekit.bench.gate.judge.METRICS`.
        data: an .npz with real samples of each input; with `target`, evaluation data too.
        recipe: brings samples and evaluation data for bundles.
        max_drop: accuracy that may be lost; the recipe's budget if None.
        on_inconclusive: what becomes of a test where it cannot be told: "skip", "fail" or "pass".

        Raises:
            pytest.fail.Exception: head is worse than allowed, or the two cannot be compared.
            pytest.skip.Exception: it could not be told, with `on_inconclusive="skip"`.
            MeasurementError: a model that cannot be found or run, or a wrong argument.
        """
        from edgekit.bench.gate.judge import Rules
        from edgekit.errors import MeasurementError
        from edgekit.gate import Side, gate, profile_named
        from edgekit.gating.subjects import Data
        from edgekit.recipes import load_recipe

        if on_inconclusive not in ON_INCONCLUSIVE:
            raise MeasurementError(f"on_inconclusive = {on_inconclusive!r}; expected {', '.join(ON_INCONCLUSIVE)}")
        found = load_recipe(recipe) if isinstance(recipe, str) else recipe
        report = gate(
            Side(str(base)),
            Side(str(head)),
            Rules(profile_named("pr", {"latency": latency}), tuple(metrics)),
            data=Data(found, Path(data) if data else None, max_drop=max_drop),
            command=shlex.join(["pytest", self.nodeid]),
        )
        self._keep(report)
        __tracebackhide__ = True
        _conclude(report, on_inconclusive)
        return report

    def _keep(self, report: GateReport) -> None:
        """As a property of the test, and as a file where `--edgekit-gate-json` says so."""
        import json

        from edgekit.bench.gate.codec import gate_to_json

        text = json.dumps(gate_to_json(report), allow_nan=False)
        self.record_property("edgekit_gate", text)
        folder: Path | None = self.config.getoption("--edgekit-gate-json")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / self._file_name()).write_text(text + "\n", encoding="utf-8")

    def _file_name(self) -> str:
        """`tests-test_kws.py-test_gate.json`, numbered from a test's second gate on."""
        name = re.sub(r"[^\w.]+", "-", self.nodeid).strip("-")
        counts = self.config.stash.setdefault(COUNTS, {})
        counts[name] = counts.get(name, 0) + 1
        return f"{name}.json" if counts[name] == 1 else f"{name}-{counts[name]}.json"


def _conclude(report: GateReport, on_inconclusive: str) -> None:
    """Ends the test with the report in words, unless it passes."""
    from edgekit.bench.gate.verdict import Outcome

    __tracebackhide__ = True
    if report.outcome is Outcome.PASS or (report.outcome is Outcome.INCONCLUSIVE and on_inconclusive == "pass"):
        return
    if report.outcome is Outcome.INCONCLUSIVE and on_inconclusive == "skip":
        pytest.skip(_undecided(report))
    pytest.fail(_summary(report), pytrace=False)


def _undecided(report: GateReport) -> str:
    """One line: pytest shows no more of a skipped test."""
    from edgekit.bench.gate.verdict import Outcome
    from edgekit.bench.gate.words import headline, reason

    reasons = [reason(verdict) for verdict in report.verdicts if verdict.outcome is Outcome.INCONCLUSIVE]
    return f"{headline(report)}: {'; '.join(reasons)}"


def _summary(report: GateReport) -> str:
    """What `edgekit gate` shows in a terminal."""
    import io

    from rich.console import Console

    from edgekit.bench.gate.render import terminal

    text = io.StringIO()
    Console(file=text, width=120, markup=False).print(terminal(report))
    return text.getvalue().rstrip()


class Replay:
    """A clock for pytest-benchmark: between each two looks at it as much time passes as was measured of a call."""

    __name__ = "edgekit: replayed perf_counter_ns"  # what pytest-benchmark calls the clock in its files

    def __init__(self) -> None:
        self._ticks: Iterator[float] = iter(())

    def load(self, durations_s: Sequence[float]) -> None:
        """Begins anew with these durations."""
        self._ticks = iter([tick for duration in durations_s for tick in (0.0, duration)])

    def __call__(self) -> float:
        return next(self._ticks)


@pytest.fixture
def _edgekit_replay(request: pytest.FixtureRequest) -> Replay:
    """Takes the place of the test's own timer; made before `benchmark`, which looks for one when it is made."""
    replay = Replay()
    marker = request.node.get_closest_marker("benchmark")
    options = {**(marker.kwargs if marker else {}), "timer": replay}
    request.node.add_marker(pytest.mark.benchmark(**options), append=False)
    return replay


@pytest.fixture
def edgekit_benchmark(_edgekit_replay: Replay, benchmark: BenchmarkFixture) -> Callable[[Report, str], None]:
    """`edgekit_benchmark(report, arm)` makes the test a benchmark of times that were measured already, interleaved.

    pytest-benchmark runs nothing for it: it gets each call's time as its clock's, and the raw ones in `extra_info`.
    """

    def play(report: Report, arm: str) -> None:
        from edgekit.bench.pytest_json import KEY, extra_info
        from edgekit.bench.statistics import timed_calls

        benchmark.extra_info[KEY] = extra_info(report, arm)
        benchmark.group = benchmark.group or report.title
        calls = timed_calls(benchmark.extra_info[KEY]["calls_ns"])
        _edgekit_replay.load((calls / 1e9).tolist())
        benchmark.pedantic(lambda: None, rounds=len(calls))

    return play
