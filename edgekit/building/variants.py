"""What may be tried for a target: a backend, a precision, and how that precision was reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.backends.native import why_not_covered
from edgekit.errors import TargetError, did_you_mean
from edgekit.target import Target, why_not_measurable
from edgekit.transforms.quantize import METHODS, why_not_applicable

if TYPE_CHECKING:
    import onnx_ir as ir

FLOAT = "float"
# From the plainest to the most compressed; "+bf16" says what computes where nothing is quantized, else it is f32.
PRECISION_ORDER = ("f32", "bf16", "int8", "int8+bf16", "int4", "int4+bf16")


@dataclass(frozen=True)
class Variant:
    """One way to run the model.

    method: how it was compressed, a name of `METHODS`, or `FLOAT`.
    kept_float: names of layers that `method` left in float: see `edgekit.building.search`.
    """

    backend: str
    precision: str
    method: str = FLOAT
    kept_float: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For example `openvino-int8-lean-mse`, or `openvino-int8-lean-mse-less3` with three layers left in float."""
        words = [self.backend, self.precision.replace("+", "-")]  # it names files, too
        words += [self.method] if self.method != FLOAT else []
        words += [f"less{len(self.kept_float)}"] if self.kept_float else []
        return "-".join(words)

    @property
    def family(self) -> tuple[str, str, str]:
        """What variants share whose graphs have the same shape, and so take the same time."""
        method = METHODS.get(self.method)
        return (self.backend, self.precision, (method.family if method else "") or self.method)


@dataclass(frozen=True)
class Candidate:
    """A variant, what it is in a few words, and why it will not be tried; empty if it will."""

    variant: Variant
    what: str
    excluded: str = ""


# The float reference, the portable fallback, and what every other variant is compared with.
REFERENCE = Variant("onnxruntime", "f32")
# What each backend can compute a float graph in on a CPU.
CPU_FLOATS = {"native": ("f32",), "openvino": ("f32", "bf16"), "onnxruntime": ("f32",)}


# Words of `only` that name nothing but float variants.
FLOAT_WORDS = ("f32", "bf16", *(f"{b}-{p}" for b, precisions in CPU_FLOATS.items() for p in precisions))


def candidates(target: Target, model: ir.Model, only: Sequence[str] = ()) -> tuple[Candidate, ...]:
    """Every variant that edgekit knows for `target`, float ones first, each with the reason if it will not be tried.

    model: the float graph.
    only: try those alone whose name is one of these words or has one of them as a part (`f32`, `openvino`, `nncf`).

    Raises:
        TargetError: no compiler for this device here, or a word in `only` that fits nothing.
    """
    backends = [backend for backend in target.backends if backend in CPU_FLOATS]
    if target.device != "cpu" or not backends:
        raise TargetError(
            f"target {target.name!r} needs {' or '.join(target.backends)}, which this release does not compile for; "
            "build for a CPU target"
        )
    found = [candidate for backend in backends for candidate in _of_backend(backend, target, model)]
    found.sort(key=lambda candidate: PRECISION_ORDER.index(candidate.variant.precision))
    _check_words(found, only)
    return tuple(_restricted(candidate, target, only) for candidate in found)


def tried(found: Sequence[Candidate]) -> tuple[Variant, ...]:
    """The variants that will be tried; the reference always is."""
    variants = tuple(candidate.variant for candidate in found if not candidate.excluded)
    return variants if REFERENCE in variants else (REFERENCE, *variants)


def _of_backend(backend: str, target: Target, model: ir.Model) -> Iterator[Candidate]:
    for precision in CPU_FLOATS[backend]:
        if precision in target.precisions:
            lacking = _why_not(backend, model, floats=True)
            yield Candidate(Variant(backend, precision), f"the float graph, computed in {precision}", lacking)
    uncovered = _why_not(backend, model, floats=False)
    for name, method in METHODS.items():
        if backend not in method.backends or method.precision not in target.precisions:
            continue
        lacking = uncovered or why_not_applicable(name, model) or ""
        yield Candidate(Variant(backend, method.precision, name), method.what, lacking)
        if "bf16" in CPU_FLOATS[backend] and "bf16" in target.precisions:
            what = f"{method.what}; bf16 where nothing is quantized"
            yield Candidate(Variant(backend, f"{method.precision}+bf16", name), what, lacking)


def _why_not(backend: str, model: ir.Model, *, floats: bool) -> str:
    """Why the backend has no form of the graph, as far as the float graph tells; empty if it may have one."""
    return (why_not_covered(model, floats=floats) or "") if backend == "native" else ""


def _restricted(candidate: Candidate, target: Target, only: Sequence[str]) -> Candidate:
    reason = candidate.excluded
    variant = candidate.variant
    if variant.precision != "f32" and (unmeasurable := why_not_measurable(target)):
        reason = f"{unmeasurable}, so nothing could be shown to be faster"
    if only and variant != REFERENCE and not _words(variant) & set(only):
        reason = "not named by --only"
    return Candidate(variant, candidate.what, reason)


def _words(variant: Variant) -> set[str]:
    return {variant.name, variant.method, *variant.name.split("-")}


def _check_words(found: Sequence[Candidate], only: Sequence[str]) -> None:
    known = {word for candidate in found for word in _words(candidate.variant)}
    for word in only:
        if word not in known:
            raise TargetError(f"no variant fits --only {word!r}; {did_you_mean(word, known)}")
