"""Cases of gru_i8: both places of the reset gate, all layers of recurrent_layers."""

from __future__ import annotations

from collections.abc import Iterator

from case import Case
from recurrent_layers import case_of, layers

from edgekit.ops import gru


def cases() -> Iterator[Case]:
    for layer in layers(gates=gru.GATES, states=1, quantized=True):
        for before in (0, 1):
            yield case_of("gru_i8", layer, module=gru, attributes={"linear_before_reset": before})
