"""What a peer is to the worker: opened for one arm, then bound to fixed buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edgekit.tensors import Array, Feeds


@dataclass(frozen=True)
class Bound:
    """An opened arm tied to fixed buffers. Only `call` is timed; what the runtime's format needs happens around it.

    write: copies a sample into the input buffers; names, dtypes and shapes are those that were bound. Where processing
        is timed it takes a raw sample.
    call: one inference on what was written.
    read: a copy of the outputs of the last call, by name, in the recipe's dtype and layout.
    """

    write: Callable[[Any], None]
    call: Callable[[], object]
    read: Callable[[], dict[str, Array]]


class Peer(Protocol):
    """An opened arm."""

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Outputs by name for one sample, of any shape that the model takes."""

    def bind(self, feeds: Feeds) -> Bound:
        """Buffers of the shapes of `feeds`, and the fastest call on them."""

    def close(self) -> None:
        """Free the model."""
