"""Workers: every kind of arm computes what numpy computes, and what goes wrong is told with the arm's name."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import INPUTS, OUTPUTS, make_recipe, reference

from edgekit.bench.arms import Arm
from edgekit.bench.inputs import RAW
from edgekit.bench.measure import run_outputs
from edgekit.bench.processes import Worker
from edgekit.bench.samples import read_samples, write_samples
from edgekit.bench.worker import peak_rss_bytes
from edgekit.bundle import npy_bytes, open_bundle, write_bundle
from edgekit.errors import MeasurementError
from edgekit.tensors import TensorSpec

KINDS = ["onnxruntime", "openvino", "torch", "model-onnxruntime", "bundle"]
PADDING = """
import numpy as np
from edgekit.recipes import Recipe
from edgekit.tensors import TensorSpec

recipe = Recipe(
    "padding", None, {"x": TensorSpec("float32", (1, 6))}, ("y",),
    raw=lambda: (),
    preprocess=lambda clip: {"x": np.pad(clip, (0, 6 - len(clip))).astype(np.float32)[None]},
    postprocess=lambda outputs: int(outputs["y"].argmax()),
)
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def need(package: str) -> None:
    """Skip without the package, and without importing it: that is the worker's to do."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture(params=KINDS)
def kind_arm(request: pytest.FixtureRequest, onnx_file: Path, recipe: str) -> Arm:
    kind, files = request.param, {"model": str(onnx_file)}
    if kind == "bundle":
        return request.getfixturevalue("bundle_arm")
    if kind == "torch":
        need("torch")
        return Arm(kind, kind, "f32", recipe=recipe)
    backend = kind.removeprefix("model-") if kind.startswith("model-") else ""
    need(backend or kind)
    if backend:
        return Arm(kind, "model", "f32", files, backend=backend, inputs=INPUTS, outputs=OUTPUTS)
    return Arm(kind, kind, "f32", files, outputs=OUTPUTS)


def test_every_kind_computes_the_reference(
    kind_arm: Arm, feeds: Path, inputs: list[np.ndarray], tmp_path: Path
) -> None:
    with Worker(kind_arm) as worker:
        opened = worker.open(feeds)
        times = worker.time(7, start=3)
        written = worker.ask("outputs", feeds=str(feeds), out=str(tmp_path))
        stats = worker.ask("stats")
    assert set(opened) == {"import_ns", "load_ns", "first_inference_ns"}
    assert len(times) == 7
    assert min(times) > 0
    assert written == {"samples": len(inputs)}
    assert stats["peak_rss_bytes"] > 1_000_000
    for x, outputs in zip(inputs, read_samples(tmp_path), strict=True):
        assert set(outputs) == {"y"}
        np.testing.assert_allclose(outputs["y"], reference(x), rtol=1e-6, atol=1e-6)


def test_every_kind_runs_ragged_samples_but_times_only_one_shape(kind_arm: Arm, tmp_path: Path) -> None:
    ragged = [np.random.default_rng(n).standard_normal((n, 6)).astype(np.float32) for n in (1, 3, 2)]
    write_samples(tmp_path / "feeds", ({"x": x} for x in ragged))
    with Worker(kind_arm) as worker:
        worker.open(tmp_path / "feeds")
        worker.ask("outputs", feeds=str(tmp_path / "feeds"), out=str(tmp_path / "out"))
        with pytest.raises(MeasurementError, match="3 different shapes"):
            worker.time(5)
    for x, outputs in zip(ragged, read_samples(tmp_path / "out"), strict=True):
        np.testing.assert_allclose(outputs["y"], reference(x), rtol=1e-6, atol=1e-6)


def test_every_kind_takes_a_batch_of_different_samples(kind_arm: Arm, feeds: Path) -> None:
    with Worker(replace(kind_arm, batch=8)) as worker:
        worker.open(feeds)
        assert len(worker.time(5)) == 5
    if kind_arm.kind != "bundle":
        return
    with Worker(replace(kind_arm, batch=9)) as worker, pytest.raises(MeasurementError, match="batch=9 is outside 1..8"):
        worker.open(feeds)


def test_a_call_with_processing_begins_with_a_raw_sample(onnxruntime_arm: Arm, tmp_path: Path) -> None:
    """The raw samples have different lengths, which the recipe's processing brings to one."""
    (tmp_path / "padding.py").write_text(PADDING, encoding="utf-8")
    arm = replace(onnxruntime_arm, recipe=str(tmp_path / "padding.py"), processing=True)
    write_samples(tmp_path / "raw", ({RAW: np.arange(n, dtype=np.int16)} for n in (2, 5, 6)))
    with Worker(arm) as worker:
        opened = worker.open(tmp_path / "raw")
        assert opened["first_inference_ns"] > 0
        assert len(worker.time(6)) == 6
        served = worker.ask("serve", arrivals_ns=[1000, 2000, 3000])
        assert served["latency_ns"]
        assert len(served["latency_ns"]) == len(served["service_ns"])


def test_the_timed_call_reads_the_sample_that_was_written(kind_arm: Arm, inputs: list[np.ndarray]) -> None:
    """In a process of its own: it looks into the buffers, and what a runtime does to a process stays there."""
    script = f"""
import numpy as np
from edgekit.bench.arms import Arm
from edgekit.bench.peers import open_peer
from edgekit.tensors import TensorSpec
rng = np.random.default_rng(0)
first, second = ({{"x": rng.standard_normal((1, 6)).astype(np.float32)}} for _ in range(2))
peer = open_peer({kind_arm!r}, first)
bound = peer.bind(first)
bound.write(second)
bound.call()
kept = bound.read()["y"]
expected = peer.run(second)["y"]
bound.write(first)
bound.call()
assert np.array_equal(kept, expected), (kept, expected)
assert not np.array_equal(bound.read()["y"], expected)
bound = None
peer.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_opening_the_openvino_peer_leaves_its_telemetry_out(onnx_file: Path) -> None:
    need("openvino")
    arm = Arm("ov", "openvino", "f32", {"model": str(onnx_file)})
    script = f"""
import sys
import numpy as np
from edgekit.bench.arms import Arm
from edgekit.bench.peers import open_peer
open_peer({arm!r}, {{"x": np.zeros((1, 6), np.float32)}})
assert sys.modules["openvino_telemetry"] is None
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scale", [0.0, 0.02])
def test_litert_hides_layout_and_int8_edges(scale: float, tmp_path: Path) -> None:
    need("ai_edge_litert")
    from litert_files import make_relu

    channels_first, channels_last = (1, 3, 4, 5), (1, 4, 5, 3)
    file = make_relu(tmp_path / "relu.tflite", shape=channels_last, scale=scale, zero_point=-7)
    spec = {"x": TensorSpec("float32", channels_first, name="x"), "y": TensorSpec("float32", channels_first, name="y")}
    arm = Arm("lite", "litert", "f32", {"model": str(file)}, inputs=(spec["x"],), outputs=(spec["y"],))
    x = [np.random.default_rng(i).uniform(-1, 1, channels_first).astype(np.float32) for i in range(3)]
    write_samples(tmp_path / "feeds", ({"x": array} for array in x))
    with Worker(arm) as worker:
        worker.open(tmp_path / "feeds")
        assert len(worker.time(6)) == 6
        worker.ask("outputs", feeds=str(tmp_path / "feeds"), out=str(tmp_path / "out"))
    for array, outputs in zip(x, read_samples(tmp_path / "out"), strict=True):
        np.testing.assert_allclose(outputs["y"], np.maximum(array, 0), atol=scale / 2 + 1e-6, rtol=0)


def test_litert_refuses_samples_of_another_shape(tmp_path: Path) -> None:
    need("ai_edge_litert")
    from litert_files import make_relu

    file = make_relu(tmp_path / "relu.tflite", shape=(1, 8))
    write_samples(tmp_path / "feeds", [{"x": np.zeros((2, 8), np.float32)}])
    with (
        Worker(Arm("lite", "litert", "f32", {"model": str(file)})) as worker,
        pytest.raises(MeasurementError, match=r"arm 'lite'.*shape \(2, 8\); the LiteRT file takes \(1, 8\)"),
    ):
        worker.open(tmp_path / "feeds")


def test_litert_refuses_shapes_that_do_not_tell_the_layout(tmp_path: Path) -> None:
    need("ai_edge_litert")
    from litert_files import make_relu

    file = make_relu(tmp_path / "relu.tflite", shape=(1, 3, 3, 3))
    write_samples(tmp_path / "feeds", [{"x": np.zeros((1, 3, 3, 3), np.float32)}])
    with (
        Worker(Arm("lite", "litert", "f32", {"model": str(file)})) as worker,
        pytest.raises(MeasurementError, match="does not tell whether the LiteRT file takes channels first or last"),
    ):
        worker.open(tmp_path / "feeds")


@pytest.mark.parametrize(("scale", "precision"), [(0.0, "f32"), (0.02, "int8")])
def test_precision_of_a_litert_file_is_that_of_its_tensors(scale: float, precision: str, tmp_path: Path) -> None:
    need("ai_edge_litert")
    from litert_files import make_relu

    from edgekit.bench.litert import precision_of

    assert precision_of(make_relu(tmp_path / "static.tflite", shape=(1, 8), scale=scale)) == precision


def test_file_that_is_no_litert_model_is_named(tmp_path: Path) -> None:
    need("ai_edge_litert")
    from edgekit.bench.litert import precision_of

    (tmp_path / "bad.tflite").write_bytes(b"this is no model")
    with pytest.raises(MeasurementError, match=r"bad\.tflite is no LiteRT model"):
        precision_of(tmp_path / "bad.tflite")


def test_a_bundle_whose_best_payload_does_not_work_here_is_not_measured_in_its_name(
    bundle_arm: Arm, feeds: Path, tmp_path: Path
) -> None:
    """The golden output of the first payload is wrong, so `edgekit.load` would fall back to the second."""
    bundle = open_bundle(Path(bundle_arm.files["bundle"]))
    (entry,) = bundle.manifest.targets
    (good,) = entry.payloads
    wrong = "cpu/wrong/golden/0/y.npy"
    bad = replace(good, name="wrong", golden_outputs=({"y": wrong},))
    manifest = replace(bundle.manifest, targets=(replace(entry, payloads=(bad, good)),))
    contents = {name: bytes(bundle.read(name)) for name in bundle.manifest.files}
    write_bundle(tmp_path / "x.edgekit", manifest, contents | {wrong: npy_bytes(np.ones((1, 4), np.float32))})
    arm = replace(bundle_arm, files={"bundle": str(tmp_path / "x.edgekit")})
    with (
        Worker(arm) as worker,
        pytest.raises(MeasurementError, match="best payload does not work here: wrong: ") as error,
    ):
        worker.open(feeds)
    assert error.value.arm == bundle_arm.name


def test_torch_arms_load_the_weights_they_are_given(
    recipe: str, feeds: Path, inputs: list[np.ndarray], tmp_path: Path
) -> None:
    need("torch")
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file({"weights": np.eye(6, 4, dtype=np.float32)}, tmp_path / "w.safetensors")
    arm = Arm("t", "torch", "f32", {"weights": str(tmp_path / "w.safetensors")}, recipe=recipe)
    assert run_outputs(arm, feeds, tmp_path / "out") == len(inputs)
    for x, outputs in zip(inputs, read_samples(tmp_path / "out"), strict=True):
        np.testing.assert_array_equal(outputs["y"], np.maximum(x[:, :4], 0))


def test_a_session_can_be_opened_again_and_imports_once(onnxruntime_arm: Arm, feeds: Path) -> None:
    with Worker(onnxruntime_arm) as worker:
        assert "import_ns" in worker.open(feeds)
        assert "import_ns" not in worker.open(feeds)
        worker.ask("close")
        with pytest.raises(MeasurementError, match="arm 'ort': time failed: MeasurementError: nothing is open"):
            worker.time(1)


def test_an_unreadable_model_is_an_error_that_names_the_arm(feeds: Path, tmp_path: Path) -> None:
    need("onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"this is no model")
    arm = Arm("broken", "onnxruntime", "f32", {"model": str(tmp_path / "bad.onnx")})
    with pytest.raises(MeasurementError, match="arm 'broken': open failed: InvalidProtobuf") as error:
        run_outputs(arm, feeds, tmp_path / "out")
    assert error.value.arm == "broken"


def test_a_worker_that_dies_is_told_with_its_exit_code_and_last_words(feeds: Path, tmp_path: Path) -> None:
    need("torch")
    dying = make_recipe(tmp_path / "dying.py", before="import os, sys; print('out of luck', flush=True); os._exit(7)")
    with (
        Worker(Arm("mortal", "torch", "f32", recipe=dying)) as worker,
        pytest.raises(
            MeasurementError, match=r"(?s)arm 'mortal' ended with exit code 7 at command 'open'.*out of luck"
        ),
    ):
        worker.open(feeds)


@posix
def test_a_worker_that_hangs_is_stopped_and_named(onnxruntime_arm: Arm, feeds: Path) -> None:
    with Worker(onnxruntime_arm, timeout_s=0.5) as worker:
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(MeasurementError, match=r"arm 'ort' gave no answer to 'open' within 0\.5 s") as error:
            worker.open(feeds)
        assert error.value.arm == "ort"
        with pytest.raises(MeasurementError, match="ended with exit code -9"):
            worker.ask("stats")


@posix
def test_a_worker_ignores_ctrl_c_and_is_gone_after_its_block(onnxruntime_arm: Arm, feeds: Path) -> None:
    with Worker(onnxruntime_arm) as worker:
        worker.open(feeds)
        os.kill(worker.pid, signal.SIGINT)
        assert worker.time(3)
        pid = worker.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_ends_by_itself_when_its_input_closes() -> None:
    command = [sys.executable, "-m", "edgekit.bench.worker"]
    done = subprocess.run(
        command, input='{"command": "stats"}\n', capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["peak_rss_bytes"]


def test_a_command_that_does_not_exist_is_an_error_and_not_the_end() -> None:
    command = [sys.executable, "-m", "edgekit.bench.worker"]
    lines = 'rubbish\n{"command": "fly"}\n{"command": "stats"}\n'
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert (first["error"], second["error"]) == ("JSONDecodeError", "KeyError")
    assert "peak_rss_bytes" in third


def test_what_libraries_print_does_not_disturb_the_replies(feeds: Path, tmp_path: Path) -> None:
    need("torch")
    noisy = make_recipe(tmp_path / "noisy.py", before="import os; print('noise'); os.write(1, b'{\"ns\": [0]}\\n')")
    with Worker(Arm("noisy", "torch", "f32", recipe=noisy)) as worker:
        worker.open(feeds)
        assert len(worker.time(3)) == 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the trap is Linux's")
def test_peak_memory_is_not_that_of_the_parent() -> None:
    ballast = np.ones(40_000_000)  # 320 MB that getrusage would charge to the child
    code = "from edgekit.bench.worker import peak_rss_bytes; print(peak_rss_bytes())"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert child < ballast.nbytes < (peak_rss_bytes() or 0)


def test_the_worker_module_imports_neither_torch_nor_onnx_nor_a_runtime() -> None:
    modules = ", ".join(f"edgekit.bench.{name}" for name in ("worker", "measure", "render", "plots", "litert"))
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    heavy = {"torch", "onnx", "onnxruntime", "openvino", "rich", "jinja2", "matplotlib", "psutil", "scipy"}
    assert heavy.isdisjoint(loaded)
