"""Tuning: which payload is chosen, what is remembered, and that a load follows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit import tuning
from edgekit.bench.arms import Arm, bundle_arm
from edgekit.bench.measure import Measurement
from edgekit.bench.peers import open_peer
from edgekit.bench.samples import read_samples
from edgekit.bundle import Bundle
from edgekit.errors import BackendError, BundleError, EdgekitError, MeasurementError, TargetError
from edgekit.tuning import Contender, forget, judge, tune, tuning_to_json
from tests.several_payloads import WRONG, measured, measuring, payload, write

pytest.importorskip("onnxruntime", reason="the payloads run on it")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write(tmp_path / "tiny.edgekit", "first", "second", "third")


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says how many nanoseconds each payload takes here."""
    return lambda **latencies_ns: monkeypatch.setattr(tuning, "measure", measuring(latencies_ns))


def contender(name: str, sessions_ns: Sequence[int] = (), failure: str = "") -> Contender:
    arm = Arm(name, "onnxruntime", "f32", {"model": "/m"})
    return Contender(
        name, "onnxruntime", "f32", failure=failure, measurement=measured(arm, sessions_ns) if sessions_ns else None
    )


BASE = [1000, 1100, 1000, 1200, 1000, 1050, 1010, 1020]


def scaled(*factors: float) -> list[int]:
    """The base's sessions, each a factor slower or faster; one factor stands for all of them."""
    return [round(ns * factor) for ns, factor in zip(BASE, factors * (8 // len(factors)), strict=True)]


def outcomes(*contenders: Contender) -> tuple[dict[str, str], str]:
    judged, chosen = judge(contenders)
    return {one.name: one.outcome for one in judged}, chosen


def test_first_payload_keeps_its_place_where_others_are_slower_or_alike() -> None:
    alike = contender("alike", scaled(0.98, 1.02, 0.97, 1.03))
    found, chosen = outcomes(contender("first", BASE), contender("slow", scaled(1.1)), alike)
    assert chosen == "first"
    assert found == {
        "first": "keeps its place: nothing is shown to be faster",
        "slow": "slower than first",
        "alike": "not shown to be faster than first",
    }


def test_payload_that_is_only_probably_faster_is_not_chosen() -> None:
    """In six of eight sessions twice as fast, in the other two four times as slow: the interval holds 1."""
    judged, chosen = judge([contender("first", BASE), contender("second", scaled(0.5, 0.5, 0.5, 4.0))])
    ratio = judged[1].ratio
    assert ratio is not None
    assert ratio.value < 0.9
    assert ratio.high > 1
    assert chosen == "first"


def test_fastest_of_those_that_are_shown_to_be_faster_is_chosen() -> None:
    found, chosen = outcomes(contender("first", BASE), contender("fast", scaled(0.9)), contender("faster", scaled(0.8)))
    assert chosen == "faster"
    assert found == {
        "first": "faster is faster",
        "fast": "faster than first, but less so than faster",
        "faster": "chosen: faster than first",
    }


def test_payload_that_cannot_be_used_is_no_base_and_not_chosen() -> None:
    first, second = contender("first", failure="it is broken"), contender("second", scaled(0.5))
    judged, chosen = judge([first, second, contender("third", BASE)])
    assert chosen == "second"
    assert [one.outcome for one in judged] == [
        "not measured: it is broken",
        "keeps its place: nothing is shown to be faster",
        "slower than second",
    ]
    assert [one.ratio is None for one in judged] == [True, True, False]


def test_what_is_reported_is_what_is_remembered_and_what_load_runs(bundle: Bundle) -> None:
    before, steps = bundle.path.read_bytes(), []
    result = tune(bundle.path, sessions=6, progress=lambda what, done, total: steps.append((what, done, total)))
    assert result.remembered is not None
    remembered = json.loads(result.remembered.read_text())
    with edgekit.load(bundle.path) as session:
        info = session.info
    assert result.chosen == remembered["payloads"][0]["name"] == info.payload
    assert info.tuned
    assert bundle.path.read_bytes() == before
    assert [one.name for one in result.contenders] == ["first", "second", "third"]
    assert {row["name"] for row in remembered["payloads"]} == {"first", "second", "third"}
    assert {one.ratio.sessions for one in result.contenders[1:] if one.ratio} == {6}
    assert steps[-1] == ("latency", 6, 6)
    data = json.loads(json.dumps(tuning_to_json(result), allow_nan=False))
    assert (data["chosen"], data["target"], data["threads"]) == (result.chosen, "cpu", 1)
    assert all(len(row["calls_ns"]) == 6 for row in data["payloads"])


def test_load_runs_the_payload_that_was_faster_here(bundle: Bundle, takes: Callable[..., None]) -> None:
    takes(first=2000, second=1500, third=1900)
    assert tune(bundle.path, threads=2).chosen == "second"
    for options, expected in ({"threads": 2}, ("second", True)), ({}, ("first", False)):
        with edgekit.load(bundle.path, **options) as session:
            assert (session.info.payload, session.info.tuned) == expected


def test_tuning_again_replaces_the_choice(bundle: Bundle, takes: Callable[..., None]) -> None:
    takes(first=2000, second=1500, third=1900)
    tune(bundle.path)
    takes(first=1000, second=1500, third=1900)
    assert tune(bundle.path).chosen == "first"
    with edgekit.load(bundle.path) as session:
        assert (session.info.payload, session.info.tuned) == ("first", True)


def test_forgotten_choice_is_gone(bundle: Bundle, takes: Callable[..., None]) -> None:
    takes(first=2000, second=1500, third=1900)
    tune(bundle.path)
    assert not forget(bundle.path, threads=2)
    assert forget(bundle.path)
    assert not forget(bundle.path)
    with edgekit.load(bundle.path) as session:
        assert not session.info.tuned


def test_payloads_run_as_load_would_on_golden_inputs_of_one_shape(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def look(arms: Sequence[Arm], *, feeds_folder: Path, **options: Any) -> tuple[Measurement, ...]:
        feeds = list(read_samples(feeds_folder))
        for arm in arms:
            np.testing.assert_allclose(
                open_peer(arm, feeds[0]).run(feeds[0])["y"],
                bundle.golden_outputs(bundle.manifest.targets[0].payloads[0], 0)["y"],
                rtol=1e-5,
            )
        asked.update(options, arms=arms, shapes=[sample["x"].shape for sample in feeds])
        return tuple(measured(arm, [1000] * 7) for arm in arms)

    monkeypatch.setattr(tuning, "measure", look)
    tune(bundle.path, threads=3, sessions=7, seed=5, timeout_s=9)
    assert asked["shapes"] == [(1, 6), (1, 6)]
    assert [(arm.name, arm.kind, arm.threads) for arm in asked["arms"]] == [
        (name, "model", 3) for name in ("first", "second", "third")
    ]
    assert (asked["sessions"], asked["cold_sessions"], asked["seed"], asked["timeout_s"]) == (7, 0, 5, 9)


def test_payloads_that_do_not_work_here_are_named_and_not_measured(tmp_path: Path, takes: Callable[..., None]) -> None:
    bundle = write(
        tmp_path / "tiny.edgekit",
        payload("exotic", backend="exotic"),
        payload("broken", golden_outputs=WRONG),
        "third",
        "fourth",
    )
    takes(third=2000, fourth=1000)
    result = tune(bundle.path)
    failures = {one.name: one.failure for one in result.contenders}
    assert "unknown backend 'exotic'" in failures["exotic"]
    assert "golden sample 0: output 'y' is off by 1" in failures["broken"]
    assert (failures["third"], failures["fourth"], result.chosen) == ("", "", "fourth")


def test_payload_that_fails_while_it_is_measured_is_left_out_and_the_others_begin_anew(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[list[str]] = []

    def failing(arms: Sequence[Arm], **options: Any) -> tuple[Measurement, ...]:
        runs.append([arm.name for arm in arms])
        if "first" in runs[-1]:
            raise MeasurementError("first died", arm="first")
        return measuring({"second": 1000, "third": 900})(arms, **options)

    monkeypatch.setattr(tuning, "measure", failing)
    result = tune(bundle.path)
    assert runs == [["first", "second", "third"], ["second", "third"]]
    assert result.contenders[0].outcome == "not measured: first died"
    assert result.chosen == "third"


def test_measurement_that_fails_through_no_payloads_fault_is_an_error(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MeasurementError("no memory")

    monkeypatch.setattr(tuning, "measure", fail)
    with pytest.raises(MeasurementError, match="no memory"):
        tune(bundle.path)


def test_single_payload_is_not_measured_and_nothing_is_remembered(tmp_path: Path, cache: Path) -> None:
    result = tune(write(tmp_path / "one.edgekit", "first").path)
    assert (result.chosen, result.remembered) == ("first", None)
    assert [one.outcome for one in result.contenders] == ["the only one that works here"]
    assert not (cache / "tuned").exists()


def test_choice_goes_where_there_is_no_longer_anything_to_choose_from(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, takes: Callable[..., None]
) -> None:
    takes(first=2000, second=1500, third=1900)
    file = tune(bundle.path).remembered
    assert file is not None
    assert file.exists()
    open_payload = tuning.open_payload

    def lost(bundle: Bundle, one: Any, threads: int) -> Any:
        if one.name != "third":
            raise BackendError("its runtime is gone")
        return open_payload(bundle, one, threads)

    monkeypatch.setattr(tuning, "open_payload", lost)
    assert tune(bundle.path).chosen == "third"
    assert not file.exists()


def test_bundle_of_which_nothing_works_is_an_error(tmp_path: Path) -> None:
    bundle = write(tmp_path / "wrong.edgekit", payload("first", golden_outputs=WRONG), payload("second", backend="x"))
    with pytest.raises(BundleError, match="no payload of wrong.edgekit works on this machine") as caught:
        tune(bundle.path)
    assert "first: golden sample 0" in str(caught.value)
    assert "second: unknown backend 'x'" in str(caught.value)


def test_cache_that_cannot_be_written_is_an_error_before_anything_is_measured(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("not a folder")
    monkeypatch.setattr(tuning, "measure", lambda *_, **__: pytest.fail("it was measured"))
    with pytest.raises(EdgekitError, match=r"could not be remembered: cannot write .*tuned.*EDGEKIT_CACHE"):
        tune(bundle.path)
    cache.unlink()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(EdgekitError, match=r"could not be remembered: .*tuned cannot be written to; .*EDGEKIT_CACHE"):
        tune(bundle.path)


def test_what_cannot_be_tuned_is_refused(bundle: Bundle) -> None:
    with pytest.raises(MeasurementError, match="sessions = 5; 6 are the fewest"):
        tune(bundle.path, sessions=5)
    with pytest.raises(BackendError, match="threads = 0; expected a whole number from 1"):
        tune(bundle.path, threads=0)
    with pytest.raises(TargetError, match="no target 'cpu2'; did you mean 'cpu'"):
        forget(bundle.path, target="cpu2")
    with pytest.raises(BundleError, match="no bundle at"):
        tune(bundle.path.with_name("gone.edgekit"))


def test_benchmark_of_a_bundle_runs_its_own_first_payload_whatever_was_tuned(
    tmp_path: Path, takes: Callable[..., None]
) -> None:
    """The arm is named after that payload, and a gate must not compare a tuned bundle with one that is not."""
    bundle = write(tmp_path / "tiny.edgekit", "first", "second")
    takes(first=2000, second=1500)
    tune(bundle.path)
    peer = open_peer(bundle_arm(bundle, bundle.manifest.targets[0], name="first"), bundle.golden_inputs(0))
    assert peer._model.info.payload == "first"
