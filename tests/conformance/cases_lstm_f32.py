"""Cases of lstm_f32: all layers of recurrent_layers."""

from __future__ import annotations

from collections.abc import Iterator

from case import Case
from recurrent_layers import case_of, layers

from edgekit.ops import lstm


def cases() -> Iterator[Case]:
    for layer in layers(gates=lstm.GATES, states=2, quantized=False):
        yield case_of("lstm_f32", layer, module=lstm)
