"""Whether two results come from one machine and one set of software: what `edgekit.bench.environment` found, compared.

Two absolute times may be held against each other, as a gate does, where both functions find nothing:

    differences             machine and CPUs it may use: where these differ, results have nothing to do with each other
    software_differences    kernel, microcode, packages: these change on one machine over time, and are what a history
                            looks at; a time before an upgrade still says nothing about the code after it
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from edgekit.bench.environment import UNAVAILABLE
from edgekit.bench.units import size

Fingerprint = Mapping[str, Any]

# What is the same in all results of a series. The affinity counts CPU by CPU: the cores of one device may differ.
MACHINE = (
    "cpu",
    "arch",
    "isa",
    "cores",
    "affinity",
    "governor",
    "cgroup_cpus",
    "hypervisor",
    "memory_bytes",
    "thread_variables",
)
SOFTWARE = ("microcode", "kernel", "python", "packages")
# Words for what is not there; a field that is missing is the same.
ABSENT = (UNAVAILABLE, "unset", "not installed")


def comparable_key(fingerprint: Fingerprint) -> str:
    """A short digest of the machine: results form a series over time where it is the same.

    Two fingerprints have one key exactly where `differences` finds none. What is unavailable counts as
    the same as what else is unavailable.
    """
    facts = [_same_for(name, fingerprint.get(name, UNAVAILABLE)) for name in MACHINE]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def differences(a: Fingerprint, b: Fingerprint) -> list[str]:
    """What tells two machines apart, a line each, such as `cpu: AMD EPYC against Intel Xeon`; none for one machine."""
    return _lines(a, b, MACHINE)


def software_differences(a: Fingerprint, b: Fingerprint) -> list[str]:
    """What differs in software, a line each, such as `openvino: 2025.1 against 2025.2`, whatever the machines are."""
    return _lines(a, b, SOFTWARE)


def machine_name(fingerprint: Fingerprint) -> str:
    """`AMD EPYC 7B13, 2 cores`, for people; unlike the key it may fit several machines."""
    return f"{fingerprint.get('cpu', UNAVAILABLE)}, {fingerprint.get('cores', UNAVAILABLE)} cores"


def _lines(a: Fingerprint, b: Fingerprint, names: tuple[str, ...]) -> list[str]:
    lines = []
    for name in names:
        first, second = (fingerprint.get(name, UNAVAILABLE) for fingerprint in (a, b))
        if _same_for(name, first) == _same_for(name, second):
            continue
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            lines += _lines(first, second, tuple(sorted({*first, *second})))
        else:
            lines.append(f"{_title(name)}: {_text(name, first)} against {_text(name, second)}")
    return lines


def _same_for(name: str, value: Any) -> Any:
    """The value as far as it matters: memory in half powers of two, since a kernel update moves it by megabytes."""
    if name == "memory_bytes" and isinstance(value, (int, float)) and value > 0:
        return round(2 * math.log2(value))
    if isinstance(value, Mapping):
        return {inner: text for inner, text in value.items() if text not in ABSENT} or None
    return None if value in ABSENT else value


def _title(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ") if name in (*MACHINE, *SOFTWARE) else name


def _text(name: str, value: Any) -> str:
    if name == "memory_bytes" and isinstance(value, (int, float)):
        return size(value)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
