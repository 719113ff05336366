"""The built extension computes what the native backend computes, to the last bit, inside OpenVINO's graphs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.backends import openvino_extension
from edgekit.backends.execution import read_execution
from edgekit.backends.native.cut import cut, without_bodies
from edgekit.backends.openvino import compile_fused
from edgekit.backends.openvino_extension import build_extension, why_not_buildable
from edgekit.errors import BackendError
from edgekit.runtime.openvino import open_model as open_openvino
from edgekit.runtime.runner import OpenRequest
from edgekit.runtime.telemetry import disable_telemetry

sys.path.insert(0, str(Path(__file__).parent / "native"))
from small_graphs import graph_of, open_plan, quantized, samples_of, specs

RNG = np.random.default_rng(5)


def weight(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


@pytest.fixture(scope="module")
def library() -> Path:
    disable_telemetry()
    if reason := why_not_buildable():
        pytest.skip(f"the OpenVINO extension cannot be built here: {reason}")
    return build_extension()


def covered() -> ir.Model:
    return quantized(
        graph_of(
            """(float[N,3,9,7] x) => (float[N,5] y) {
                c = Conv<pads=[1,1,1,1]>(x, w, b)
                r = Relu(c)
                d = Conv<pads=[1,1,1,1], group=16>(r, dw, db)
                p = GlobalAveragePool(d)
                f = Flatten(p)
                y = Gemm<transB=1>(f, fw, fb)
            }""",
            w=weight(16, 3, 3, 3), b=weight(16), dw=weight(16, 1, 3, 3), db=weight(16), fw=weight(5, 16), fb=weight(5),
        ),
    )  # fmt: skip


def with_a_gap() -> ir.Model:
    """Two parts around a ConvTranspose, with signed levels at the border of the second."""
    return quantized(
        graph_of(
            """(float[N,3,12,12] x) => (float[N,5] y) {
                c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b)
                r = Relu(c)
                t = ConvTranspose<strides=[2,2]>(r, tw, tb)
                e = Conv<pads=[1,1,1,1]>(t, ew, eb)
                s = Relu(e)
                p = GlobalAveragePool(s)
                f = Flatten(p)
                y = Gemm<transB=1>(f, fw, fb)
            }""",
            w=weight(8, 3, 3, 3), b=weight(8), tw=weight(8, 8, 2, 2), tb=weight(8), ew=weight(16, 8, 3, 3),
            eb=weight(16), fw=weight(5, 16), fb=weight(5),
        ),
    )  # fmt: skip


def request_of(model: ir.Model, folder: Path) -> OpenRequest:
    proto = ir.to_proto(model)
    onnx.save(proto, folder / "whole.onnx")
    files = compile_fused(folder / "whole.onnx", folder)
    return OpenRequest(files, specs(proto.graph.input), specs(proto.graph.output), "int8")


@pytest.mark.slow
def test_covered_graph_equals_the_native_backend_bit_for_bit(library: Path, tmp_path: Path) -> None:
    model = covered()
    runner, native = open_openvino(request_of(model, tmp_path)), open_plan(model, tmp_path)
    assert "fused graph" in runner.origin
    for feeds in samples_of(model):
        np.testing.assert_array_equal(runner.run(feeds)["y"], native.run(feeds)["y"])


@pytest.mark.slow
def test_graph_with_a_gap_computes_what_the_plain_one_does(library: Path, tmp_path: Path) -> None:
    model = with_a_gap()
    request = request_of(model, tmp_path)
    plain = OpenRequest({r: request.files[r] for r in ("model", "weights")}, request.inputs, request.outputs, "int8")
    fused, reference = open_openvino(request), open_openvino(plain)
    assert "fused graph" in fused.origin
    feeds = samples_of(model)
    expected = np.concatenate([reference.run(f)["y"] for f in feeds])
    got = np.concatenate([fused.run(f)["y"] for f in feeds])
    between_samples = expected.std(axis=0).max()
    assert np.abs(got - expected).max() < 0.1 * between_samples
    assert np.abs(np.roll(got, 1, axis=0) - expected).max() > 0.1 * between_samples  # so the check above can fail


@pytest.mark.slow
def test_other_batches_run_the_plain_graph(library: Path, tmp_path: Path) -> None:
    model = with_a_gap()
    runner = open_openvino(request_of(model, tmp_path))
    x = np.concatenate([f["x"] for f in samples_of(model, 3)])
    one_by_one = np.concatenate([runner.run({"x": x[i : i + 1]})["y"] for i in range(3)])
    together = runner.run({"x": x})["y"]
    assert np.abs(together - one_by_one).max() < 0.1 * together.std(axis=0).max()


@pytest.mark.slow
def test_ir_round_trip_keeps_every_bit(library: Path, tmp_path: Path) -> None:
    import openvino

    model = covered()
    core = openvino.Core()
    core.add_extension(str(library))
    onnx.save(ir.to_proto(without_bodies(cut(model))), tmp_path / "fused.onnx")
    straight = core.read_model(tmp_path / "fused.onnx")
    openvino.save_model(straight, tmp_path / "once.xml", compress_to_fp16=False)
    openvino.save_model(core.read_model(tmp_path / "once.xml"), tmp_path / "twice.xml", compress_to_fp16=False)
    assert (tmp_path / "once.bin").read_bytes() == (tmp_path / "twice.bin").read_bytes()
    compiled = [core.compile_model(m, "CPU") for m in (straight, core.read_model(tmp_path / "twice.xml"))]
    for feeds in samples_of(model, 3):
        first, second = (each(feeds)[0].copy() for each in compiled)
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_threads_share_a_model_without_mixing_their_samples(library: Path, tmp_path: Path) -> None:
    model = covered()
    runner, feeds = open_openvino(request_of(model, tmp_path)), samples_of(model, 64)
    expected = [runner.run(f)["y"] for f in feeds]
    with ThreadPoolExecutor(8) as pool:
        for got, want in zip(pool.map(lambda f: runner.run(f)["y"], feeds * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.slow
def test_parts_are_told_as_layers_in_eight_bits(library: Path, tmp_path: Path) -> None:
    request = request_of(with_a_gap(), tmp_path)
    found = read_execution(
        "openvino", request.files, inputs=request.inputs, outputs=request.outputs, precision="int8", threads=1,
        feeds=samples_of(with_a_gap(), 1), calls=5,
    )  # fmt: skip
    parts = [layer for layer in found.layers if layer.op == "Plan"]
    assert [(layer.name, layer.precision) for layer in parts] == [("Conv_c", "int8"), ("Conv_e,Gemm_y", "int8")]


def plan_node(data: bytes, shape: tuple[int, ...]) -> bytes:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Plan", ["p", "x"], ["y"], domain="edgekit")],
        "g",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, None)],
        [onnx.numpy_helper.from_array(np.frombuffer(data, np.uint8), "p")],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("edgekit", 1)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return made


def reading(library: Path, model: bytes) -> Any:
    import openvino

    core = openvino.Core()
    core.add_extension(str(library))
    return core.read_model(model)  # and the Core goes before the model


@pytest.fixture(scope="module")
def plan() -> bytes:
    fused = without_bodies(cut(covered()))
    return next(v.const_value.numpy().tobytes() for k, v in fused.graph.initializers.items() if "plan" in k)


@pytest.mark.slow
def test_plan_that_is_damaged_is_refused_when_the_graph_is_read(library: Path, plan: bytes) -> None:
    assert len(reading(library, plan_node(plan, (1, 3, 9, 7))).outputs) == 1
    for damaged in (b"", plan[:40], plan[:-1], plan[:200] + bytes([plan[200] ^ 1]) + plan[201:]):
        with pytest.raises(RuntimeError, match="plan"):
            reading(library, plan_node(damaged, (1, 3, 9, 7)))


@pytest.mark.slow
def test_plan_for_another_shape_is_refused_with_both(library: Path, plan: bytes) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)input x has shape \[1,3,9,8\].*made for \[1,3,9,7\]"):
        reading(library, plan_node(plan, (1, 3, 9, 8)))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """One that has all that a build takes, until a test takes it away."""
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "CMakeLists.txt").write_text("")
    monkeypatch.setattr(openvino_extension, "KERNELS", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.delenv("CXX", raising=False)
    assert why_not_buildable() == ""
    return monkeypatch


def test_build_without_sources_says_what_install_has_them(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "openvino" / "CMakeLists.txt").unlink()
    with pytest.raises(BackendError, match="no kernel sources .* editable install, or an unpacked sdist"):
        build_extension()


@pytest.mark.parametrize(
    ("missing", "reason"), [(("cmake",), "cmake is not installed"), (("c++", "g++", "clang++"), "no C++ compiler")]
)
def test_build_without_a_tool_names_it(machine: pytest.MonkeyPatch, missing: tuple[str, ...], reason: str) -> None:
    machine.setattr(shutil, "which", lambda name: None if name in missing else f"/bin/{name}")
    with pytest.raises(BackendError, match=reason.replace("+", r"\+")):
        build_extension()


def test_failed_build_shows_what_the_tool_said(
    machine: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "cmake"
    fake.write_text("#!/bin/sh\necho no rule for tomorrow >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(BackendError, match=r"(?s)could not be built; `cmake -S .*no rule for tomorrow"):
        build_extension()
