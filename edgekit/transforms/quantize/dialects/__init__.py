"""Dialects of QDQ: one internal form of a quantized graph, rewritten into what each backend takes.

The internal form is the most general one: pairs of QuantizeLinear and DequantizeLinear around activations, u8 or s8
with any zero point; weights and biases as integers in front of a DequantizeLinear. A graph is calibrated once, in it.

Symmetric grids (u8 with zero point 128, s8 with 0) stay the same in every dialect, and so do the outputs. Others lose
up to one bit where a dialect has symmetric ones only: a tensor from a ReLU keeps 128 of its 256 levels. A graph in the
dialect "tensorrt" also runs in onnxruntime and OpenVINO, for targets that have to give the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import BackendError, did_you_mean
from edgekit.transforms.quantize.dialects import rules, steps

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["DIALECTS", "Dialect", "check_dialect", "to_dialect"]

SHOWN = 3  # violations in an error's message


@dataclass(frozen=True)
class Dialect:
    """steps: rewrite the graph in place, in this order. rules: yield a sentence for each node that breaks them."""

    steps: tuple[Callable[[ir.Model], None], ...]
    rules: tuple[Callable[[ir.Model], Iterator[str]], ...]


DIALECTS = {
    "general": Dialect(steps=(), rules=()),  # onnxruntime and OpenVINO
    "tensorrt": Dialect(
        steps=(
            steps.store_quantized_constants,
            steps.make_int32_constants_float,
            steps.make_constants_symmetric,
            steps.make_activations_symmetric,
            steps.give_each_edge_a_pair,
            steps.drop_what_is_unused,
        ),
        rules=(
            rules.outside_of_control_flow,
            rules.parameters_are_constants,
            rules.grids_are_symmetric,
            rules.activations_have_one_scale,
            rules.pairs_are_complete,
            rules.pairs_serve_one_edge,
        ),
    ),
}


def to_dialect(model: ir.Model, dialect: str) -> ir.Model:
    """The QDQ graph `model` in `dialect`, one of `DIALECTS`; the model itself where nothing is to be done.

    Inputs and outputs stay as they are; `model` is not changed. Functions are inlined before, see
    `edgekit.transforms.lower`.

    Raises:
        BackendError: an unknown dialect, or nodes that it has no form for; the message names them.
    """
    import onnx_ir as ir

    wanted = _named(dialect)
    if not wanted.steps:
        return model
    written: ir.Model = ir.from_proto(ir.to_proto(model))
    for step in wanted.steps:
        step(written)
    if violations := check_dialect(written, dialect):
        more = f"; and {len(violations) - SHOWN} more" if len(violations) > SHOWN else ""
        raise BackendError(f"the quantized graph has no {dialect} form: {'; '.join(violations[:SHOWN])}{more}")
    return written


def check_dialect(model: ir.Model, dialect: str) -> tuple[str, ...]:
    """What in `model` breaks the rules of `dialect`: a sentence each, which names the node. Empty if nothing does.

    Raises:
        BackendError: an unknown dialect.
    """
    return tuple(violation for rule in _named(dialect).rules for violation in rule(model))


def _named(dialect: str) -> Dialect:
    if dialect not in DIALECTS:
        raise BackendError(f"unknown QDQ dialect {dialect!r}; {did_you_mean(dialect, DIALECTS)}")
    return DIALECTS[dialect]
