"""Running the scenarios on a real tiny model: who is asked what, how often, and in which way queries are answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench import energy, processes, worker
from edgekit.bench.arms import Arm
from edgekit.bench.scenarios import run as scenario_runs
from edgekit.bench.scenarios.figures import Plan
from edgekit.bench.scenarios.run import run_scenario
from edgekit.errors import MeasurementError


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_runs, "OFFLINE_CHUNK_NS", 200_000)
    monkeypatch.setattr(scenario_runs, "PILOT_NS", 200_000)


@pytest.fixture
def arms(onnxruntime_arm: Arm, model_arm: Arm) -> list[Arm]:
    return [onnxruntime_arm, model_arm]


def test_multi_stream_runs_a_batch_where_the_ranges_allow_one(arms: list[Arm], feeds: Path) -> None:
    seen: list[tuple[int, int]] = []
    plan = Plan("multi-stream", sessions=2, rounds=3, most_in_batch=8)
    found = run_scenario(plan, arms, feeds, progress=lambda *at: seen.append(at))
    assert [result.name for result in found] == ["ort", "ours"]
    assert [(result.how, result.why) for result in found] == [("batch of 8", "")] * 2
    assert found[0].ratio is None
    assert found[1].ratio is not None
    assert seen == [(1, 2), (2, 2)]
    assert [len(session) for session in found[0].raw["calls_ns"]] == [3, 3]


def test_multi_stream_calls_in_a_row_where_there_is_no_batch(arms: list[Arm], feeds: Path) -> None:
    plan = Plan("multi-stream", sessions=1, rounds=2, streams=3, most_in_batch=2)
    (found, _) = run_scenario(plan, arms, feeds)
    assert (found.how, found.why) == ("3 calls in a row", "the model's ranges allow 2 in a call")
    assert all(len(chunk) % 3 == 0 for chunk in found.raw["calls_ns"][0])


def test_multi_stream_says_why_an_arm_refused_a_batch(arms: list[Arm], feeds: Path) -> None:
    """The declared ranges of an arm are narrower than what the caller allows."""
    narrow = tuple(replace(spec, ranges={"batch": (1, 2)}) for spec in arms[1].inputs)
    refusing = replace(arms[1], kind="litert", name="lite", inputs=narrow, files={"model": "/m"})
    monkey = [arms[0], refusing]
    ways = []
    with scenario_runs._sessions(monkey, Plan("multi-stream"), 60.0) as sessions:
        ways = [scenario_runs._query_way(sessions, arm, feeds, Plan("multi-stream", most_in_batch=8)) for arm in monkey]
    assert ways[0].how == "batch of 8"
    assert ways[1].how == "8 calls in a row"
    assert "arm 'lite'" in ways[1].why


@pytest.mark.parametrize(
    ("arm", "why"),
    [
        (Arm("aot", "torch-aot", "f32", {"model": "/m"}), "it is compiled for one sample"),
        (
            Arm("p", "openvino", "f32", {"model": "/m"}, recipe="r", processing=True),
            "processing takes one sample at a time",
        ),
    ],
)
def test_some_arms_are_never_given_a_batch(arm: Arm, why: str) -> None:
    plan = Plan("multi-stream", most_in_batch=64)
    assert scenario_runs._why_no_batch(arm, 8, plan) == why
    assert scenario_runs._why_no_batch(arm, 1, plan) == ""


def test_offline_takes_the_batch_with_the_least_time_a_sample(
    arms: list[Arm], feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {1: 100.0, 4: 200.0, 16: 1600.0}
    monkeypatch.setattr(scenario_runs, "_call_ns", lambda sessions, arm, feeds: times[arm.batch])
    way = scenario_runs._fastest_way(None, arms[0], feeds, Plan("offline", most_in_batch=20))
    assert (way.arm.batch, way.how) == (4, "batch of 4, fastest of 1, 4, 16")
    way = scenario_runs._fastest_way(None, arms[0], feeds, Plan("offline", most_in_batch=1))
    assert (way.arm.batch, way.how, way.why) == (1, "single samples", "the model's ranges allow 1 in a call")


def test_offline_keeps_calls_times_and_energy_of_each_chunk(arms: list[Arm], feeds: Path) -> None:
    found = run_scenario(Plan("offline", sessions=2, rounds=3, most_in_batch=8), arms, feeds)
    for result in found:
        assert result.how.endswith("fastest of 1, 4")
        assert [len(session) for session in result.raw["chunk_ns"]] == [3, 3]
        assert result.figures["samples_per_s"].value > 0
        assert (result.raw["energy_uj"] is None) == bool(energy.unavailable_reason())


def test_offline_asks_the_energy_counter_around_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter([1000, 1450])
    monkeypatch.setattr(worker, "energy_reader", lambda: lambda: next(counter))
    monkeypatch.setattr(worker, "time_calls", lambda *arguments, **options: [5])
    host = worker.ArmHost()
    monkeypatch.setattr(host, "_ready", lambda: None)
    assert host.commands["time"]({"calls": 1, "start": 0, "energy": True}) == {"ns": [5], "energy_uj": 450}
    assert host.commands["time"]({"calls": 1, "start": 0}) == {"ns": [5], "energy_uj": None}


def test_server_gives_every_arm_the_same_seeded_arrivals(arms: list[Arm], feeds: Path) -> None:
    plan = Plan("server", sessions=2, qps=2000.0, seed=4)
    first, second = run_scenario(plan, arms, feeds)
    assert first.raw["arrivals_ns"] == second.raw["arrivals_ns"]
    assert [len(session) for session in first.raw["arrivals_ns"]] == [1000, 1000]
    (again, _) = run_scenario(replace(plan, sessions=1), arms, feeds)
    assert again.raw["arrivals_ns"] == first.raw["arrivals_ns"][:1]
    assert all(latency >= service for result in (first, second) for pair in
               zip(result.raw["latency_ns"], result.raw["service_ns"], strict=True)
               for latency, service in zip(*pair, strict=True))  # fmt: skip


def test_server_offers_half_of_what_the_first_arm_serves_by_default(
    arms: list[Arm], feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario_runs, "_call_ns", lambda sessions, arm, feeds: 250_000.0 if arm is arms[0] else 1.0)
    (found, _) = run_scenario(Plan("server", sessions=1), arms, feeds)
    mean_gap = np.diff(found.raw["arrivals_ns"][0]).mean()
    assert 1e9 / mean_gap == pytest.approx(2000, rel=0.2)
    assert len(found.raw["arrivals_ns"][0]) == 1000


def test_cold_start_opens_a_fresh_process_each_time(
    arms: list[Arm], feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    opened = processes.Worker.open

    def recorded(self: processes.Worker, feeds_folder: Path) -> dict:
        pids.append(self.pid)
        return opened(self, feeds_folder)

    monkeypatch.setattr(processes.Worker, "open", recorded)
    found = run_scenario(Plan("cold-start", sessions=2), arms, feeds)
    assert len(set(pids)) == 4
    for result in found:
        assert {len(values) for values in result.raw.values()} == {2}
        assert result.figures["total_ns"].value >= result.figures["load_ns"].value


def test_single_stream_is_not_run_here(arms: list[Arm], feeds: Path) -> None:
    with pytest.raises(MeasurementError, match="single-stream is no scenario of its own"):
        run_scenario(Plan("single-stream"), arms, feeds)


def test_an_arm_that_cannot_be_opened_is_named(arms: list[Arm], feeds: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    broken = Arm("broken", "onnxruntime", "f32", {"model": str(tmp_path / "bad.onnx")})
    for scenario in ("multi-stream", "offline", "server"):
        with pytest.raises(MeasurementError, match="arm 'broken'") as error:
            run_scenario(Plan(scenario, sessions=1, qps=1e5), [arms[0], broken], feeds)
        assert error.value.arm == "broken"
