"""What `edgekit build` finds on known models, on nets built to break int8, and beside other quantizers.

    python benchmarks/quantize.py recipes -o results          # the shipped recipes: candidates, time
    python benchmarks/quantize.py speed -o results            # the choice beside plain onnxruntime, OpenVINO and NNCF
    python benchmarks/quantize.py break -o results            # nets built to break int8
    python benchmarks/quantize.py peers -o results            # resnet8 by each quantizer
    python benchmarks/quantize.py memory -o results           # of calibration, by samples and tool
    python benchmarks/quantize.py tables -o results > benchmarks/quantize.md

A step takes names of its own, to run a part of it again: `speed encoder lstm`. Every part runs in a fresh process and
leaves its numbers in `results/STEP/NAME.json`. All of it takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from edgekit.backends.execution import describe, execution_to_json, read_execution
from edgekit.bench.accuracy import accuracy, paired_drop, score_samples
from edgekit.bench.arms import Arm, bundle_arm
from edgekit.bench.measure import measure, run_outputs
from edgekit.bench.samples import read_samples
from edgekit.bench.statistics import compare, percentile, timed_calls
from edgekit.build import Settings, build
from edgekit.building.samples import Samples, lay_out_samples
from edgekit.building.source import float_model
from edgekit.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.export import save_model
from edgekit.recipes import Recipe, load_recipe
from edgekit.tensors import Feeds, TensorSpec

SHIPPED = ("simple-cnn", "resnet8", "ds-cnn")
TIMED = ("mobilenet-v2", "encoder", "wavenet", "lstm")
BROKEN = ("channel", "softmax", "layer-norm")
TRANSFORMERS = ("encoder",)
ROADS = ("resnet8", "channel")  # what `peers` quantizes: a shipped recipe, and the same net built to break int8
TOOLS = ("edgekit", "nncf-accuracy-control", "nncf", "ort-MinMax", "ort-Percentile", "ort-Entropy")
SESSIONS = 10
LIMIT_BYTES = 8 << 30  # a process that takes more is ended, and the table says so
SAMPLE_EVERY_S = 0.25  # of memory


class Steps:
    """Progress of a build, as the seconds that each step took."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._step, self._since = "start", time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        self.seconds[self._step] += now - self._since
        self._step, self._since = what.rpartition(": ")[2] if done < total else "between steps", now

    def finish(self) -> dict[str, float]:
        self("", 1, 1)
        return dict(self.seconds)


def build_fresh(recipe: Recipe, folder: Path) -> tuple[Bundle, dict[str, Any]]:
    """Build with nothing from a cache; the bundle, and all that is to be told of it."""
    steps, said = Steps(), []
    begin = time.monotonic()
    bundle = build(
        recipe,
        output=folder / "model.edgekit",
        workspace=folder / "work",
        settings=Settings(fresh=True),
        progress=steps,
        warn=said.append,
    )
    entry = bundle.manifest.targets[0]
    return bundle, {
        "build_seconds": time.monotonic() - begin,
        "steps": steps.finish(),
        "warnings": said,
        "chosen": entry.payloads[0].name,
        "reason": entry.payloads[0].reason,
        "budget": recipe.budget.max_drop,
        "metric": recipe.metric_name,
        "candidates": [dict(row) for row in entry.candidates],
    }


# ---- The steps: each takes a name and an empty folder, and gives what goes into the JSON. ----


def run_recipe(name: str, folder: Path) -> dict[str, Any]:
    return build_fresh(load_recipe(name), folder)[1]


def run_broken(name: str, folder: Path) -> dict[str, Any]:
    from quantize_models import broken, train_vision

    weights = folder.parent / "vision.pt"
    if name != "channel":
        train_vision(weights)
    return build_fresh(broken(name, weights), folder)[1]


def run_speed(name: str, folder: Path) -> dict[str, Any]:
    """The bundle's choice and the plain tools, timed together."""
    from quantize_models import TIMED as NETS

    recipe = NETS[name]
    bundle, found = build_fresh(recipe, folder)
    samples = lay_out_samples(recipe, folder / "samples")
    arms, refused = plain_arms(folder / "work" / "float.onnx", recipe, bundle, folder, transformer=name in TRANSFORMERS)
    entry = bundle.manifest.targets[0]
    arms.insert(0, bundle_arm(bundle, entry, name="edgekit"))
    return {**found, "refused": refused, "arms": compared(arms, recipe, samples, folder)}


def run_peer(name: str, folder: Path) -> dict[str, Any]:
    """Quantize with one tool, as NET-TOOL says; nothing is timed but the whole process."""
    from quantize_peers import nncf_accuracy_control, nncf_quantize, onnxruntime_static

    net, _, tool = name.partition("-")
    recipe = road(net)
    if tool == "together":
        return run_together(net, recipe, folder)
    if tool == "edgekit":
        return build_fresh(recipe, folder)[1]
    source = folder / "float.onnx"
    save_model(float_model(recipe).model, source)
    begin = time.monotonic()
    if tool == "nncf-accuracy-control":
        nncf_accuracy_control(source, recipe, folder / "model.xml", max_drop=recipe.budget.max_drop)
    elif tool == "nncf":
        nncf_quantize(source, recipe, folder / "model.xml")
    else:
        onnxruntime_static(source, recipe, folder / "model.onnx", method=tool.partition("-")[2])
    return {"quantize_seconds": time.monotonic() - begin}


def run_together(net: str, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """What each tool left, timed in one run, and scored."""
    made = folder.parent
    bundle = open_bundle(made / f"{net}-edgekit" / "model.edgekit")
    source = made / f"{net}-edgekit" / "work" / "float.onnx"
    arms = [bundle_arm(bundle, bundle.manifest.targets[0], name="edgekit"), *float_arms(source, bundle)]
    for tool in TOOLS[1:]:
        for kind, file in (("openvino", "model.xml"), ("onnxruntime", "model.onnx")):
            if (model := made / f"{net}-{tool}" / file).exists():
                arms.append(_plain(tool, kind, "int8", model))
    return {"arms": compared(arms, recipe, lay_out_samples(recipe, folder / "samples"), folder)}


def road(net: str) -> Recipe:
    from quantize_models import BROKEN as NETS
    from quantize_models import broken

    return broken(net, Path()) if net in NETS else load_recipe(net)


def run_memory(name: str, folder: Path) -> dict[str, Any]:
    """Calibrate the wide net, as TOOL-PIXELS-SAMPLES says; `float` writes the net that the others take.

    Apart, since torch's own peak while it exports would hide a good deal of what calibration takes.
    """
    tool, pixels, count = name.split("-")
    source = folder.parent / f"float-{pixels}.onnx"
    if tool == "float":
        from quantize_models import Wide

        save_model(float_model(wide(int(pixels), 1, Wide.built)).model, source)
        return {}
    from quantize_peers import nncf_quantize, onnxruntime_static

    from edgekit.transforms.quantize import Calibration, Workpiece, quantize

    recipe = wide(int(pixels), int(count), source)
    begin, before = time.monotonic(), own_peak_bytes()
    if tool == "edgekit":
        quantize(Workpiece(source, Calibration(recipe)), folder / "model.onnx", method="joined-mse")
    elif tool == "nncf":
        nncf_quantize(source, recipe, folder / "model.xml", samples=int(count))
    else:
        onnxruntime_static(source, recipe, folder / "model.onnx", method=tool.removeprefix("ort"))
    return {"quantize_seconds": time.monotonic() - begin, "before_bytes": before}


def wide(pixels: int, count: int, model: Callable[[], Any] | Path) -> Recipe:
    """A recipe with `count` random images of pixels x pixels, drawn as they are asked for."""

    def images() -> Iterator[Feeds]:
        draw = np.random.default_rng(0)
        return ({"image": draw.standard_normal(spec.shape).astype(np.float32)} for _ in range(count))

    spec = TensorSpec("float32", (1, 3, pixels, pixels))
    return Recipe(name="wide", model=model, inputs={"image": spec}, outputs=("y",), calibration=images)


@dataclass(frozen=True)
class Step:
    """Names in the order in which they run, and what is done for each."""

    names: tuple[str, ...]
    run: Callable[[str, Path], dict[str, Any]]


MEMORY = (
    "float-128-0",
    "float-256-0",
    *(
        f"{tool}-{pixels}-{count}"
        for pixels, counts in ((128, (100, 1000, 5000)), (256, (100, 1000)))
        for tool in ("edgekit", "nncf", "ortMinMax", "ortPercentile", "ortEntropy")
        for count in counts
    ),
)
STEPS = {
    "recipes": Step(SHIPPED, run_recipe),
    "speed": Step(TIMED, run_speed),
    "break": Step(BROKEN, run_broken),
    "peers": Step(tuple(f"{net}-{tool}" for net in ROADS for tool in (*TOOLS, "together")), run_peer),
    "memory": Step(MEMORY, run_memory),
}


# ---- Arms ----


def float_arms(source: Path, bundle: Bundle) -> list[Arm]:
    found = [_plain("onnxruntime f32", "onnxruntime", "f32", source)]
    precisions = ("f32", "bf16") if "bf16" in bundle.manifest.targets[0].target.precisions else ("f32",)
    return found + [_plain(f"openvino {precision}", "openvino", precision, source) for precision in precisions]


def plain_arms(
    source: Path, recipe: Recipe, bundle: Bundle, folder: Path, *, transformer: bool
) -> tuple[list[Arm], dict[str, str]]:
    """onnxruntime and OpenVINO, in float and by each tool's own quantizer; and the reason of each that refused."""
    from quantize_peers import nncf_quantize, onnxruntime_dynamic, onnxruntime_static

    arms, refused = float_arms(source, bundle), {}
    tools: dict[str, tuple[Callable[[Path], None], str]] = {
        "onnxruntime int8": (lambda path: onnxruntime_static(source, recipe, path), "ort-int8.onnx"),
        "onnxruntime int8 dynamic": (lambda path: onnxruntime_dynamic(source, path), "ort-dynamic.onnx"),
        "openvino int8": (lambda path: nncf_quantize(source, recipe, path, transformer=transformer), "nncf.xml"),
    }
    for name, (make, file) in tools.items():
        try:
            make(folder / file)
        except Exception as error:  # whatever the tool raises is its answer
            refused[name] = f"{type(error).__name__}: {error}"
            continue
        kind = name.partition(" ")[0]
        arms.append(_plain(name, kind, "int8", folder / file))
        if kind == "openvino" and any(arm.precision == "bf16" for arm in arms):
            arms.append(_plain(f"{name}+bf16", kind, "int8+bf16", folder / file))
    return arms, refused


def _plain(name: str, kind: str, precision: str, model: Path) -> Arm:
    return Arm(name, kind, precision, {"model": str(model.resolve())})


def compared(arms: list[Arm], recipe: Recipe, samples: Samples, folder: Path) -> list[dict[str, Any]]:
    """Latency, score and executed layers of each arm; ratios are the first arm's time over the other's."""
    scores, works = {}, []
    for arm in arms:
        try:
            run_outputs(arm, samples.evaluation, folder / f"outputs-{arm.name}")
        except EdgekitError as error:
            print(f"{arm.name}: {error}")
            continue
        scores[arm.name] = score_samples(recipe.metric, read_samples(folder / f"outputs-{arm.name}"), samples.targets)
        shutil.rmtree(folder / f"outputs-{arm.name}")
        works.append(arm)
    measured = measure(works, samples.timing, sessions=SESSIONS, cold_sessions=0)
    first, reference = measured[0], scores["onnxruntime f32"]
    return [
        {
            "name": found.arm.name,
            "p50_ns": asdict(percentile(timed_calls(found.calls_ns), 50)),
            "ratio": None if found is first else asdict(compare(first.calls_ns, found.calls_ns)),
            "accuracy": asdict(accuracy(scores[found.arm.name], str(recipe.metric_name))),
            "drop": asdict(paired_drop(reference, scores[found.arm.name])),
            "size_bytes": found.size_bytes,
            **executed(found.arm, recipe, samples),
        }
        for found in measured
    ]


def executed(arm: Arm, recipe: Recipe, samples: Samples) -> dict[str, Any]:
    """The layers of a plain arm as its runtime executes them; the bundle's and float ones are among its candidates."""
    if arm.kind == "bundle" or arm.precision in ("f32", "bf16"):
        return {}
    model = Path(arm.files["model"])
    files = {"model": model} | ({"weights": model.with_suffix(".bin")} if model.suffix == ".xml" else {})
    feeds = read_samples(samples.timing)[:4]
    outputs = float_model(recipe).outputs
    try:
        found = read_execution(
            arm.kind, files, inputs=recipe.input_specs, outputs=outputs, precision=arm.precision, feeds=feeds, calls=20
        )
    except EdgekitError as error:
        return {"executed": str(error)}
    return {"executed": describe(found), "execution": execution_to_json(found)}


# ---- Fresh processes ----


def own_peak_bytes() -> int:
    """The most memory that this process has held; `ru_maxrss` would include that of the one which started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def run_apart(step: str, name: str, output: Path) -> dict[str, Any]:
    """Run a part in a fresh process, and watch its memory and that of what it starts."""
    command = [sys.executable, __file__, step, name, "-o", str(output), "--here"]
    begin, peak, ended = time.monotonic(), 0, False
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            held = tree_bytes(process.pid)
            peak = max(peak, held)
            if held > LIMIT_BYTES:
                process.kill()
                ended = True
            time.sleep(SAMPLE_EVERY_S)
    file = output / step / f"{name}.json"
    if process.returncode and not ended:
        raise SystemExit(f"{step} {name} failed; its words are above")
    found = {"ended_beyond_bytes": LIMIT_BYTES} if ended else json.loads(file.read_text(encoding="utf-8"))
    peak = max(peak, found.get("own_peak_bytes", 0))
    found |= {"wall_seconds": time.monotonic() - begin, "peak_bytes": peak}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and its descendants: what they share is counted once."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # it has ended meanwhile
                continue
    except psutil.Error:
        return total
    return total


def run_here(step: str, name: str, output: Path) -> None:
    folder = output / step / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = STEPS[step].run(name, folder)
    found["own_peak_bytes"] = own_peak_bytes()
    (output / step / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=(*STEPS, "tables"))
    parser.add_argument("names", nargs="*", help="parts of the step; all of them if none")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in this process
    arguments = parser.parse_args()
    if arguments.step == "tables":
        from quantize_tables import page

        print(page(arguments.output))
        return
    step = STEPS[arguments.step]
    if unknown := set(arguments.names) - set(step.names):
        parser.error(f"unknown {sorted(unknown)[0]!r}; {arguments.step} has {', '.join(step.names)}")
    for name in arguments.names or step.names:
        if arguments.here:
            run_here(arguments.step, name, arguments.output)
            continue
        found = run_apart(arguments.step, name, arguments.output)
        print(f"{arguments.step} {name}: {found['wall_seconds']:.0f} s, {found['peak_bytes'] / 1e6:.0f} MB, "
              f"{found.get('chosen', '')}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
