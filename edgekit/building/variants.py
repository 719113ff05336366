"""What may be tried for a target: a backend, a precision, and how that precision was reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.errors import TargetError, did_you_mean
from edgekit.target import Target
from edgekit.transforms.quantize import METHODS

FLOAT = "float"
PRECISION_ORDER = ("f32", "bf16", "int8")  # from the plainest to the most compressed


@dataclass(frozen=True)
class Variant:
    """One way to run the model. method: the quantizer for int8, else `FLOAT`; it names the graph to compile."""

    backend: str
    precision: str
    method: str = FLOAT

    @property
    def name(self) -> str:
        """For example `openvino-int8-nncf`."""
        parts = (self.backend, self.precision) if self.method == FLOAT else (self.backend, self.precision, self.method)
        return "-".join(parts)


# What each backend can compute in on a CPU; the target profile says which of these it allows.
CPU_PRECISIONS = {"openvino": ("f32", "bf16", "int8"), "onnxruntime": ("f32", "int8")}

# The float reference, the portable fallback, and what every other variant is compared with.
REFERENCE = Variant("onnxruntime", "f32")


def variants(target: Target, only: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Every variant that may be tried for `target`, float ones first.

    only: keep those whose name is one of these words or has one of them as a part (`f32`, `openvino`, `nncf`).

    Raises:
        TargetError: no compiler for this device here, or a word in `only` that fits nothing.
    """
    backends = [backend for backend in target.backends if backend in CPU_PRECISIONS]
    if target.device != "cpu" or not backends:
        raise TargetError(
            f"target {target.name!r} needs {' or '.join(target.backends)}, which this release does not compile for; "
            "build for a CPU target"
        )
    found = [variant for backend in backends for variant in _of_backend(backend, target)]
    found.sort(key=lambda variant: PRECISION_ORDER.index(variant.precision))
    return tuple(_selected(found, only))


def _of_backend(backend: str, target: Target) -> list[Variant]:
    allowed = [precision for precision in CPU_PRECISIONS[backend] if precision in target.precisions]
    floats = [Variant(backend, precision) for precision in allowed if precision != "int8"]
    quantized = [Variant(backend, "int8", method) for method in METHODS if "int8" in allowed]
    return floats + quantized


def _selected(found: list[Variant], only: Sequence[str]) -> list[Variant]:
    words = {word for variant in found for word in (variant.name, *variant.name.split("-"))}
    for word in only:
        if word not in words:
            raise TargetError(f"no variant fits --only {word!r}; {did_you_mean(word, words)}")
    if not only:
        return found
    return [v for v in found if v.name in only or set(v.name.split("-")) & set(only)]
