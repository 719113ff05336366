"""The machine and software under a measurement; what cannot be found out is "unavailable", never a guess."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.machine import cpu_fact
from edgekit.target import host_isa

UNAVAILABLE = "unavailable"
PACKAGES = ("edgekit", "numpy", "torch", "onnx", "onnxruntime", "openvino", "nncf", "ai-edge-litert")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def fingerprint() -> dict[str, Any]:
    """What a latency depends on besides the model; where it differs, absolute times are incomparable."""
    return {
        "cpu": cpu_fact("model name") or platform.processor() or UNAVAILABLE,
        "microcode": cpu_fact("microcode") or UNAVAILABLE,
        "arch": platform.machine() or UNAVAILABLE,
        "isa": _isa(),
        "cores": os.cpu_count() or UNAVAILABLE,
        "affinity": _affinity(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or UNAVAILABLE,
        "cgroup_cpus": _cgroup_cpus(),
        "hypervisor": _hypervisor(),
        "memory_bytes": _memory_bytes(),
        "kernel": f"{platform.system()} {platform.release()}".strip() or UNAVAILABLE,
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "thread_variables": {name: os.environ.get(name, "unset") for name in THREAD_VARIABLES},
    }


def cpu_times(stat: str | Path = "/proc/stat") -> tuple[int, int] | None:
    """Time of all CPUs since the start: what a hypervisor gave to other machines, and all; None if it is not told."""
    words = _text(stat).partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    times = [int(word) for word in words[1:9]]
    return times[7], sum(times)


def stolen_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Share of CPU time that other machines had between two `cpu_times`; None where it is not told."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _isa() -> list[str] | str:
    try:
        return list(host_isa())
    except (ImportError, EdgekitError):
        return UNAVAILABLE


def _affinity() -> list[int] | str:
    if sys.platform != "linux":
        return UNAVAILABLE
    return sorted(os.sched_getaffinity(0))


def _cgroup_cpus() -> float | str:
    """CPUs that the control group may use, or "unlimited". Version 2 writes `max` or `quota period`."""
    group = next((line[3:] for line in _text("/proc/self/cgroup").splitlines() if line.startswith("0::")), "")
    for folder in (Path("/sys/fs/cgroup") / group.lstrip("/"), Path("/sys/fs/cgroup")):
        if words := _text(folder / "cpu.max").split():
            return "unlimited" if words[0] == "max" else int(words[0]) / int(words[1])
    return _cgroup_v1_cpus()


def _cgroup_v1_cpus() -> float | str:
    quota, period = (_text(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    if not quota or not period:
        return UNAVAILABLE
    return "unlimited" if int(quota) < 0 else int(quota) / int(period)


def _hypervisor() -> bool | str:
    """Whether this is a virtual machine, as x86 tells it in a CPU flag."""
    flags = cpu_fact("flags")
    return "hypervisor" in flags.split() if flags else UNAVAILABLE


def _memory_bytes() -> int | str:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNAVAILABLE


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
