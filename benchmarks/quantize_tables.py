"""The page of figures that `quantize.py tables` prints, made of the results that its steps have left."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.bench.environment import fingerprint
from edgekit.bench.units import duration, size
from edgekit.building.pack import tool_versions

Result = Mapping[str, Any]

HEAD = """# Quantization: what the build finds, and what it is worth

Written by `python benchmarks/quantize.py tables`; the steps that made the figures are in its first lines. {machine}

"Ratio" is a latency over another one, measured interleaved in fresh processes, with its 95 % interval. Accuracy is on
the recipe's whole evaluation set.
"""
RECIPES = """## Shipped recipes

"/ float" is the ratio to the fastest float variant. Variants that differ in their ranges alone are narrowed to the one
with the least noise first.
"""
SPEED = """## Never slower

What edgekit chose beside plain tools on the same float graph, each in its fastest call style, in one run: onnxruntime's
`quantize_static` (u8 activations, s8 weights by channel) and `quantize_dynamic`, both after `quant_pre_process`, and
NNCF's `quantize` of the OpenVINO model, which is told where it is a transformer; else their defaults. Random weights
and inputs, which serve for speed alone; the cosine is with the float outputs, and the plain tools are not held to the
budget. A ratio below 1 means that edgekit's choice is faster.
"""
BREAK = """## Nets built to break int8

Each computes in real numbers what a net trained on Fashion-MNIST computes: labels and all 10,000 test images are real.
One point of top-1 may be lost. `channel` is resnet8 with one channel a thousand times as large, and read as much
smaller; `softmax` a two-layer vision transformer whose keys have a large common part, which the softmax takes away;
`layer-norm` the same one with a LayerNorm that reads little variance about a large mean, which it takes away.
"""
PEERS = """## Beside other quantizers, on one model and its data

Accuracy and latency of what each left, in one run; time and peak memory of the whole process that made it. edgekit's
time holds export, parity, twelve variants compiled, scored on 10,000 samples and timed; the others' holds one graph.
"""
MEMORY = """## Memory of calibration

Peak of a fresh process that calibrates a net whose largest activation has 64 x pixels x pixels values (16.8 MB at 256,
4.2 MB at 128), from its ONNX file. Random images, drawn as they are asked for. A process that holds more than 8 GiB is
ended.
"""


def page(results: Path) -> str:
    """All tables, in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in tool_versions().items())
    machine = f"CPU: {fingerprint()['cpu']}, one thread. {versions}."
    parts = [
        HEAD.format(machine=machine), RECIPES, *recipes(results), SPEED, *speed(results), BREAK, *broken(results),
        PEERS, *peers(results), MEMORY, *memory(results),
    ]  # fmt: skip
    return "\n".join(parts)


def recipes(results: Path) -> Iterable[str]:
    for name, found in _results(results, "recipes"):
        yield f"### {name}: {found['chosen']}, {found['build_seconds']:.0f} s of build\n"
        rows = [_candidate(row) for row in _compiled(found)]
        yield _table(["variant", "", "p50", "/ float", "accuracy", "lost, up to", "size", "executed"], rows)


def speed(results: Path) -> Iterable[str]:
    for name, found in _results(results, "speed"):
        yield f"### {name}: {found['chosen']}, {found['build_seconds']:.0f} s of build\n"
        yield _table(["", "p50", "choice / it", "cosine"], [_arm(arm) for arm in found["arms"]])


def broken(results: Path) -> Iterable[str]:
    for name, found in _results(results, "break"):
        yield f"### {name}: {found['chosen']}, {found['build_seconds']:.0f} s of build\n"
        searches = [row["search"]["outcome"] for row in found["candidates"] if row.get("search")]
        yield "\n".join(f"Search: {outcome}.\n" for outcome in searches)
        rows = [_candidate(row) for row in _compiled(found)]
        yield _table(["variant", "", "p50", "/ float", "accuracy", "lost, up to", "size", "executed"], rows)


def peers(results: Path) -> Iterable[str]:
    found = dict(_results(results, "peers"))
    for together, timed in found.items():
        net, _, step = together.rpartition("-")
        if step != "together":
            continue
        rows = []
        for arm in timed["arms"]:
            made = found.get(f"{net}-{arm['name']}")
            cost = (f"{made['wall_seconds']:.0f} s", size(made["peak_bytes"])) if made else ("-", "-")
            rows.append([*_arm(arm), _lost(arm["drop"]), *cost])
        yield f"### {net}\n"
        yield _table(["", "p50", "edgekit / it", "accuracy", "lost, up to", "time", "peak memory"], rows)


def memory(results: Path) -> Iterable[str]:
    rows = []
    for name, found in _results(results, "memory"):
        tool, pixels, samples = name.split("-")
        if tool == "float":
            continue
        peak = "ended beyond 8 GiB" if "ended_beyond_bytes" in found else size(found["peak_bytes"])
        seconds = f"{found['quantize_seconds']:.1f} s" if "quantize_seconds" in found else "-"
        rows.append((int(pixels), tool, int(samples), peak, seconds))
    cells = [[str(cell) for cell in row] for row in sorted(rows)]
    yield _table(["pixels", "tool", "samples", "peak", "calibration"], cells)


def _results(results: Path, step: str) -> list[tuple[str, Result]]:
    files = sorted((results / step).glob("*.json"))
    return [(file.stem, json.loads(file.read_text(encoding="utf-8"))) for file in files]


def _compiled(found: Result) -> list[Result]:
    rows = [row for row in found["candidates"] if row["compiled"] and row["latency"]]
    return sorted(rows, key=lambda row: (not row["ships"], row["latency"]["p50_ns"]["value"]))


def _candidate(row: Result) -> list[str]:
    return [
        row["name"],
        "**ships**" if row["ships"] else "front" if row["on_front"] else "",
        duration(row["latency"]["p50_ns"]["value"]),
        _ratio(row["float_ratio"]),
        _accuracy(row["accuracy"]),
        _lost(row["drop"]),
        size(row["size_bytes"]),
        (row["executed"] or "-").partition(";")[0],
    ]


def _arm(arm: Result) -> list[str]:
    p50 = duration(arm["p50_ns"]["value"]) if arm["p50_ns"] else "-"
    return [arm["name"], p50, _ratio(arm["ratio"]), _accuracy(arm["accuracy"])]


def _ratio(ratio: Result | None) -> str:
    if not ratio:
        return "-"
    high = math.inf if ratio["high"] is None else ratio["high"]
    return f"{ratio['value']:.3f} [{ratio['low']:.3f}, {high:.3f}]"


def _accuracy(found: Result | None) -> str:
    if not found:
        return "-"
    if found["metric"] == "top1":
        return f"{found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"
    return f"{found['value']:.5f}"


def _lost(drop: Result | None) -> str:
    return f"{drop['value']:+.4f}, {drop['upper95']:+.4f}" if drop else "-"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
