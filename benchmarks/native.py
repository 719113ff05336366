"""edgekit's own kernels beside every other runtime, each in its fastest style, on tiny and streaming models.

    python benchmarks/native.py measure -o results --litert DIR       # all nets, about half an hour on two idle cores
    python benchmarks/native.py threads -o results                    # peers with one and two threads, after `measure`
    python benchmarks/native.py tables -o results > benchmarks/native.md

`measure` and `threads` take names of nets to run a part again; each leaves its raw times in `results/STEP/NET.json`.
`benchmarks/native_litert.py` makes the files of DIR. A first short run of all arms picks, of the forms and quantizers
of one runtime and precision, the fastest; those are then measured against each other in fresh sessions.
"""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from native_models import NETS, reference_of
from quantize_peers import nncf_quantize, onnxruntime_dynamic, onnxruntime_static

from edgekit.backends import compile_model
from edgekit.bench.arms import Arm, arm_from_json, arm_to_json
from edgekit.bench.measure import Measurement, measure, run_outputs
from edgekit.bench.samples import read_samples, write_samples
from edgekit.bench.statistics import compare, percentile, timed_calls
from edgekit.building.source import FloatModel, float_model
from edgekit.errors import EdgekitError, MeasurementError
from edgekit.export import save_model
from edgekit.feeds import real_feeds
from edgekit.floor import count_work
from edgekit.recipes.recipe import Recipe
from edgekit.target import load_target
from edgekit.transforms.quantize import METHODS, Calibration, Workpiece, quantize, why_not_applicable

OURS = "edgekit"
TIMED_SAMPLES = 16
SCREEN_SESSIONS = 2
TWO_THREADS = ("mobilenet-v2", "resnet8")


@dataclass
class Prepared:
    """Arms by what competes with what: of one key only the fastest is measured to the end; and who refused, and why."""

    arms: list[tuple[str, Arm]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, name: str, kind: str, precision: str, **more: Any) -> None:
        """An arm; `model`, if given, is its file."""
        if model := more.pop("model", None):
            weights = Path(model).with_suffix(".bin")
            more["files"] = {"model": Path(model).resolve()} | (
                {"weights": weights.resolve()} if weights.exists() else {}
            )
        self.arms.append((key, Arm(name, kind, precision, **more)))

    def attempt(self, name: str, make: Callable[[], None]) -> bool:
        """Whether `make` worked; what it raises is the answer of a tool, and goes into the table."""
        try:
            make()
        except EdgekitError as error:
            self.refused[name] = str(error)
            return False
        except Exception as error:
            self.refused[name] = f"{type(error).__name__}: {error}"
            return False
        return True


# ---- Arms ----


def prepare(forms: Sequence[Recipe], folder: Path, litert: Sequence[Path]) -> tuple[Prepared, FloatModel]:
    """All arms of a net: edgekit's of the first form, the peers' of every form."""
    found, first = Prepared(), None
    for recipe in forms:
        place = folder / recipe.name
        place.mkdir()
        source = float_model(recipe)
        save_model(source.model, place / "float.onnx")
        if first is None:
            first = source
            add_edgekit(found, recipe, source, place)
        add_onnx_peers(found, recipe, source, place)
        add_litert(found, recipe, source, litert)
        found.add("torch f32", _named("torch f32", recipe), "torch", "f32", recipe=reference_of(recipe))
    assert first is not None
    return found, first


def _named(what: str, recipe: Recipe) -> str:
    """The name of an arm, with the form in which it takes the model where there are several."""
    forms = next(forms for forms in NETS.values() if recipe in forms)
    return f"{what}, {recipe.name}" if len(forms) > 1 else what


def add_edgekit(found: Prepared, recipe: Recipe, source: FloatModel, folder: Path) -> None:
    """The float graph and one method of each family that the native backend gains from, as far as it covers them."""
    work = Workpiece(folder / "float.onnx", Calibration(recipe))
    methods: dict[str, str] = {}
    for name, method in METHODS.items():
        if "native" in method.backends and why_not_applicable(name, work.model) is None:
            methods.setdefault(method.family or name, name)
    for family, name in {"f32": "", **methods}.items():
        precision = METHODS[name].precision if name else "f32"
        place = folder / f"native-{family}"
        place.mkdir()

        def make(method: str = name, place: Path = place) -> None:
            graph = folder / "float.onnx"
            if method:
                quantize(work, graph := place / "graph.onnx", method=method)
            compile_model("native", graph, place)

        arm = f"{OURS} {precision}" + (f" {family}" if name and len(methods) > 1 else "")
        if found.attempt(arm, make):
            found.add(f"{OURS} {precision}", arm, "model", precision, model=place / "model.plan", backend="native",
                      inputs=source.inputs, outputs=source.outputs)  # fmt: skip


def add_onnx_peers(found: Prepared, recipe: Recipe, source: FloatModel, folder: Path) -> None:
    """onnxruntime and OpenVINO: float, by their own quantizers, and OpenVINO on onnxruntime's graph."""
    graph, specs = folder / "float.onnx", {"inputs": source.inputs, "outputs": source.outputs}
    floats = [precision for precision in ("f32", "bf16") if precision in load_target("cpu").precisions]
    found.add("onnxruntime f32", _named("onnxruntime f32", recipe), "onnxruntime", "f32", model=graph, **specs)
    for precision in floats:
        found.add(f"openvino {precision}", _named(f"openvino {precision}", recipe), "openvino", precision, model=graph,
                  **specs)  # fmt: skip

    def add_int8(kind: str, how: str, model: Path) -> None:
        for precision in ("int8", "int8+bf16") if kind == "openvino" and "bf16" in floats else ("int8",):
            name = _named(f"{kind} {precision} {how}".rstrip(), recipe)
            found.add(f"{kind} int8", name, kind, precision, model=model, **specs)

    static, dynamic, nncf = (folder / name for name in ("static.onnx", "dynamic.onnx", "nncf.xml"))
    if found.attempt(_named("onnxruntime int8 static", recipe), lambda: onnxruntime_static(graph, recipe, static)):
        add_int8("onnxruntime", "static", static)
        add_int8("openvino", "of onnxruntime's graph", static)
    convolves = any(node.op_type == "Conv" for node in source.model.graph)  # dynamically quantized ones are very slow
    if not convolves and found.attempt(
        _named("onnxruntime int8 dynamic", recipe), lambda: onnxruntime_dynamic(graph, dynamic)
    ):
        add_int8("onnxruntime", "dynamic", dynamic)
    if found.attempt(_named("openvino int8 nncf", recipe), lambda: nncf_quantize(graph, recipe, nncf)):
        add_int8("openvino", "nncf", nncf)


def add_litert(found: Prepared, recipe: Recipe, source: FloatModel, folders: Sequence[Path]) -> None:
    """FORM.STYLE.tflite of each folder; "static-edges" is `static` with float inputs and outputs."""
    files = [file for folder in folders for file in sorted(folder.glob(f"{recipe.name}.*.tflite"))]
    for file in files:
        style = file.name.split(".")[1]
        precision = "f32" if style == "f32" else "int8"
        what = "litert f32" if style == "f32" else f"litert int8 {style}"
        found.add(what, _named(what, recipe), "litert", precision, model=file, inputs=source.inputs,
                  outputs=source.outputs)  # fmt: skip
    if not files:
        found.refused[_named("litert", recipe)] = "no file of it was given (--litert)"


# ---- Measuring ----


def measured(arms: Sequence[Arm], samples: Path, refused: dict[str, str], *, sessions: int) -> list[Measurement]:
    """All arms that run; one that fails is recorded, and the others go on."""
    works = list(arms)
    while True:
        try:
            return list(measure(works, samples, sessions=sessions, cold_sessions=0))
        except MeasurementError as error:
            broken = next((arm for arm in works if arm.name == error.arm), None)
            if broken is None:
                raise
            refused[broken.name] = str(error)
            works.remove(broken)


def p50_ns(found: Measurement) -> float:
    return float(np.median(timed_calls(found.calls_ns)))


def screened(found: Prepared, samples: Path) -> list[Arm]:
    """The fastest arm of each key, in the order of the keys."""
    runs = measured([arm for _, arm in found.arms], samples, found.refused, sessions=SCREEN_SESSIONS)
    latency = {run.arm.name: p50_ns(run) for run in runs}
    fastest: dict[str, Arm] = {}
    for key, arm in found.arms:
        if arm.name in latency and (key not in fastest or latency[arm.name] < latency[fastest[key].name]):
            fastest[key] = arm
    return list(fastest.values())


def cosines(arms: Iterable[Arm], samples: Path, folder: Path) -> dict[str, float]:
    """Cosine of each arm's first output with onnxruntime's in f32, over the timed samples."""
    outputs: dict[str, Any] = {}
    for arm in arms:
        run_outputs(arm, samples, folder / "outputs")
        first = next(iter(read_samples(folder / "outputs")[0])) if not arm.outputs else arm.outputs[0].name
        found = [sample[first] for sample in read_samples(folder / "outputs")]
        outputs[arm.name] = np.concatenate([array.ravel() for array in found]).astype(np.float64)
        shutil.rmtree(folder / "outputs")
    wanted = next(values for name, values in outputs.items() if name.startswith("onnxruntime f32"))
    return {
        name: float(values @ wanted / (np.linalg.norm(values) * np.linalg.norm(wanted)))
        for name, values in outputs.items()
        if values.shape == wanted.shape
    }


def report(runs: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Every arm with its time over that of each of edgekit's, and its raw times."""
    ours = [run for run in runs if run.arm.name.startswith(OURS)]
    return [
        {
            "name": run.arm.name,
            "arm": arm_to_json(run.arm),
            "p50_ns": asdict(found) if (found := percentile(timed_calls(run.calls_ns), 50)) else None,
            "over": {base.arm.name: asdict(compare(run.calls_ns, base.calls_ns)) for base in ours if base is not run},
            "size_bytes": run.size_bytes,
            "calls_ns": run.calls_ns,
        }
        for run in runs
    ]


def run_measure(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    samples = folder / "samples"
    write_samples(samples, real_feeds(NETS[name][0], TIMED_SAMPLES))
    prepared, source = prepare(NETS[name], folder, options.litert)
    arms = screened(prepared, samples)
    runs = measured(arms, samples, prepared.refused, sessions=options.sessions)
    work = count_work(source.model, {})
    return {
        "macs": work.macs,
        "weight_bytes": work.weight_bytes,
        "refused": prepared.refused,
        "cosines": cosines((run.arm for run in runs), samples, folder),
        "arms": report(runs),
    }


def run_threads(name: str, _folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What `measure` has kept: edgekit's arms, and each peer with one thread and with two."""
    earlier = options.output / "measure" / name
    stored = json.loads(earlier.with_suffix(".json").read_text(encoding="utf-8"))
    arms = [arm_from_json(row["arm"]) for row in stored["arms"]]
    both = [arm for arm in arms if arm.name.startswith(OURS)]
    for arm in arms:
        if arm not in both:
            both += [replace(arm, name=f"{arm.name}, {count}", threads=count) for count in (1, 2)]
    refused: dict[str, str] = {}
    runs = measured(both, earlier / "samples", refused, sessions=options.sessions)
    return {"refused": refused, "arms": report(runs)}


STEPS: dict[str, tuple[tuple[str, ...], Callable[[str, Path, argparse.Namespace], dict[str, Any]]]] = {
    "measure": (tuple(NETS), run_measure),
    "threads": (TWO_THREADS, run_threads),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=(*STEPS, "tables"))
    parser.add_argument("nets", nargs="*", help="parts of the step; all of them if none")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--litert", type=Path, action="append", default=[], help="a folder of .tflite files")
    parser.add_argument("--sessions", type=int, default=10, help="fresh sessions of each arm (default: 10)")
    options = parser.parse_args()
    if options.step == "tables":
        from native_tables import page

        print(page(options.output))
        return
    names, run = STEPS[options.step]
    if unknown := set(options.nets) - set(names):
        parser.error(f"unknown {sorted(unknown)[0]!r}; {options.step} has {', '.join(names)}")
    for name in options.nets or names:
        folder = options.output / options.step / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = run(name, folder, options)
            except EdgekitError as error:
                print(f"{name}: {error}", flush=True)
                continue
        folder.with_suffix(".json").write_text(json.dumps(found) + "\n", encoding="utf-8")
        print(f"{options.step} {name}: {len(found['arms'])} arms", flush=True)


if __name__ == "__main__":
    main()
