"""Energy counters: packages once each, carried on over their end, and a reason where there is nothing to read."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit.bench.energy import EnergyReader, energy_reader, unavailable_reason

RANGE_UJ = 262_143_328_850


def zone(powercap: Path, folder: str, name: str, energy_uj: int) -> Path:
    (powercap / folder).mkdir(parents=True)
    (powercap / folder / "name").write_text(f"{name}\n")
    (powercap / folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (powercap / folder / "energy_uj").write_text(f"{energy_uj}\n")
    return powercap / folder / "energy_uj"


def reader(powercap: Path) -> EnergyReader:
    found = energy_reader(powercap=powercap)
    assert found is not None
    assert unavailable_reason(powercap=powercap) == ""
    return found


def test_packages_are_added_up_without_subzones_and_repetitions(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl").mkdir()  # the control type itself
    for folder, name, energy_uj in [
        ("intel-rapl:0", "package-0", 1_000),
        ("intel-rapl:0:0", "core", 600),
        ("intel-rapl:0:1", "dram", 70),
        ("intel-rapl:1", "package-1", 20_000),
        ("intel-rapl:2", "psys", 900_000),
        ("intel-rapl-mmio:0", "package-0", 1_001),
    ]:
        zone(tmp_path, folder, name, energy_uj)
    assert reader(tmp_path)() == 21_000


def test_a_counter_that_starts_again_is_carried_on(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 100)
    zone(tmp_path, "intel-rapl:1", "package-1", 5)
    read = reader(tmp_path)
    start = read()
    for raw, used in [(RANGE_UJ - 40, 60), (20, 120), (10_000, 10_100), (9_000, RANGE_UJ + 9_100)]:
        first.write_text(f"{raw}\n")
        assert read() - start == used


def test_a_machine_without_rapl_says_so(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "psys", 7)
    for powercap in (tmp_path, tmp_path / "gone"):
        assert energy_reader(powercap=powercap) is None
        assert unavailable_reason(powercap=powercap) == "no RAPL on this machine"


def test_a_counter_for_root_alone_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 7)
    read_text = Path.read_text

    def refuse(path: Path, *args: Any, **kwargs: Any) -> str:
        if path == counter:
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert energy_reader(powercap=tmp_path) is None
    reason = unavailable_reason(powercap=tmp_path)
    assert reason == f"RAPL is readable by root alone: run as root, or allow it with: chmod a+r {counter}"


@pytest.mark.parametrize(("text", "reason"), [("", "RAPL cannot be read"), ("0\n", "counter stands at 0")])
def test_a_counter_that_says_nothing_is_no_reader(tmp_path: Path, text: str, reason: str) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 7).write_text(text)
    assert energy_reader(powercap=tmp_path) is None
    assert reason in unavailable_reason(powercap=tmp_path)


class FakeNVMLError(Exception):
    pass


def nvml(energy_mj: Any) -> Any:
    """A stand-in with the functions that are used; this machine has no GPU to ask."""
    return SimpleNamespace(
        NVMLError=FakeNVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: f"gpu {index}",
        nvmlDeviceGetTotalEnergyConsumption=energy_mj,
    )


def test_a_gpu_is_read_in_microjoules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml({"gpu 0": 1_234}.__getitem__))
    read = energy_reader("cuda")
    assert read is not None
    assert read() == 1_234_000
    assert unavailable_reason("cuda") == ""


def test_a_gpu_without_a_counter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: str) -> int:
        raise FakeNVMLError("Not Supported")

    monkeypatch.setitem(sys.modules, "pynvml", nvml(refuse))
    assert energy_reader("cuda") is None
    assert unavailable_reason("cuda") == "NVML gives no energy counter: Not Supported"


def test_without_the_package_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_reader("cuda") is None
    assert "pip install nvidia-ml-py" in unavailable_reason("cuda")


def test_this_machine_has_a_reader_or_a_reason() -> None:
    for device in ("cpu", "cuda"):
        assert (energy_reader(device) is None) == bool(unavailable_reason(device))
