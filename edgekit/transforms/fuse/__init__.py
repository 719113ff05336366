"""Lifts nodes that a kernel computes in one go into functions of the domain `edgekit`; their nodes stay the meaning.

A rule is a module with `fuse(model) -> (how often it applied, why not where it nearly did)`, in the table `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.transforms.fuse import wavenet

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Fused:
    """What one rule did. applied: how often. refusals: which check failed, for each place where it nearly applied."""

    rule: str
    applied: int
    refusals: tuple[str, ...] = ()


Rule = Callable[["ir.Model"], tuple[int, tuple[str, ...]]]
RULES: dict[str, Rule] = {"WaveNet": wavenet.fuse}


def fuse(model: ir.Model) -> tuple[Fused, ...]:
    """Apply every rule to `model`, in place."""
    found = []
    for name, rule in RULES.items():
        applied, refusals = rule(model)
        found.append(Fused(name, applied, refusals))
    return tuple(found)
