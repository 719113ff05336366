"""Fixtures: the tiny model as several kinds of arm, and samples for it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny_model import INPUTS, OUTPUTS, make_onnx, make_recipe

from edgekit.bench.arms import Arm
from edgekit.bench.samples import write_samples
from edgekit.bundle import Manifest, Payload, RecipeRecord, TargetEntry, golden_input_entry, npy_bytes, write_bundle
from edgekit.target import load_target


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What workers leave in edgekit's cache goes to a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="session")
def onnx_file(folder: Path) -> Path:
    return make_onnx(folder / "tiny.onnx")


@pytest.fixture(scope="session")
def recipe(folder: Path) -> str:
    return make_recipe(folder / "tiny_recipe.py")


@pytest.fixture(scope="session")
def inputs() -> list[np.ndarray]:
    return [np.random.default_rng(i).standard_normal((1, 6)).astype(np.float32) for i in range(5)]


@pytest.fixture(scope="session")
def feeds(folder: Path, inputs: list[np.ndarray]) -> Path:
    write_samples(folder / "feeds", ({"x": x} for x in inputs))
    return folder / "feeds"


@pytest.fixture(scope="session")
def onnxruntime_arm(onnx_file: Path) -> Arm:
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    return Arm("ort", "onnxruntime", "f32", {"model": str(onnx_file)})


@pytest.fixture(scope="session")
def model_arm(onnx_file: Path) -> Arm:
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    files = {"model": str(onnx_file)}
    return Arm("ours", "model", "f32", files, backend="onnxruntime", inputs=INPUTS, outputs=OUTPUTS)


@pytest.fixture(scope="session")
def bundle_arm(onnx_file: Path, folder: Path) -> Arm:
    """The model in a bundle for this machine; its single golden sample is all zeros."""
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    model, golden = "cpu/onnxruntime-f32/model.onnx", "cpu/onnxruntime-f32/golden/0/y.npy"
    payload = Payload(
        name="onnxruntime-f32",
        backend="onnxruntime",
        precision="f32",
        method="float",
        files={"model": model},
        golden_outputs=({"y": golden},),
        golden_tolerance={"y": 1e-6},
        reason="the only one",
    )
    manifest = Manifest(
        edgekit="0",
        created_by={},
        recipe=RecipeRecord("tiny", None, 0.01),
        inputs=INPUTS,
        outputs=OUTPUTS,
        source={},
        golden_samples=1,
        targets=(TargetEntry(load_target("cpu"), (payload,)),),
    )
    contents = {
        model: onnx_file,
        golden: npy_bytes(np.zeros((1, 4), np.float32)),
        golden_input_entry(0, 0): npy_bytes(np.zeros((1, 6), np.float32)),
    }
    write_bundle(folder / "tiny.edgekit", manifest, contents)
    return Arm("bundle", "bundle", "f32", {"bundle": str(folder / "tiny.edgekit")}, backend="onnxruntime")
