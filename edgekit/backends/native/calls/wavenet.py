"""The call of a WaveNet step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.pack_wavenet import PackedWavenet
from edgekit.backends.native.records import ABSENT, Param, Ref


@dataclass
class Wavenet:
    """wavenet_i8 or wavenet_f32, one step: of its own delay lines in a stream, else of the past that is bound."""

    label: str
    packed: PackedWavenet
    sample: Buffer
    past: Buffer
    logits: Buffer
    push: Buffer
    state: Ref

    @property
    def op(self) -> str:
        return self.packed.op

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return (self.sample, self.past)

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return (self.logits, self.push)

    def params(self, constants: Constants) -> Mapping[str, Param]:
        packed = self.packed
        return {
            "codes": self.sample.at(),
            "past": self.past.at(),
            "seed": ABSENT,
            "temperature": ABSENT,
            "logits": self.logits.at(),
            "push": self.push.at(),
            "samples": ABSENT,
            "state": self.state,
            "embedding": constants.put(packed.embedding),
            "dilations": constants.put(packed.dilations),
            "layers": constants.put(packed.layers),
            "head": constants.put(packed.head),
            "steps": 1,
            "given": 1,
            "code_bytes": 8,
            "start": 0,
            **packed.fields,
        }
