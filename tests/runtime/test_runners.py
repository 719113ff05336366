"""Both CPU runners on the same graph: same answers, explicit precision, dynamic shapes, bytes or paths."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends import compile_model
from edgekit.building.source import FloatModel, float_model
from edgekit.errors import BackendError
from edgekit.export import save_model
from edgekit.runtime import Runner, open_runner
from tests.conftest import tiny_recipe

BACKENDS = ("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def source() -> FloatModel:
    return float_model(tiny_recipe())


@pytest.fixture(scope="module")
def compiled(source: FloatModel, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Path]]:
    folder = tmp_path_factory.mktemp("compiled")
    save_model(source.model, folder / "float.onnx")
    found = {}
    for backend in BACKENDS:
        (folder / backend).mkdir()
        found[backend] = compile_model(backend, folder / "float.onnx", folder / backend)
    return found


def opened(backend: str, files: Mapping, source: FloatModel, precision: str = "f32", threads: int = 1) -> Runner:
    return open_runner(
        backend, files, inputs=source.inputs, outputs=source.outputs, precision=precision, threads=threads
    )


def batch(size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((size, 3, 8, 8)).astype(np.float32)


def torch_scores(x: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return tiny_recipe().model()(torch.from_numpy(x)).numpy()  # type: ignore[operator]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_f32_is_f32_at_every_batch(backend: str, size: int, source: FloatModel, compiled: Mapping) -> None:
    runner = opened(backend, compiled[backend], source)
    x = batch(size)
    expected = torch_scores(x)
    tolerance = 256 * np.finfo(np.float32).eps * np.abs(expected).max()
    np.testing.assert_allclose(runner.run({"image": x})["scores"], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1, 3])
def test_bound_call_equals_run(backend: str, size: int, source: FloatModel, compiled: Mapping) -> None:
    runner = opened(backend, compiled[backend], source)
    x, y = np.zeros((size, 3, 8, 8), np.float32), np.zeros((size, 4), np.float32)
    call = runner.bind({"image": x}, {"scores": y})
    for seed in (1, 2):
        x[:] = batch(size) * seed
        call()
        np.testing.assert_array_equal(y, runner.run({"image": x})["scores"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_run_from_many_threads_gives_each_its_own_answer(backend: str, source: FloatModel, compiled: Mapping) -> None:
    runner = opened(backend, compiled[backend], source)
    inputs = np.random.default_rng(9).standard_normal((200, 1, 3, 8, 8)).astype(np.float32)
    expected = [runner.run({"image": x})["scores"] for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda x: runner.run({"image": x})["scores"], inputs))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bound_call_keeps_its_buffers_alive(backend: str, source: FloatModel, compiled: Mapping) -> None:
    runner = opened(backend, compiled[backend], source)
    y = np.zeros((1, 4), np.float32)
    call = runner.bind({"image": batch(1)}, {"scores": y})  # nobody else holds the input
    trash = [np.full((1, 3, 8, 8), np.nan, np.float32) for _ in range(100)]
    call()
    np.testing.assert_array_equal(y, runner.run({"image": batch(1)})["scores"])
    del trash


@pytest.mark.parametrize("backend", BACKENDS)
def test_opens_from_memory(backend: str, source: FloatModel, compiled: Mapping) -> None:
    files = {role: memoryview(path.read_bytes()) for role, path in compiled[backend].items()}
    from_memory, from_path = (opened(backend, form, source) for form in (files, compiled[backend]))
    x = batch(2)
    np.testing.assert_array_equal(from_memory.run({"image": x})["scores"], from_path.run({"image": x})["scores"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_garbage_is_a_backend_error(backend: str, source: FloatModel, compiled: Mapping) -> None:
    files = {role: memoryview(b"not a model") for role in compiled[backend]}
    with pytest.raises(BackendError, match=f"{backend} refused the model"):
        opened(backend, files, source)


def test_openvino_computes_in_the_precision_it_is_told(source: FloatModel, compiled: Mapping) -> None:
    runner = opened("openvino", compiled["openvino"], source, "f32")
    assert runner._fixed._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"  # type: ignore[attr-defined]
    runner = opened("openvino", compiled["openvino"], source, "bf16", threads=2)
    assert runner._fixed._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"  # type: ignore[attr-defined]
    assert runner._fixed._compiled.get_property("INFERENCE_NUM_THREADS") == 2  # type: ignore[attr-defined]


def test_openvino_compiles_the_dynamic_form_only_when_it_is_needed(source: FloatModel, compiled: Mapping) -> None:
    runner = opened("openvino", compiled["openvino"], source)
    runner.run({"image": batch(1)})
    assert runner._dynamic is None  # type: ignore[attr-defined]
    runner.run({"image": batch(3)})
    assert runner._dynamic is not None  # type: ignore[attr-defined]


def test_openvino_caches_compiled_models_per_version_and_cpu(
    source: FloatModel, compiled: Mapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    opened("openvino", compiled["openvino"], source).close()
    [folder] = (tmp_path / "openvino").iterdir()
    assert folder.name.startswith(openvino.__version__.split("-")[0])
    assert list(folder.glob("*.blob"))


def test_openvino_says_whether_a_model_came_from_its_cache(
    source: FloatModel, compiled: Mapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    origins = [opened("openvino", compiled["openvino"], source).origin for _ in range(2)]
    assert origins[0].endswith(", compiled")
    assert origins[1].endswith(", from cache")


def test_openvino_runs_where_the_cache_cannot_be_written(
    source: FloatModel, compiled: Mapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    assert opened("openvino", compiled["openvino"], source).run({"image": batch(1)})["scores"].shape == (1, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_failure_while_running_is_a_backend_error(backend: str, source: FloatModel, compiled: Mapping) -> None:
    runner = opened(backend, compiled[backend], source)
    with pytest.raises(BackendError, match=f"{backend} failed"):
        runner.run({"image": np.zeros((1, 5, 8, 8), np.float32)})  # Session would have refused it
