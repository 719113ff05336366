"""The page of figures that `native.py tables` prints, made of the results that its steps have left."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from native_models import NETS

from edgekit.bench.environment import fingerprint
from edgekit.bench.units import digits, duration, size
from edgekit.building.pack import tool_versions
from edgekit.floor import Work, floor_ns
from edgekit.target import load_target

Result = Mapping[str, Any]

OURS = "edgekit"
FLOAT_BYTES = 4
# Reads of one core of a Zen 4 EPYC from its second-level cache; a profile says only what memory gives.
L2_GB_PER_S = 110
HEAD = """# edgekit's kernels beside other runtimes

Written by `python benchmarks/native.py tables`; its first lines say how the figures are made. {machine}

Random weights and inputs, which serve for speed alone; "cosine" is with onnxruntime's f32 output. A ratio is another
arm's time over edgekit's, measured interleaved in fresh processes, with its 95 % interval: above 1, edgekit is faster.
Of the forms and quantizers of one runtime and precision the fastest of a first run is shown. Int8 plans compete with
every peer, f32 plans with those in f32. LiteRT's "static" is int8 at the edges too, which "static-edges" and all others
convert inside the call.

The floor is the larger of two: multiply-accumulates over the peak rate of one core ({int8:g} GMAC/s in int8, {f32:g}
in f32), and bytes of weights over what its second-level cache gives, {l2} GB/s. Layers whose arithmetic no instruction
does at that rate, depthwise ones above all, have a higher one.
"""
THREADS = """## One thread and two

Plans run on the caller's thread alone. The peers, with one thread and with two, beside edgekit with one.
"""


def page(results: Path) -> str:
    """All tables, in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    peak = load_target("cpu").peak
    machine = f"CPU: {fingerprint()['cpu']}, one thread. {versions}."
    head = HEAD.format(machine=machine, int8=peak.int8_gmacs, f32=peak.f32_gmacs, l2=L2_GB_PER_S)
    nets = [(name, found) for name in NETS if (found := _result(results / "measure" / f"{name}.json"))]
    parts = [head, "## Summary\n", summary(nets)]
    for name, found in nets:
        parts += [f"## {name}\n", *net(found)]
    twice = [(name, found) for name in NETS if (found := _result(results / "threads" / f"{name}.json"))]
    parts += [THREADS] if twice else []
    for name, found in twice:
        parts += [f"### {name}\n", _arms(found)]
    return "\n".join(parts)


def _versions() -> dict[str, str]:
    found = {**tool_versions(), **fingerprint()["packages"]}
    return {name: version for name, version in found.items() if version != "unavailable"}


def _result(file: Path) -> Result:
    found: Result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def summary(nets: Sequence[tuple[str, Result]]) -> str:
    rows = []
    for name, found in nets:
        for ours in (arm for arm in found["arms"] if arm["name"].startswith(OURS)):
            rival = best_peer(found, ours)
            ratio = _ratio(rival["over"][ours["name"]]) if rival else "-"
            what = f"{rival['name']}, {_p50(rival)}" if rival else "-"
            limit, why = floor(found, _precision(ours))
            above = digits(ours["p50_ns"]["value"] / limit)
            rows.append([name, _precision(ours), _p50(ours), what, ratio, f"{duration(limit)} ({why})", above])
        rows += [[name, _precision_of(arm), "not covered", "-", "-", "-", "-"] for arm in _uncovered(found)]
    return _table(["model", "", "edgekit", "best peer", "ratio", "floor", "edgekit / floor"], rows)


def best_peer(found: Result, ours: Result) -> Result | None:
    """The peer that takes the least of edgekit's time; for an f32 arm, of those in f32."""
    peers = [arm for arm in found["arms"] if not arm["name"].startswith(OURS)]
    if _precision(ours) == "f32":
        peers = [arm for arm in peers if _precision(arm) == "f32"]
    return min(peers, key=lambda arm: arm["over"][ours["name"]]["value"], default=None)


def floor(found: Result, precision: str) -> tuple[float, str]:
    """Nanoseconds that arithmetic or weights take at least, and which of the two it is."""
    each = FLOAT_BYTES if precision == "f32" else 1
    weights = found["weight_bytes"] / FLOAT_BYTES * each / L2_GB_PER_S
    work = Work(found["macs"], found["weight_bytes"])
    macs = floor_ns(work, load_target("cpu").peak, precision=precision, threads=1) or 0.0
    return (macs, "arithmetic") if macs > weights else (weights, "weights")


def net(found: Result) -> Iterator[str]:
    yield _arms(found)
    if refused := {name: reason for name, reason in found["refused"].items() if reason}:
        yield "\n".join(f"- {name}: {_line(reason)}" for name, reason in refused.items()) + "\n"


def _arms(found: Result) -> str:
    ours = [arm["name"] for arm in found["arms"] if arm["name"].startswith(OURS)]
    cosines = found.get("cosines", {})
    arms = sorted(found["arms"], key=lambda arm: arm["p50_ns"]["value"])
    rows = [
        [
            arm["name"],
            _p50(arm),
            *(_ratio(arm["over"].get(name)) for name in ours),
            f"{cosines[arm['name']]:.4f}" if arm["name"] in cosines else "-",
            size(arm["size_bytes"]),
        ]
        for arm in arms
    ]
    return _table(["", "p50", *(f"/ {name}" for name in ours), "cosine", "size"], rows)


def _uncovered(found: Result) -> Iterable[str]:
    return [name for name in found["refused"] if name.startswith(OURS)]


def _precision_of(name: str) -> str:
    return name.split()[1]


def _precision(arm: Result) -> str:
    precision: str = arm["arm"]["precision"]
    return precision


def _p50(arm: Result) -> str:
    return duration(arm["p50_ns"]["value"])


def _ratio(ratio: Result | None) -> str:
    if not ratio:
        return "-"
    bounded = not math.isinf(ratio["high"])
    return f"{ratio['value']:.2f} " + (f"[{ratio['low']:.2f}, {ratio['high']:.2f}]" if bounded else "(no interval)")


def _line(reason: str) -> str:
    first = reason.strip().splitlines()[0]
    return first if len(first) < 240 else first[:240] + " ..."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
