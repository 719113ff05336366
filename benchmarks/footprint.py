"""What a runtime costs besides a call: installed size, import, load and first answer, memory, of one small int8 model.

    python benchmarks/footprint.py make -o results --litert DIR      # the autoencoder of native_models.py, for each
    python benchmarks/footprint.py measure -o results --edgekit-python PYTHON > benchmarks/footprint.md

`make` needs all runtimes, `measure` only what it starts: each start is a fresh process, in an order drawn anew for each
round. numpy is imported before anything is timed, and its size is left out. edgekit may run in an environment of its
own, where nothing but numpy and its wheel is installed, as on a device.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.building.source import FloatModel

STARTS = 15
CHILD = """
import json, sys, time
import numpy as np
sample = np.load(sys.argv[2])
began = time.perf_counter()
{import_}
imported = time.perf_counter()
{load}
answered = time.perf_counter()
assert np.asarray(answer).size == 640, np.asarray(answer).shape
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(json.dumps([1e3 * (imported - began), 1e3 * (answered - imported), int(peak) / 1e3]))
"""
FIGURES = ("import, ms", "load and first answer, ms", "peak RSS, MB")
# Runtime -> package, file, what is imported, and what gives `answer` of `sample`.
RUNTIMES: dict[str, tuple[str, str, str, str]] = {
    "numpy alone": ("", "", "pass", "answer = sample"),
    "edgekit": (
        "edgekit",
        "model.edgekit",
        "from edgekit.runtime import load; import edgekit.runtime.native",
        "answer = load(sys.argv[1]).run({'frame': sample})['y']",
    ),
    "litert": (
        "ai-edge-litert",
        "model.tflite",
        "from ai_edge_litert.interpreter import Interpreter",
        "model = Interpreter(sys.argv[1], num_threads=1); model.allocate_tensors()\\n"
        "model.set_tensor(model.get_input_details()[0]['index'], sample); model.invoke()\\n"
        "answer = model.get_tensor(model.get_output_details()[0]['index'])",
    ),
    "onnxruntime": (
        "onnxruntime",
        "model.onnx",
        "import onnxruntime",
        "options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1\\n"
        "session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])\\n"
        "(answer,) = session.run(None, {'frame': sample})",
    ),
    "openvino": (
        "openvino",
        "model.xml",
        "import openvino",
        "settings = {'INFERENCE_NUM_THREADS': 1, 'INFERENCE_PRECISION_HINT': 'f32'}\\n"
        "model = openvino.Core().compile_model(sys.argv[1], 'CPU', settings)\\n"
        "answer = model({'frame': sample})[0]",
    ),
}
# Bytes of a package and of what it requires, numpy and compiled Python left out.
INSTALLED = """
import importlib, pathlib, re, sys
from importlib.metadata import PackageNotFoundError, distribution
def size(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
def add(name, sizes):
    try:
        found = None if name == "edgekit" else distribution(name)
    except PackageNotFoundError:
        return
    if found is None:  # wherever it lies, an editable install included
        sizes[name] = size(pathlib.Path(importlib.import_module(name).__file__).parent)
        return
    files = [pathlib.Path(f.locate()) for f in found.files or () if "__pycache__" not in f.parts]
    sizes[name] = sum(f.stat().st_size for f in files if f.is_file())
    for need in found.requires or ():
        other = re.match(r"[A-Za-z0-9._-]+", need)[0]
        if "extra ==" not in need and other != "numpy" and other not in sizes:
            add(other, sizes)
sizes = {}
add(sys.argv[1], sizes)
print(sum(sizes.values()))
"""


def make(folder: Path, litert: Path | None) -> None:
    """The files that the runtimes open, and a sample."""
    import numpy as np
    from native_models import autoencoder as recipe
    from quantize_peers import nncf_quantize, onnxruntime_static

    from edgekit.backends.native import compile_model
    from edgekit.building.source import float_model
    from edgekit.export import save_model
    from edgekit.transforms.quantize import Calibration, Workpiece, quantize

    folder.mkdir(parents=True, exist_ok=True)
    source = float_model(recipe)
    save_model(source.model, folder / "float.onnx")
    quantize(Workpiece(folder / "float.onnx", Calibration(recipe)), folder / "joined.onnx", method="joined-minmax")
    write_native_bundle(compile_model(folder / "joined.onnx", folder)["model"], source, folder / "model.edgekit")
    onnxruntime_static(folder / "float.onnx", recipe, folder / "model.onnx")
    nncf_quantize(folder / "float.onnx", recipe, folder / "model.xml")
    if litert is not None:
        shutil.copy(litert / f"{recipe.name}.static-edges.tflite", folder / "model.tflite")
    np.save(folder / "sample.npy", next(iter(recipe.calibration_feeds()))["frame"])


def write_native_bundle(plan: Path, source: FloatModel, output: Path) -> None:
    """A bundle whose only payload is the plan, with one golden sample, for this machine."""
    import numpy as np

    import edgekit
    from edgekit.bundle import Manifest, Payload, RecipeRecord, TargetEntry, golden_input_entry, npy_bytes, write_bundle
    from edgekit.runtime import open_runner
    from edgekit.target import load_target

    specs = {"inputs": source.inputs, "outputs": source.outputs}
    feeds = {spec.name: np.zeros(spec.shape_at({}), spec.dtype) for spec in source.inputs}
    outputs = open_runner("native", {"model": plan}, **specs, precision="int8").run(feeds)
    entries = {name: f"cpu/plan/golden/0/output-{index}.npy" for index, name in enumerate(outputs)}
    contents = {"cpu/plan/model.plan": plan, **{entries[name]: npy_bytes(array) for name, array in outputs.items()}}
    contents |= {golden_input_entry(0, i): npy_bytes(feeds[spec.name]) for i, spec in enumerate(source.inputs)}
    payload = Payload(
        name="plan", backend="native", precision="int8", method="joined-minmax", files={"model": "cpu/plan/model.plan"},
        golden_outputs=(entries,), golden_tolerance=dict.fromkeys(outputs, 1e-3), reason="the only one",
    )  # fmt: skip
    manifest = Manifest(
        edgekit=edgekit.__version__, created_by={}, recipe=RecipeRecord("autoencoder", None, 0.01), **specs,
        source={}, golden_samples=1, targets=(TargetEntry(load_target("cpu"), (payload,)),),
    )  # fmt: skip
    write_bundle(output, manifest, contents)


def measure(folder: Path, pythons: Mapping[str, str]) -> dict[str, dict[str, list[float]]]:
    """Figures of each start, by runtime; the first start of each is not counted: it fills the disk's cache."""
    found: dict[str, dict[str, list[float]]] = {name: {figure: [] for figure in FIGURES} for name in RUNTIMES}
    # The first start compiles what is not; a wheel is compiled when it is installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(STARTS + 1):
        names = list(RUNTIMES)
        random.Random(number).shuffle(names)
        for name in names:
            _, file, import_, load = RUNTIMES[name]
            if not (folder / file).exists():
                continue
            code = CHILD.format(import_=import_, load=load.replace("\\n", "\n"))
            command = [pythons.get(name, sys.executable), "-c", code, str(folder / file), str(folder / "sample.npy")]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", env=environment)
            for figure, value in zip(FIGURES, json.loads(done.stdout.splitlines()[-1]), strict=True):
                found[name][figure] += [value] if number else []
    return found


def installed_bytes(package: str, python: str) -> int:
    done = subprocess.run([python, "-c", INSTALLED, package], capture_output=True, text=True, check=True, cwd="/")
    return int(done.stdout)


def page(found: Mapping[str, Mapping[str, list[float]]], sizes: Mapping[str, int]) -> str:
    """A table: medians and their 95 % intervals."""
    from edgekit.bench.environment import fingerprint
    from edgekit.bench.statistics import median
    from edgekit.bench.units import digits, size

    versions = ", ".join(f"{name} {version}" for name, version in fingerprint()["packages"].items())
    lines = [
        "# What a runtime costs besides a call\n",
        f"Written by `python benchmarks/footprint.py measure`. CPU: {fingerprint()['cpu']}, one thread. {versions}.",
        f"Medians of {STARTS} fresh processes, each with its 95 % interval. numpy is imported before, and not in the",
        "size; nor is compiled Python, which is there when anything is timed.\n",
        f"| | installed | {' | '.join(FIGURES)} |",
        f"| --- | --- |{' --- |' * len(FIGURES)}",
    ]
    for name, figures in found.items():
        cells = []
        for values in figures.values():
            if values:
                middle = median(values)
                cells.append(f"{digits(middle.value)} [{digits(middle.low)}, {digits(middle.high)}]")
        lines.append(f"| {name} | {size(sizes.get(name))} | {' | '.join(cells or ['-'] * len(FIGURES))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("make", "measure"))
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the files")
    parser.add_argument("--litert", type=Path, help="the folder of native_litert.py's files")
    parser.add_argument("--edgekit-python", default=sys.executable, help="of the environment that edgekit is timed in")
    arguments = parser.parse_args()
    folder = arguments.output.resolve()
    if arguments.step == "make":
        make(folder, arguments.litert)
        return
    pythons = {"edgekit": arguments.edgekit_python, "numpy alone": arguments.edgekit_python}
    found = measure(folder, pythons)
    sizes = {
        name: installed_bytes(package, pythons.get(name, sys.executable))
        for name, (package, *_) in RUNTIMES.items()
        if package and (folder / RUNTIMES[name][1]).exists()
    }
    (folder / "footprint.json").write_text(json.dumps({"starts": found, "installed_bytes": sizes}) + "\n", "utf-8")
    print(page(found, sizes))


if __name__ == "__main__":
    main()
