"""Arms: what a benchmark compares, each one value that a worker process can open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.bundle import Bundle, TargetEntry
from edgekit.errors import EdgekitError, MeasurementError, did_you_mean
from edgekit.tensors import State, TensorSpec, spec_from_json, spec_to_json, state_from_json, state_to_json

# Kind of arm -> the file roles that it cannot do without.
KINDS: dict[str, tuple[str, ...]] = {
    "bundle": ("bundle",),
    "model": ("model",),
    "torch": (),
    "torch-aot": ("model",),
    "onnxruntime": ("model",),
    "openvino": ("model",),
    "litert": ("model",),
}


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    name: unique among the arms that are compared; reports and errors use it.
    kind: "bundle" and "model" are run by edgekit's runtime, the others are plain peers: see `KINDS`.
    precision: "f32", "bf16" or "int8": what the report says, and what OpenVINO is told to compute in.
    files: absolute path by role: `bundle`, `model`, `weights`. A torch arm's `weights` are an optional
        safetensors file.
    threads: intra-op threads.
    backend: which runtime opens a "model"; optional for a "bundle", where it moves the import out of the
        first load.
    recipe: the reference of the recipe whose model a "torch" arm runs, and whose functions `processing` times.
    inputs, outputs: the model's tensors, in graph order. A "model" needs them; peers take the outputs' names
        from them, and what has state the inputs.
    state: of a streaming model. Samples that leave the state inputs out are of many steps: see `inputs.is_chunk`.
    slowdown: by which share each call is made longer, 0.05 for 5 %, to learn what a measurement can see; None for
        the arm as it is.
    batch: how many samples a call takes, stacked along the leading dimension of every input.
    processing: whether a call takes a raw sample and the recipe's processing, before and after the network, is part of
        it. Samples on disk are then raw ones.

    Raises:
        MeasurementError: unknown kind, something that this kind needs is missing, or processing of batches.
    """

    name: str
    kind: str
    precision: str
    files: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    backend: str = ""
    recipe: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    slowdown: float | None = None
    batch: int = 1
    processing: bool = False
    state: Mapping[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", {role: str(path) for role, path in self.files.items()})
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if self.kind not in KINDS:
            raise MeasurementError(f"arm {self.name!r}: unknown kind {self.kind!r}; {did_you_mean(self.kind, KINDS)}")
        if self.threads < 1:
            raise MeasurementError(f"arm {self.name!r}: threads = {self.threads}; expected a whole number from 1")
        if self.slowdown is not None and not 0 <= self.slowdown < math.inf:
            raise MeasurementError(f"arm {self.name!r}: slowdown = {self.slowdown}; expected a share from 0")
        if self.batch < 1 or (self.processing and self.batch > 1):
            raise MeasurementError(
                f"arm {self.name!r}: batch = {self.batch}; expected at least 1, and 1 where processing is timed"
            )
        if lacking := self._lacking():
            raise MeasurementError(f"arm {self.name!r} of kind {self.kind!r} needs {', '.join(lacking)}")
        if relative := [path for path in self.files.values() if not Path(path).is_absolute()]:
            raise MeasurementError(f"arm {self.name!r}: {relative[0]!r} is a relative path; give an absolute one")

    def _lacking(self) -> list[str]:
        lacking = [f"files[{role!r}]" for role in KINDS[self.kind] if role not in self.files]
        if (self.kind == "torch" or self.processing) and not self.recipe:
            lacking.append("recipe")
        if self.kind == "model":
            lacking += [name for name in ("backend", "inputs", "outputs") if not getattr(self, name)]
        elif not self.state.keys() <= {spec.name for spec in self.inputs}:
            lacking.append("inputs")
        return lacking


def bundle_arm(bundle: Bundle, entry: TargetEntry, *, name: str) -> Arm:
    """The arm that runs the best payload of one of the bundle's targets."""
    payload = entry.payloads[0]
    return Arm(
        name=name,
        kind="bundle",
        precision=payload.precision,
        files={"bundle": str(bundle.path.resolve())},
        threads=entry.target.threads,
        backend=payload.backend,
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
        state=bundle.manifest.state,
    )


def arm_to_json(arm: Arm) -> dict[str, Any]:
    """A JSON-ready form that `arm_from_json` reads back."""
    return {
        "name": arm.name,
        "kind": arm.kind,
        "precision": arm.precision,
        "files": dict(arm.files),
        "threads": arm.threads,
        "backend": arm.backend,
        "recipe": arm.recipe,
        "inputs": [spec_to_json(spec) for spec in arm.inputs],
        "outputs": [spec_to_json(spec) for spec in arm.outputs],
        "slowdown": arm.slowdown,
        "batch": arm.batch,
        "processing": arm.processing,
        "state": state_to_json(arm.state),
    }


def arm_from_json(data: Mapping[str, Any]) -> Arm:
    """The inverse of `arm_to_json`.

    Raises:
        MeasurementError: a field is missing, unknown or of the wrong kind.
    """
    try:
        specs = {role: tuple(map(spec_from_json, data[role])) for role in ("inputs", "outputs")}
        return Arm(**{**data, **specs, "state": state_from_json(data["state"])})
    except MeasurementError:
        raise
    except (KeyError, TypeError, AttributeError, EdgekitError) as error:
        raise MeasurementError(f"this is not an arm: {type(error).__name__}: {error}") from error


def size_bytes(arm: Arm) -> int | None:
    """Bytes on disk of the arm's files, folders included; None for an arm without files.

    Raises:
        MeasurementError: one of the files is not there.
    """
    sizes = [_bytes_at(arm, Path(path)) for path in arm.files.values()]
    return sum(sizes) if sizes else None


def _bytes_at(arm: Arm, path: Path) -> int:
    if not path.exists():
        raise MeasurementError(f"arm {arm.name!r}: no file at {path}", arm=arm.name)
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size
