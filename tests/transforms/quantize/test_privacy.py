"""Nothing that edgekit loads reports on its users: no telemetry package, no connection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

# Connections are recorded and refused from before the first import until after all threads have ended.
WATCHED = """
import atexit, json, socket, sys

attempts = []

def refuse(*arguments, **options):
    attempts.append(repr(arguments))
    raise OSError("no network in this test")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.create_connection = refuse

@atexit.register
def report():
    loaded = [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
    print(json.dumps({"attempts": attempts, "loaded": loaded, "seen": sorted({"nncf", "openvino"} & set(sys.modules))}))

from pathlib import Path
"""

QUANTIZE = """
import numpy as np
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import TensorSpec
from edgekit.transforms.quantize import Calibration, Workpiece, quantize
samples = [{"x": np.full((1, 4), i, np.float32)} for i in range(4)]
spec = {"x": TensorSpec("float32", (1, 4))}
recipe = Recipe("tiny", Path("float.onnx"), spec, ("y",), calibration=lambda: samples)
quantize(Workpiece(Path("float.onnx"), Calibration(recipe)), Path("int8.onnx"), method="nncf")
"""

COMPILE = """
from edgekit.backends import compile_model
compile_model("openvino", Path("float.onnx"), Path("."))
"""

OPEN = """
from edgekit.runtime.runner import open_runner
from edgekit.tensors import TensorSpec
files = {"model": Path("model.xml"), "weights": Path("model.bin")}
spec = TensorSpec("float32", (1, 4), name="x"), TensorSpec("float32", (1, 2), name="y")
open_runner("openvino", files, inputs=spec[:1], outputs=spec[1:], precision="f32", threads=1)
"""


def make_float_model(folder: Path) -> None:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(0).standard_normal((4, 2)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", floats, [1, 4])],
        [helper.make_tensor_value_info("y", floats, [1, 2])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / "float.onnx"
    )


def watch(script: str, folder: Path) -> dict[str, list[str]]:
    """Run `script` in a fresh interpreter for a user who has never been asked about telemetry; what was seen."""
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "NNCF_CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(folder), "USERPROFILE": str(folder), "EDGEKIT_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + script],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("script", "seen"),
    [(QUANTIZE, "nncf"), (COMPILE, "openvino"), (COMPILE + OPEN, "openvino")],
    ids=["quantize with nncf", "compile for openvino", "open in openvino"],
)
def test_no_connection_is_tried_and_no_telemetry_is_loaded(tmp_path: Path, script: str, seen: str) -> None:
    make_float_model(tmp_path)
    found = watch(script, tmp_path)
    assert seen in found["seen"]
    assert found["attempts"] == []
    assert found["loaded"] == []


def test_the_watch_sees_what_it_is_there_to_see(tmp_path: Path) -> None:
    found = watch(
        "import urllib.request\ntry: urllib.request.urlopen('http://localhost:9')\nexcept OSError: pass", tmp_path
    )
    assert found["attempts"]
