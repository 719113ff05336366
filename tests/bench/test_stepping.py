"""Samples of many steps: every kind of arm steps through them from zero state, beside samples of single steps."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.arms import Arm, arm_from_json, arm_to_json
from edgekit.bench.measure import run_outputs
from edgekit.bench.processes import Worker
from edgekit.bench.samples import read_samples, write_samples
from edgekit.errors import MeasurementError
from tests.streaming_models import INPUTS, OUTPUTS, STATE, by_definition, delays_onnx, delays_runner, frames

pytest.importorskip("onnx", reason="the test model is made with onnx")
pytest.importorskip("onnxruntime", reason="the expected values come from it")
LENGTHS = (9, 1, 12, 9)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return delays_onnx(tmp_path_factory.mktemp("delays") / "delays.onnx")


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chunks")
    write_samples(folder, ({"x": frames(steps, seed)} for seed, steps in enumerate(LENGTHS)))
    return folder


@pytest.fixture(params=["onnxruntime", "openvino", "model"])
def arm(request: pytest.FixtureRequest, graph: Path) -> Arm:
    kind = request.param
    if kind == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    backend = "onnxruntime" if kind == "model" else ""
    files = {"model": str(graph)}
    return Arm(kind, kind, "f32", files, backend=backend, inputs=INPUTS, outputs=OUTPUTS, state=STATE)


def test_samples_of_many_steps_begin_with_zero_state_and_come_out_stacked(
    arm: Arm, graph: Path, chunks: Path, tmp_path: Path
) -> None:
    assert run_outputs(arm, chunks, tmp_path / "out") == len(LENGTHS)
    runner = delays_runner(graph)
    for seed, outputs in enumerate(read_samples(tmp_path / "out")):
        assert set(outputs) == {"y"}
        expected = by_definition(runner, frames(LENGTHS[seed], seed))
        np.testing.assert_allclose(outputs["y"], expected, rtol=0, atol=1e-5)


def test_single_steps_with_their_state_are_run_as_they_are_and_timed(arm: Arm, graph: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    singles = [
        {spec.name: rng.standard_normal(spec.shape_at({})).astype(np.float32) for spec in INPUTS} for _ in range(3)
    ]
    write_samples(tmp_path / "feeds", singles)
    runner = delays_runner(graph)
    with Worker(arm) as worker:
        worker.open(tmp_path / "feeds")
        assert len(worker.time(5)) == 5
        worker.ask("outputs", feeds=str(tmp_path / "feeds"), out=str(tmp_path / "out"))
    for feeds, outputs in zip(singles, read_samples(tmp_path / "out"), strict=True):
        assert set(outputs) == {spec.name for spec in OUTPUTS}
        for name, expected in runner.run(feeds).items():
            np.testing.assert_allclose(outputs[name], expected, rtol=0, atol=1e-5)


def test_of_samples_of_many_steps_the_first_ones_are_timed(arm: Arm, chunks: Path) -> None:
    """They are of one shape, however many steps each sample has."""
    with Worker(arm) as worker:
        worker.open(chunks)
        assert len(worker.time(4)) == 4


def test_an_arm_with_state_survives_json_and_needs_its_inputs(arm: Arm) -> None:
    assert arm_from_json(arm_to_json(arm)) == arm
    if arm.kind == "onnxruntime":
        with pytest.raises(MeasurementError, match="needs inputs"):
            replace(arm, inputs=INPUTS[:2])
