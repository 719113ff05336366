"""What this machine can do with edgekit: its CPU, the installed packages, and what to install for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgekit.bench.environment import fingerprint
from edgekit.caches import cache_dir
from edgekit.target import load_target


@dataclass(frozen=True)
class Ability:
    """Something edgekit does, the packages that it takes, and the extra that brings them."""

    what: str
    packages: tuple[str, ...]
    extra: str


ABILITIES = (
    Ability("run bundles on OpenVINO", ("openvino",), "openvino"),
    Ability("run bundles on onnxruntime", ("onnxruntime",), "onnxruntime"),
    Ability("export from torch, check parity", ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime"), "export"),
    Ability("quantize to int8", ("onnxruntime", "nncf"), "export"),
    Ability("shipped recipes and the demo", ("scikit-learn", "pooch", "safetensors"), "recipes,export"),
    Ability("benchmark and report", ("rich", "jinja2", "matplotlib"), "bench"),
    Ability("compare with LiteRT", ("ai-edge-litert",), "dev"),
    Ability("build for NVIDIA GPUs", ("tensorrt",), "tensorrt"),
)


@dataclass(frozen=True)
class Diagnosis:
    """machine: `edgekit.bench.environment.fingerprint`. precisions: what this CPU computes in. cache: where caches lie.

    abilities: (what, installed packages with versions, missing packages, command that installs them or "").
    """

    machine: dict[str, Any]
    precisions: tuple[str, ...]
    cache: str
    abilities: tuple[tuple[str, dict[str, str], tuple[str, ...], str], ...]


def diagnose() -> Diagnosis:
    """Look at this machine; nothing heavy is imported."""
    return Diagnosis(
        machine=fingerprint(),
        precisions=load_target("cpu").precisions,
        cache=str(cache_dir()),
        abilities=tuple(_check(ability) for ability in ABILITIES),
    )


def _check(ability: Ability) -> tuple[str, dict[str, str], tuple[str, ...], str]:
    installed: dict[str, str] = {}
    for package in ability.packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    missing = tuple(package for package in ability.packages if package not in installed)
    return ability.what, installed, missing, f"pip install 'edgekit[{ability.extra}]'" if missing else ""
