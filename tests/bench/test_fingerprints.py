"""Fingerprints compared: machines are told apart by what makes times incomparable, and software apart from them."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.bench.environment import UNAVAILABLE, fingerprint
from edgekit.bench.fingerprints import (
    MACHINE,
    SOFTWARE,
    comparable_key,
    differences,
    machine_name,
    software_differences,
)

ONE: dict[str, Any] = {
    "cpu": "AMD EPYC",
    "microcode": "0xa0011d1",
    "arch": "x86_64",
    "isa": ["avx2", "fma"],
    "cores": 4,
    "affinity": [0, 1],
    "governor": "performance",
    "cgroup_cpus": 1.5,
    "hypervisor": True,
    "memory_bytes": 16_000_000_000,
    "kernel": "Linux 6.1",
    "python": "3.11.7",
    "packages": {"openvino": "2025.1", "torch": "2.9"},
    "thread_variables": {"OMP_NUM_THREADS": "unset"},
}


def test_every_field_of_the_fingerprint_is_one_of_machine_or_of_software() -> None:
    assert set(fingerprint()) == {*MACHINE, *SOFTWARE}
    assert not set(MACHINE) & set(SOFTWARE)


def test_a_machine_is_itself() -> None:
    here = fingerprint()
    assert comparable_key(here) == comparable_key(dict(reversed(here.items())))
    assert differences(here, here) == software_differences(here, here) == []


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("cpu", "Intel Xeon", "cpu: AMD EPYC against Intel Xeon"),
        ("arch", "aarch64", "arch: x86_64 against aarch64"),
        ("isa", ["avx2"], "isa: avx2, fma against avx2"),
        ("cores", 8, "cores: 4 against 8"),
        ("affinity", [2, 3], "affinity: 0, 1 against 2, 3"),
        ("governor", "powersave", "governor: performance against powersave"),
        ("cgroup_cpus", "unlimited", "cgroup cpus: 1.5 against unlimited"),
        ("hypervisor", False, "hypervisor: True against False"),
        ("memory_bytes", 32_000_000_000, "memory: 16.0 GB against 32.0 GB"),
        ("thread_variables", {"OMP_NUM_THREADS": "1"}, "OMP_NUM_THREADS: unset against 1"),
        ("cpu", UNAVAILABLE, "cpu: AMD EPYC against unavailable"),
    ],
)
def test_another_machine_has_another_key_and_a_line_that_says_why(field: str, value: Any, line: str) -> None:
    other = {**ONE, field: value}
    assert differences(ONE, other) == [line]
    assert comparable_key(ONE) != comparable_key(other)
    assert software_differences(ONE, other) == []


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("microcode", "0xa0011d5", "microcode: 0xa0011d1 against 0xa0011d5"),
        ("kernel", "Linux 6.8", "kernel: Linux 6.1 against Linux 6.8"),
        ("python", "3.12.1", "python: 3.11.7 against 3.12.1"),
        ("packages", {"openvino": "2025.2", "torch": "2.9"}, "openvino: 2025.1 against 2025.2"),
        ("packages", {"openvino": "2025.1"}, "torch: 2.9 against unavailable"),
    ],
)
def test_an_upgrade_leaves_the_machine_what_it_is_and_is_listed(field: str, value: Any, line: str) -> None:
    other = {**ONE, field: value}
    assert software_differences(ONE, other) == [line]
    assert differences(ONE, other) == []
    assert comparable_key(ONE) == comparable_key(other)


def test_memory_that_a_kernel_update_moves_is_the_same_memory() -> None:
    other = {**ONE, "memory_bytes": 15_980_000_000}
    assert differences(ONE, other) == []
    assert comparable_key(ONE) == comparable_key(other)


def test_what_is_absent_is_the_same_in_whatever_words() -> None:
    other = {**ONE, "thread_variables": {}, "packages": {**ONE["packages"], "litert": "not installed"}}
    del other["thread_variables"]
    assert differences(ONE, other) == software_differences(ONE, other) == []
    assert comparable_key(ONE) == comparable_key(other)
    assert comparable_key({}) == comparable_key({"cpu": UNAVAILABLE})


def test_a_machine_has_a_name_for_people() -> None:
    assert machine_name(ONE) == "AMD EPYC, 4 cores"
    assert machine_name({}) == "unavailable, unavailable cores"
