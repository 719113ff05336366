"""What a bundle says of itself: the types of its manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.target import Target
    from edgekit.tensors import State, TensorSpec

FORMAT = 1


@dataclass(frozen=True)
class FileRecord:
    """What an entry's content must be: SHA-256 in lower-case hex, and length."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class RecipeRecord:
    """What the bundle was built from and judged by.

    metric: its name, or None where the recipe has no evaluation.
    max_drop: the accuracy budget, in the metric's unit.
    """

    name: str
    metric: str | None
    max_drop: float


@dataclass(frozen=True)
class Payload:
    """One way to run the model on a target.

    name: unique within its target, such as "onnxruntime-f32".
    method: how the precision was reached; the quantizer's name, or "float".
    files: entry path of each role that the backend knows, such as {"model": "cpu/openvino-int8/model.xml"}.
    golden_outputs: for each golden sample, the entry path of each output's `.npy`, by output name.
    golden_tolerance: largest absolute difference from the golden output, by output name.
    reason: why it stands where it stands among the target's payloads, in plain words.
    accuracy, drop, latency: measured facts as JSON, or None where nothing was measured.
    """

    name: str
    backend: str
    precision: str
    method: str
    files: Mapping[str, str]
    golden_outputs: tuple[Mapping[str, str], ...]
    golden_tolerance: Mapping[str, float]
    reason: str
    accuracy: Mapping[str, Any] | None = None
    drop: Mapping[str, Any] | None = None
    latency: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TargetEntry:
    """A target and what the bundle can run on it, best first.

    candidates: what was tried on the way, rows of free-form JSON.
    """

    target: Target
    payloads: tuple[Payload, ...]
    candidates: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle says of itself.

    edgekit: version that wrote it.
    created_by: version of each package that had a hand in it.
    source: SHA-256 of what went in, by name, such as {"weights_sha256": "..."}.
    golden_samples: how many golden samples there are; `golden_input_entry` names the entries of their inputs.
    state: of a streaming model, where each input that is state comes from.
    files: every entry but the manifest; `write_bundle` fills it in.
    """

    edgekit: str
    created_by: Mapping[str, str]
    recipe: RecipeRecord
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: Mapping[str, str]
    golden_samples: int
    targets: tuple[TargetEntry, ...]
    state: Mapping[str, State] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)


def golden_input_entry(sample: int, index: int) -> str:
    """The entry that holds input number `index` (its position in `Manifest.inputs`) of a golden sample."""
    return f"golden/{sample}/input-{index}.npy"
