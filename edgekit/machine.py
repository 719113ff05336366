"""Which machine this is, as far as compiled code and cached checks depend on it; cheap enough to ask at every load."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from edgekit.target import host_isa


def machine_key(*more: str) -> str:
    """A short digest of CPU model, instruction sets and `more`: what bears it is good for such a machine alone."""
    model = cpu_fact("model name") or cpu_fact("CPU implementer") + cpu_fact("CPU part") or platform.node()
    parts = (platform.machine(), model, *host_isa(), *more)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def cpu_fact(name: str) -> str:
    """A line of /proc/cpuinfo, such as "model name"; empty where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
