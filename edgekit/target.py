"""Targets: what a device can do, read from one TOML file each (`edgekit/targets/`), and what this machine is."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from edgekit.errors import TargetError, did_you_mean

ISA_NAMES = {
    "x86_64": ("sse4.2", "avx2", "avx512", "avx512-vnni", "avx512-bf16"),
    "aarch64": ("neon", "neon-dotprod", "neon-i8mm", "neon-bf16"),
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it becomes part of the names of a bundle's entries
PROFILES = Path(__file__).parent / "targets"
PRECISIONS = ("f32", "bf16", "f16", "int8", "int4", "f8")
BACKENDS = ("openvino", "onnxruntime", "native", "tensorrt", "tensorrt_rtx")


# What each key of a profile must be; `edgekit/targets/README.md` says what it means.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("description", "device", "arch"), (str,)),
    **dict.fromkeys(("isa", "precisions", "backends"), (list, tuple)),
    **dict.fromkeys(("threads", "memory_bytes"), (int,)),
    "peak": (dict,),
}


@dataclass(frozen=True)
class Peak:
    """Highest rates seen on such a device, a core (CPU) or the whole of it (GPU); the floors in reports come from them.

    The `_gmacs` are 1e9 multiply-accumulates a second, `dram_gb_per_s` 1e9 bytes a second; zero means not known.
    source: where the figures come from.
    """

    f32_gmacs: float = 0.0
    bf16_gmacs: float = 0.0
    f16_gmacs: float = 0.0
    int8_gmacs: float = 0.0
    dram_gb_per_s: float = 0.0
    source: str = ""


KIND_NAMES = {str: "text", float: "a number", list: "a list", int: "a whole number", dict: "a table"}
PEAK_RATES = tuple(item.name for item in fields(Peak) if item.name != "source")


@dataclass(frozen=True)
class Target:
    """One device profile; `edgekit/targets/README.md` is the reference of its keys.

    device: "cpu" or "cuda".
    arch: "x86_64" or "aarch64" for CPUs, "sm_89" and the like for NVIDIA GPUs.
    isa: instruction sets that compiled code may use, names from `ISA_NAMES`; empty for GPUs.
    precisions: what a variant for this device may compute in, names from `PRECISIONS`.
    backends: what may run there, best first.
    threads: intra-op threads; 1 where nothing says otherwise.
    memory_bytes: memory for model and activations, or 0 where not known.
    """

    name: str
    description: str
    device: str
    arch: str
    isa: tuple[str, ...]
    precisions: tuple[str, ...]
    backends: tuple[str, ...]
    threads: int = 1
    memory_bytes: int = 0
    peak: Peak = Peak()


def target_names() -> tuple[str, ...]:
    """Names of the shipped profiles."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def load_target(name_or_path: str) -> Target:
    """The shipped profile of that name, or the TOML file at that path. `cpu` is this machine, detected.

    Raises:
        TargetError: no such profile, an unknown key, or a value of the wrong kind.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not path.is_file():
            raise TargetError(
                f"no target file at {path}; give a name ({', '.join(target_names())}) or an existing file"
            )
        return _parse(path.stem, _read(path))
    if name_or_path not in target_names():
        raise TargetError(f"unknown target {name_or_path!r}; {did_you_mean(name_or_path, target_names())}")
    return _parse(name_or_path, (PROFILES / f"{name_or_path}.toml").read_text(encoding="utf-8"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"{path} cannot be read as a target profile: {error}") from error


def host_isa() -> tuple[str, ...]:
    """Instruction sets of this CPU, under the names of `ISA_NAMES`."""
    native = import_module("edgekit._native")  # by name: `from edgekit import` would import the whole package first
    return tuple(native.cpu_isa())


def host_arch() -> str:
    """This machine's architecture under the name that profiles use."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def why_not_runnable(target: Target) -> str | None:
    """None where this machine can run code for `target`; else the reason that it cannot."""
    if target.device != "cpu":
        return f"{target.name} is an NVIDIA GPU ({target.arch}), and this release runs CPU targets"
    if target.arch != host_arch():
        return f"{target.name} is {target.arch}, this machine is {host_arch()}"
    if missing := [isa for isa in target.isa if isa not in host_isa()]:
        return f"{target.name} needs {', '.join(missing)}, which this CPU lacks"
    return None


def why_not_measurable(target: Target) -> str | None:
    """None where a latency measured here is one of `target`; else the reason that it is not.

    A CPU with more instruction sets than the target runs its code, but the runtimes use what the CPU has: int8 with
    VNNI says nothing of int8 without. bf16 is left out: whether it is used is told to the runtime.
    """
    if reason := why_not_runnable(target):
        return reason
    more = [isa for isa in host_isa() if isa not in target.isa and not isa.endswith("-bf16")]
    return f"this CPU has {', '.join(more)}, which {target.name} does not" if more else None


def target_to_json(target: Target) -> dict[str, Any]:
    """A JSON-ready form that `target_from_json` reads back."""
    return asdict(target)


def target_from_json(data: Mapping[str, Any]) -> Target:
    """The inverse of `target_to_json`."""
    return _from_table(data["name"], {key: value for key, value in data.items() if key != "name"})


def _parse(name: str, text: str) -> Target:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"target {name!r} is not valid TOML: {error}") from error
    return _from_table(name, _detect(table) if table.get("arch") == "host" else table)


def _detect(table: dict[str, Any]) -> dict[str, Any]:
    """Fill in what `cpu.toml` leaves to detection: arch, isa, precisions, memory, and the nearest profile's peaks."""
    isa = host_isa()
    profile = _nearest_profile(isa)
    found = {
        "arch": host_arch(),
        "isa": list(isa),
        "precisions": ["f32", *(["bf16"] if any(name.endswith("-bf16") for name in isa) else []), "int8", "int4"],
        "memory_bytes": _memory_bytes(),
    }
    peak = {"peak": _peak_table(profile.peak)} if profile else {}
    return table | found | peak


def _nearest_profile(isa: tuple[str, ...]) -> Target | None:
    names = [name for name in target_names() if name.startswith(("cpu-", "arm64-"))]
    fitting = [profile for profile in map(load_target, names) if profile.isa and set(profile.isa) <= set(isa)]
    return max(fitting, key=lambda profile: len(profile.isa), default=None)


def _peak_table(peak: Peak) -> dict[str, Any]:
    table = {key: value for key, value in asdict(peak).items() if value}
    return table | ({"source": f"nearest profile, not measured here: {peak.source}"} if peak.source else {})


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no sysconf on Windows
        return 0


def _from_table(name: str, table: Mapping[str, Any]) -> Target:
    known = {item.name for item in fields(Target)} - {"name"}
    _refuse_unknown(f"target {name!r}", table, known)
    required = known - {"threads", "memory_bytes", "peak"}
    if missing := sorted(required - set(table)):
        raise TargetError(f"target {name!r} lacks {', '.join(missing)}; see edgekit/targets/README.md")
    _check_kinds(f"target {name!r}", table, KINDS)
    peak = table.get("peak", {})
    _check_kinds(f"[peak] of target {name!r}", peak, dict.fromkeys(PEAK_RATES, (float, int)) | {"source": (str,)})
    _refuse_unknown(f"[peak] of target {name!r}", peak, {item.name for item in fields(Peak)})
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    target = Target(**{**values, "name": name, "peak": Peak(**peak)})
    _check_values(target)
    return target


def _check_kinds(where: str, table: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    for key, value in table.items():
        wanted = kinds.get(key, (object,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise TargetError(f"{where}: {key} = {value!r}; expected {KIND_NAMES[wanted[0]]}")


def _check_values(target: Target) -> None:
    _refuse_unknown(f"precisions of target {target.name!r}", target.precisions, PRECISIONS)
    _refuse_unknown(f"backends of target {target.name!r}", target.backends, BACKENDS)
    _refuse_unknown(f"isa of target {target.name!r}", target.isa, ISA_NAMES.get(target.arch, ()))
    if not NAME.fullmatch(target.name):
        raise TargetError(f"target {target.name!r}: a name is letters, digits, '.', '_' and '-'; rename the file")
    if target.device not in ("cpu", "cuda"):
        raise TargetError(f"target {target.name!r}: device {target.device!r}; expected 'cpu' or 'cuda'")
    if target.threads < 1:
        raise TargetError(f"target {target.name!r}: threads = {target.threads}; expected a whole number from 1")


def _refuse_unknown(where: str, words: Any, known: Any) -> None:
    for word in words:
        if word not in known:
            raise TargetError(f"{where}: unknown {word!r}; {did_you_mean(word, known)}")
