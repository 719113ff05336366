"""The page of kernels: a table for each op, a line for each shape, a column for each row and each peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.bench.environment import fingerprint
from edgekit.bench.units import digits, duration
from edgekit.building.pack import tool_versions

HEAD = """# Kernels

Written by `python benchmarks/kernels/run.py --tables`; its first lines say how the figures are made. {machine}

A cell has the time of one call, its multiply-accumulates in GMAC/s, and the bytes of weights, inputs and outputs, each
counted once, in GB/s. Peaks of a core of this machine: {peaks}.
The columns of peers have the layer that OpenVINO (oneDNN) and onnxruntime (MLAS) compute of the same graph, by their
own profilers, where it takes 2 µs or more: OpenVINO's cuts each call to whole microseconds, so that what is short looks
up to 1 µs faster than it is; onnxruntime's adds about 2 µs.
"""


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """All tables, in Markdown, ops by name."""
    versions = ", ".join(f"{name} {version}" for name, version in tool_versions().items())
    parts = [HEAD.format(machine=f"CPU: {fingerprint()['cpu']}, one thread. {versions}.", peaks=_peaks())]
    for op in sorted({row["op"] for row in found}):
        parts += [f"## {op}\n", _table([row for row in found if row["op"] == op])]
    return "\n".join(parts)


def _peaks() -> str:
    from edgekit.target import load_target

    peak = load_target("cpu").peak
    return f"f32 {peak.f32_gmacs:g}, bf16 {peak.bf16_gmacs:g}, int8 {peak.int8_gmacs:g} GMAC/s ({peak.source})"


def _table(shapes: Sequence[Mapping[str, Any]]) -> str:
    rows = list(dict.fromkeys(row for shape in shapes for row in shape["rows_ns"]))
    peers = list(dict.fromkeys(peer for shape in shapes for peer in shape["peers"]))
    lines = [["shape", "MMAC", *rows, *peers], ["---"] * (2 + len(rows) + len(peers))]
    for shape in shapes:
        macs = digits(shape["macs"] / 1e6) if shape["macs"] else "-"
        ours = [_cell(shape, shape["rows_ns"].get(row)) for row in rows]
        lines.append([shape["shape"], macs, *ours, *(_peer(shape, shape["peers"].get(peer)) for peer in peers)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(shape: Mapping[str, Any], ns: float | None) -> str:
    if ns is None:
        return "-"
    rates = [f"{digits(shape['macs'] / ns)} GMAC/s"] if shape["macs"] else []
    rates += [f"{digits(shape['bytes'] / ns)} GB/s"] if shape["bytes"] else []
    return duration(ns) + (f" ({', '.join(rates)})" if rates else "")


def _peer(shape: Mapping[str, Any], layer: Mapping[str, Any] | None) -> str:
    if layer is None:
        return "-"
    rate = f", {digits(shape['macs'] / layer['ns'])} GMAC/s" if shape["macs"] else ""
    return f"{duration(layer['ns'])} ({layer['precision']}{rate})"
