"""The constants of a plan: one block of bytes, in which equal arrays are stored once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.backends.native.records import Ref, Space
from edgekit.tensors import Array

ALIGNMENT = 64


@dataclass
class Constants:
    """Grows by `put`; `data` is what the file holds."""

    data: bytearray = field(default_factory=bytearray)
    _known: dict[bytes, Ref] = field(default_factory=dict)

    def put(self, array: Array) -> Ref:
        """Where the bytes of `array` lie from now on."""
        stored = np.ascontiguousarray(array).tobytes()
        if stored not in self._known:
            self.data.extend(bytes(-len(self.data) % ALIGNMENT))
            self._known[stored] = Ref(Space.CONSTANTS, len(self.data))
            self.data.extend(stored)
        return self._known[stored]
