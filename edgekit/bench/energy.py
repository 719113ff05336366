"""Energy counters of CPU packages (RAPL) and NVIDIA GPUs (NVML); where there is none, why, and never an estimate."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")

EnergyReader = Callable[[], int]
"""Microjoules since some moment before; never falls."""


def energy_reader(device: str = "cpu", *, powercap: Path = POWERCAP) -> EnergyReader | None:
    """A function that reads the energy used so far, or None: `unavailable_reason` then says why.

    "cpu" counts whole CPU packages, with all that runs on them, but not the memory. Their counter starts again
    every few minutes under load: a reader must be called at least that often, since it cannot see two starts
    between two calls. "cuda" counts all of the first GPU, as NVML numbers them; NVML renews its counter some
    ten times a second, so that less than a second's work cannot be told by it.

    device: "cpu" or "cuda".
    """
    found = _find(device, powercap)
    return None if isinstance(found, str) else found


def unavailable_reason(device: str = "cpu", *, powercap: Path = POWERCAP) -> str:
    """Why there is no reader, and what to do about it; empty where there is one."""
    found = _find(device, powercap)
    return found if isinstance(found, str) else ""


def _find(device: str, powercap: Path) -> EnergyReader | str:
    return _nvml() if device == "cuda" else _rapl(powercap)


def _rapl(powercap: Path) -> EnergyReader | str:
    """A reader of all packages, or why there is none."""
    packages = _packages(powercap)
    if not packages:
        return "no RAPL on this machine"
    try:
        counters = [_Counter(package) for package in packages]
    except PermissionError as error:
        return f"RAPL is readable by root alone: run as root, or allow it with: chmod a+r {error.filename}"
    except (OSError, ValueError) as error:
        return f"RAPL cannot be read: {error}"
    if not all(counter.last_uj for counter in counters):
        return "RAPL's counter stands at 0, as in a virtual machine that passes on none"
    return lambda: sum(counter.read_uj() for counter in counters)


def _packages(powercap: Path) -> list[Path]:
    """The zone of each CPU package, once: subzones are part of it, and a second interface (mmio) repeats it."""
    zones: dict[str, Path] = {}
    for zone in (*sorted(powercap.glob("intel-rapl:*")), *sorted(powercap.glob("intel-rapl-mmio:*"))):
        name = _name(zone)
        if name.startswith("package-"):
            zones.setdefault(name, zone)
    return list(zones.values())


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class _Counter:
    """A package's counter, carried on where it starts again from 0 after `max_energy_range_uj`."""

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range_uj = int((zone / "max_energy_range_uj").read_text(encoding="utf-8"))
        self._carried_uj = 0
        self.last_uj = self._raw_uj()

    def read_uj(self) -> int:
        now = self._raw_uj()
        if now < self.last_uj:
            self._carried_uj += self._range_uj
        self.last_uj = now
        return self._carried_uj + now

    def _raw_uj(self) -> int:
        return int(self._file.read_text(encoding="utf-8"))


def _nvml() -> EnergyReader | str:
    """A reader of the first GPU, or why there is none."""
    try:
        pynvml = import_module("pynvml")
    except ImportError:
        return "NVML is not installed; run: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError as error:
        return f"NVML gives no energy counter: {error}"
    return lambda: _gpu_uj(pynvml, gpu)


def _gpu_uj(pynvml: Any, gpu: Any) -> int:
    """NVML counts millijoules."""
    return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) * 1000
