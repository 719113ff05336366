"""Bundles with several payloads of one tiny real model, y = relu(x @ weights), and made-up measurements of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.bundle import (
    Bundle,
    Manifest,
    Payload,
    RecipeRecord,
    TargetEntry,
    golden_input_entry,
    npy_bytes,
    write_bundle,
)
from edgekit.target import load_target
from edgekit.tensors import TensorSpec

WEIGHTS = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
MODEL = "cpu/model.onnx"
BATCHES = (1, 1, 3)  # of the golden samples: the last one's shape is another
RIGHT = tuple({"y": f"cpu/golden/{sample}/y.npy"} for sample in range(len(BATCHES)))
WRONG = tuple({"y": f"cpu/wrong/{sample}/y.npy"} for sample in range(len(BATCHES)))


def payload(name: str, **changes: Any) -> Payload:
    """One that works, on onnxruntime, unless `changes` say otherwise: golden_outputs=WRONG, backend="exotic"."""
    plain = Payload(
        name=name,
        backend="onnxruntime",
        precision="f32",
        method="float",
        files={"model": MODEL},
        golden_outputs=RIGHT,
        golden_tolerance={"y": 1e-5},
        reason="made for a test",
    )
    return replace(plain, **changes)


def write(path: Path, *payloads: Payload | str) -> Bundle:
    """A bundle for this machine with these payloads, best first; a name stands for one that works."""
    held = tuple(payload(one) if isinstance(one, str) else one for one in payloads)
    manifest = Manifest(
        edgekit="0",
        created_by={},
        recipe=RecipeRecord("tiny", None, 0.01),
        inputs=(TensorSpec("float32", ("batch", 6), ranges={"batch": (1, 8)}, name="x"),),
        outputs=(TensorSpec("float32", ("batch", 4), ranges={"batch": (1, 8)}, name="y"),),
        source={},
        golden_samples=len(BATCHES),
        targets=(TargetEntry(load_target("cpu"), held),),
    )
    return write_bundle(path, manifest, {MODEL: _onnx_model(), **_golden(held)})


def measured(arm: Arm, sessions_ns: Sequence[int]) -> Measurement:
    """An arm whose calls all took the same in each session: so many nanoseconds."""
    calls = tuple(tuple((latency,) * 5 for _ in range(3)) for latency in sessions_ns)
    return Measurement(arm, 0, calls, (), (), (), (), None)


def measuring(latencies_ns: dict[str, int]) -> Callable[..., tuple[Measurement, ...]]:
    """Stands in for `measure`: every session of an arm takes what `latencies_ns` says of its name."""

    def measure(arms: Sequence[Arm], *, sessions: int, **_: Any) -> tuple[Measurement, ...]:
        return tuple(measured(arm, [latencies_ns[arm.name]] * sessions) for arm in arms)

    return measure


def _golden(payloads: Sequence[Payload]) -> dict[str, bytes]:
    entries = {}
    for sample, batch in enumerate(BATCHES):
        x = np.random.default_rng(sample).standard_normal((batch, 6)).astype(np.float32)
        y = np.maximum(x @ WEIGHTS, 0)
        entries[golden_input_entry(sample, 0)] = npy_bytes(x)
        for one in payloads:
            name = one.golden_outputs[sample]["y"]
            entries[name] = npy_bytes(y + np.float32(name == WRONG[sample]["y"]))
    return entries


def _onnx_model() -> bytes:
    onnx = pytest.importorskip("onnx", reason="the test model is made with onnx")
    pytest.importorskip("onnxruntime", reason="the test model runs on onnxruntime")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", floats, ["batch", 6])],
        [helper.make_tensor_value_info("y", floats, ["batch", 4])],
        [onnx.numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
