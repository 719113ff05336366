"""Cases of lstm_i8: all layers of recurrent_layers."""

from __future__ import annotations

from collections.abc import Iterator

from case import Case
from recurrent_layers import case_of, layers

from edgekit.ops import lstm


def cases() -> Iterator[Case]:
    for layer in layers(gates=lstm.GATES, states=2, quantized=True):
        yield case_of("lstm_i8", layer, module=lstm)
