"""Scenarios: plans that cannot be run are refused, and the figures are those of made-up raw times."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.bench.scenarios.arrivals import Served
from edgekit.bench.scenarios.figures import (
    Plan,
    Throughput,
    Way,
    batch_limit,
    cold_start_result,
    lateness,
    multi_stream_result,
    offline_result,
    queries_of,
    server_result,
)
from edgekit.errors import MeasurementError
from edgekit.tensors import TensorSpec

ARM = Arm("a", "onnxruntime", "f32", {"model": "/m"})
MS = 1_000_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scenario": "multistream"}, "unknown scenario 'multistream'; did you mean 'multi-stream'"),
        ({"sessions": 0}, "sessions = 0"),
        ({"streams": 0}, "streams = 0"),
        ({"rounds": 0}, "rounds = 0"),
        ({"qps": 0.0}, "qps = 0.0; expected a rate above 0"),
        ({"qps": math.inf}, "qps = inf"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        Plan(**{"scenario": "server", **fields})


def spec(*shape: int | str, batch: tuple[int, int] = (1, 64)) -> TensorSpec:
    return TensorSpec("float32", shape, ranges={dim: batch for dim in shape if isinstance(dim, str)})


@pytest.mark.parametrize(
    ("inputs", "outputs", "limit"),
    [
        ([spec("batch", 3)], [spec("batch", 10)], 64),
        ([spec("batch", 3, batch=(2, 9))], [spec("batch", 10, batch=(2, 9))], 4),
        ([spec("batch", 3), spec("batch", 4, batch=(1, 8))], [spec("batch", 10)], 8),
        ([spec(1, 3)], [spec(1, 10)], 1),
        ([spec("batch", 3), spec(5)], [spec("batch", 10)], 1),
        ([spec("batch", 3)], [spec(10)], 1),
        ([spec("n", "n")], [spec("n", 2)], 1),
        ([spec("frames", 3)], [spec("batch", 3)], 1),
    ],
)
def test_a_batch_leads_every_tensor_and_stands_nowhere_else(inputs: list, outputs: list, limit: int) -> None:
    assert batch_limit(inputs, outputs) == limit


def test_a_query_is_as_many_calls_in_a_row() -> None:
    assert queries_of([[[1, 2, 3, 4], [5, 6, 7, 8]]], 2) == [[[3, 7], [11, 15]]]


def calls_of(ns: int, *, sessions: int = 6, calls: int = 40) -> list:
    return [[[ns] * calls] * 3] * sessions


def test_multi_stream_compares_whole_queries_however_they_are_run() -> None:
    batched = multi_stream_result(Way(replace(ARM, batch=8), 1, "batch of 8"), calls_of(400), None)
    serial = multi_stream_result(Way(ARM, 8, "8 calls in a row", "it is so"), calls_of(100), calls_of(400))
    assert batched.ratio is None
    assert batched.figures["p50_ns"].value == 400
    assert serial.figures["p50_ns"].value == 800
    assert serial.ratio.value == pytest.approx(2.0)
    assert (serial.how, serial.why) == ("8 calls in a row", "it is so")
    assert serial.raw["calls_ns"] == calls_of(100)
    # 5 queries a chunk, of which the first is dropped: 4 x 3 rounds x 6 sessions
    assert [(part.percentile, part.count, part.upper) for part in serial.withheld] == [(99, 72, None)]
    assert serial.figures["p99_ns"] is None


def test_offline_counts_samples_not_calls() -> None:
    way = Way(replace(ARM, batch=16), 1, "batch of 16")
    found = Throughput(((10, 10),) * 6, ((80_000, 80_000),) * 6, ((800, 800),) * 6)
    single = Throughput(((100, 100),) * 6, ((100_000, 100_000),) * 6, None)
    batched, plain = offline_result(way, found, None), offline_result(Way(ARM, 1, "x"), single, (way, found))
    assert batched.figures["samples_per_s"].value == pytest.approx(2e6)  # 320 samples in 160 us
    assert batched.energy_uj_per_sample.value == pytest.approx(5.0)
    assert plain.energy_uj_per_sample is None
    assert plain.figures["samples_per_s"].value == pytest.approx(1e6)
    assert plain.ratio.value == pytest.approx(2.0)


def test_an_energy_counter_that_did_not_move_tells_nothing() -> None:
    found = Throughput(((10,),) * 6, ((80_000,),) * 6, ((800,),) * 5 + ((0,),))
    assert offline_result(Way(ARM, 1, "x"), found, None).energy_uj_per_sample is None


def test_throughput_that_fell_within_sessions_is_tagged() -> None:
    falling = Throughput(((10,) * 6,) * 6, ((100, 100, 110, 120, 130, 130),) * 6, None)
    found = offline_result(Way(ARM, 1, "x"), falling, None)
    assert found.tags == ("no-steady-state",)
    assert found.notes[0].startswith("no-steady-state: the calls of a changed by +30.0 %")


def queue(service: int, *, sessions: int = 6, served: int = 100) -> tuple[list, list]:
    """100 queries a millisecond apart, each alone, in every session."""
    arrivals = [[MS * number for number in range(1, 101)]] * sessions
    return arrivals, [Served((service,) * served, (service,) * served)] * sessions


def test_server_figures_are_over_sessions() -> None:
    found = server_result(Way(ARM, 1, "x"), *queue(250_000))
    assert found.tags == ()
    assert found.figures["utilisation"].value == pytest.approx(0.25)
    assert found.figures["offered_per_s"].value == pytest.approx(1000)
    assert found.figures["served_per_s"].value == pytest.approx(1e9 * 100 / (100 * MS + 250_000))
    assert found.figures["p50_ns"].value == pytest.approx(250_000)
    assert found.figures["late"].value == pytest.approx(0, abs=1e-6)
    assert found.figures["p99_ns"] is None
    assert [(part.percentile, part.count, part.upper) for part in found.withheld] == [(99, 600, None)]
    assert set(found.raw) == {"arrivals_ns", "service_ns", "latency_ns"}


@pytest.mark.parametrize(("service", "served"), [(1_000_000, 100), (5_000_000, 100), (900_000, 80)])
def test_an_arm_that_cannot_keep_up_is_overloaded_and_has_no_latency(service: int, served: int) -> None:
    found = server_result(Way(ARM, 1, "x"), *queue(service, served=served))
    assert found.tags == ("overloaded",)
    assert {name: found.figures[name] for name in ("p50_ns", "p90_ns", "p99_ns")} == dict.fromkeys(
        ("p50_ns", "p90_ns", "p99_ns")
    )
    assert found.withheld == ()


def test_lateness_is_what_neither_queue_nor_work_explains() -> None:
    # due at 10 and served from 13; due at 15 while that works until 20, begun at 20; due at 50, begun at 54
    assert lateness([10, 15, 50, 99], Served((7, 7, 7), (10, 12, 11))) == [3, 0, 4]


def test_cold_starts_are_medians_of_fresh_processes() -> None:
    starts = np.arange(10)
    found = cold_start_result(
        Measurement(
            arm=ARM,
            seed=0,
            calls_ns=(),
            import_ns=tuple(100 + starts),
            load_ns=(10,) * 10,
            first_inference_ns=(1,) * 10,
            peak_rss_bytes=(),
            size_bytes=None,
        )
    )
    total = found.figures["total_ns"]
    assert (total.low, total.value, total.high) == (112, 115.5, 119)  # the 2nd and 9th of 10: 97.9 % sure
    assert found.figures["peak_rss_bytes"] is None
