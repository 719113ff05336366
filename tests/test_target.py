"""Target profiles: every shipped one loads, this machine is detected, and a malformed one is refused in words."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import TargetError
from edgekit.target import (
    BACKENDS,
    ISA_NAMES,
    PRECISIONS,
    Target,
    host_arch,
    host_isa,
    load_target,
    target_from_json,
    target_names,
    target_to_json,
    why_not_runnable,
)

OWN = """
description = "the board on the desk"
device = "cpu"
arch = "x86_64"
isa = ["sse4.2", "avx2"]
precisions = ["f32", "int8"]
backends = ["onnxruntime"]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "desk.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_profiles_of_the_first_release_are_shipped() -> None:
    assert {"cpu", "cpu-avx2", "cpu-avx512-vnni", "arm64-neon", "jetson-orin", "nvidia-t4"} <= set(target_names())


@pytest.mark.parametrize("name", target_names())
def test_shipped_profile_loads_and_is_sound(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.description
    assert set(target.precisions) <= set(PRECISIONS)
    assert "f32" in target.precisions
    assert target.backends
    assert set(target.backends) <= set(BACKENDS)
    assert set(target.isa) <= set(ISA_NAMES.get(target.arch, ()))
    assert target.peak.source or not any(value for value in vars(target.peak).values())


@pytest.mark.parametrize("name", target_names())
def test_profile_survives_json(name: str) -> None:
    target = load_target(name)
    assert target_from_json(json.loads(json.dumps(target_to_json(target)))) == target


def test_targets_can_be_dictionary_keys() -> None:
    assert {load_target("cpu-avx2"): 1}[load_target("cpu-avx2")] == 1


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(TargetError, match="unknown target 'cpu-avx51'; did you mean 'cpu-avx2'"):
        load_target("cpu-avx51")


def test_name_must_not_leave_the_profile_folder() -> None:
    with pytest.raises(TargetError, match="unknown target"):
        load_target("../targets/cpu")


def test_own_profile_is_read_by_path_and_named_after_its_file(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, OWN + "threads = 4\nmemory_bytes = 1024\n[peak]\nf32_gmacs = 12.5\n"))
    assert (target.name, target.threads, target.memory_bytes, target.peak.f32_gmacs) == ("desk", 4, 1024, 12.5)
    assert target.isa == ("sse4.2", "avx2")


def test_own_profile_has_one_thread_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert load_target(write(tmp_path, OWN)).threads == 1


def test_missing_file_names_the_path_and_the_shipped_profiles(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no target file at .*none\.toml; give a name \(.*cpu-avx2"):
        load_target(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN + "thread = 2\n", "target 'desk': unknown 'thread'; did you mean 'threads'"),
        (OWN + "[peak]\nf32_gmac = 2\n", r"\[peak\] of target 'desk': unknown 'f32_gmac'; did you mean 'f32_gmacs'"),
        (OWN.replace("avx2", "avx51"), "isa of target 'desk': unknown 'avx51'; did you mean 'avx512'"),
        (OWN.replace("avx2", "neon"), "isa of target 'desk': unknown 'neon'; known: avx2"),
        (OWN.replace("int8", "int7"), "precisions of target 'desk': unknown 'int7'; did you mean 'int"),
        (OWN.replace("onnxruntime", "onnxruntim"), "backends of target 'desk': .*did you mean 'onnxruntime'"),
        (OWN.replace('"cpu"', '"gpu"'), "target 'desk': device 'gpu'; expected 'cpu' or 'cuda'"),
        (OWN + "threads = 0\n", "target 'desk': threads = 0; expected a whole number from 1"),
        (OWN + "threads = 1.5\n", r"target 'desk': threads = 1\.5; expected a whole number"),
        (OWN + "threads = 'all'\n", "target 'desk': threads = 'all'; expected a whole number"),
        (OWN.replace("arch", "#arch"), r"target 'desk' lacks arch; see edgekit/targets/README\.md"),
        (OWN + "threads = \n", "target 'desk' is not valid TOML"),
    ],
)
def test_malformed_profile_is_refused_with_what_to_write(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        load_target(write(tmp_path, text))


@pytest.mark.parametrize(
    "line", ["threads = true", "memory_bytes = 'lots'", "peak = 3", "[peak]\nf32_gmacs = 'fast'", "precisions = 5"]
)
def test_value_of_the_wrong_kind_is_refused(tmp_path: Path, line: str) -> None:
    text = OWN.replace("precisions", "#precisions") if line.startswith("precisions") else OWN
    with pytest.raises(TargetError, match="target 'desk'"):
        load_target(write(tmp_path, f"{text}{line}\n"))


def test_cpu_is_this_machine() -> None:
    target = load_target("cpu")
    assert target.arch == host_arch()
    assert target.isa == host_isa()
    assert ("bf16" in target.precisions) == any(name.endswith("-bf16") for name in host_isa())
    assert why_not_runnable(target) is None


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="no sysconf here to compare with")
def test_cpu_knows_its_memory() -> None:
    assert load_target("cpu").memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("isa", "precisions", "peak_of"),
    [
        (("sse4.2", "avx2"), ("f32", "int8", "int4"), "cpu-avx2"),
        (("sse4.2", "avx2", "avx512", "avx512-vnni"), ("f32", "int8", "int4"), "cpu-avx512-vnni"),
        (
            ("sse4.2", "avx2", "avx512", "avx512-vnni", "avx512-bf16"),
            ("f32", "bf16", "int8", "int4"),
            "cpu-avx512-vnni",
        ),
        (("sse4.2",), ("f32", "int8", "int4"), None),
    ],
)
def test_cpu_takes_precisions_and_peaks_from_what_is_detected(
    monkeypatch: pytest.MonkeyPatch, isa: tuple[str, ...], precisions: tuple[str, ...], peak_of: str | None
) -> None:
    monkeypatch.setattr("edgekit.target.host_isa", lambda: isa)
    monkeypatch.setattr("edgekit.target.host_arch", lambda: "x86_64")
    target = load_target("cpu")
    assert (target.isa, target.precisions) == (isa, precisions)
    expected = load_target(peak_of).peak if peak_of else None
    assert target.peak.f32_gmacs == (expected.f32_gmacs if expected else 0.0)
    assert (not target.peak.source) or target.peak.source.startswith("nearest profile, not measured here")


@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc/cpuinfo")
@pytest.mark.skipif(host_arch() != "x86_64", reason="compares x86 flags")
def test_detected_isa_agrees_with_the_kernel_of_the_system() -> None:
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split("flags", 1)[1].split("\n", 1)[0].split())
    seen = {"avx2": "avx2", "avx512": "avx512f", "avx512-vnni": "avx512_vnni", "avx512-bf16": "avx512_bf16"}
    assert {name: name in host_isa() for name in seen} == {name: flag in flags for name, flag in seen.items()}


@pytest.mark.parametrize(
    ("machine", "arch"), [("AMD64", "x86_64"), ("x86_64", "x86_64"), ("arm64", "aarch64"), ("aarch64", "aarch64")]
)
def test_architecture_has_one_name(monkeypatch: pytest.MonkeyPatch, machine: str, arch: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_arch() == arch


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).device == "cuda"])
def test_gpu_profiles_say_why_they_do_not_run(name: str) -> None:
    assert f"{name} is an NVIDIA GPU ({load_target(name).arch})" in str(why_not_runnable(load_target(name)))


@pytest.mark.parametrize(
    ("arch", "isa", "reason"),
    [
        ("aarch64", (), "cpu-avx2 is x86_64, this machine is aarch64"),
        ("x86_64", ("sse4.2",), "cpu-avx2 needs avx2, which this CPU lacks"),
        ("x86_64", ("sse4.2", "avx2", "avx512"), None),
    ],
)
def test_a_cpu_runs_what_its_architecture_and_instructions_allow(
    monkeypatch: pytest.MonkeyPatch, arch: str, isa: tuple[str, ...], reason: str | None
) -> None:
    monkeypatch.setattr("edgekit.target.host_arch", lambda: arch)
    monkeypatch.setattr("edgekit.target.host_isa", lambda: isa)
    target: Target = replace(load_target("cpu-avx2"), isa=("sse4.2", "avx2"))
    assert why_not_runnable(target) == reason


@pytest.mark.skipif(host_arch() == "aarch64", reason="this machine is 64-bit Arm itself")
def test_arm_profile_does_not_run_here() -> None:
    assert why_not_runnable(load_target("arm64-neon")) == f"arm64-neon is aarch64, this machine is {host_arch()}"
