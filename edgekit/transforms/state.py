"""Carries the recipe's streaming state in the graph's metadata, so that a compiler can keep it where it computes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit.tensors import State

if TYPE_CHECKING:
    import onnx_ir as ir

KEY = "edgekit.state"


def write_state(model: ir.Model, state: Mapping[str, State]) -> None:
    """Note the state in the graph; nothing where there is none."""
    if state:
        model.metadata_props[KEY] = json.dumps({name: [each.output, each.delay] for name, each in state.items()})


def read_state(model: ir.Model) -> dict[str, State]:
    """What `write_state` has noted, by the name of the input."""
    noted = json.loads(model.metadata_props.get(KEY, "{}"))
    return {
        name: State(output, tuple(delay) if isinstance(delay, list) else delay)
        for name, (output, delay) in noted.items()
    }
