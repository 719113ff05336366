"""How a static plan is shown: its memories, its tensors, and its kernel calls in order."""

from __future__ import annotations

from typing import Any

import numpy as np

import edgekit._native as native
from edgekit.backends.native.records import unpack_record
from edgekit.bench.units import size
from edgekit.bundle import Bundle
from edgekit.cli.output import table
from edgekit.errors import BundleError, did_you_mean
from edgekit.runtime.native import DTYPES

HIDDEN = ("input_stride", "output_stride")  # of a single vector: its own size


def plan_of(bundle: Bundle, payload: str) -> native.Plan:
    """The plan that `payload` of the bundle is.

    Raises:
        BundleError: the bundle has no such payload, or it is no plan.
    """
    payloads = {each.name: each for entry in bundle.manifest.targets for each in entry.payloads}
    if payload not in payloads:
        raise BundleError(f"{bundle.path.name} has no payload {payload!r}; {did_you_mean(payload, payloads)}")
    if payloads[payload].backend != "native":
        raise BundleError(f"payload {payload!r} runs on {payloads[payload].backend}, which has no plan to show")
    return native.Plan.parse(np.frombuffer(bundle.view(payloads[payload].files["model"]), np.uint8))


def plan_to_json(plan: native.Plan) -> dict[str, Any]:
    """All of a plan but its constants."""
    return {
        "inputs": [_tensor(*each) for each in plan.inputs],
        "outputs": [_tensor(*each) for each in plan.outputs],
        "arena_bytes": plan.arena_bytes,
        "state_bytes": plan.state_bytes,
        "constant_bytes": plan.constant_bytes,
        "calls": [
            {"op": op, "row": row, "label": label, "params": unpack_record(op, record)}
            for op, row, label, record in plan.steps
        ],
    }


def show_plan(plan: native.Plan) -> None:
    """A table of the calls, under a line of the memories."""
    title = (
        f"{len(plan.steps)} calls; arena {size(plan.arena_bytes)}, state {size(plan.state_bytes)}, "
        f"constants {size(plan.constant_bytes)}"
    )
    table(title, ["", "op", "row here", "nodes", "parameters"], [_cells(i, step) for i, step in enumerate(plan.steps)])


def _cells(index: int, step: tuple[str, str, str, bytes]) -> list[str]:
    op, row, label, record = step
    params = {name: value for name, value in unpack_record(op, record).items() if name not in HIDDEN}
    return [str(index), op, row, label, " ".join(f"{name}={_shown(value)}" for name, value in params.items())]


def _shown(value: Any) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}"
    space, offset = value
    return (
        "-" if space == 0 else f"{('', 'arena', 'const', 'state')[space] if space < 4 else f'io{space - 4}'}+{offset}"
    )


def _tensor(name: str, dtype: int, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "dtype": DTYPES[dtype], "shape": shape}
