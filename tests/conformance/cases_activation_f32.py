"""Cases of activation_f32: every function on ordinary, tiny and huge values, on NaN and infinities, in place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.records import Space
from edgekit.ops import activation_f32
from edgekit.ops.activation_f32 import Activation

BOUNDED = (Activation.NONE, Activation.RELU, Activation.RELU6, Activation.SIGMOID, Activation.TANH)


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    wide = np.concatenate([rng.uniform(-12, 12, 3000), rng.uniform(-0.01, 0.01, 200), [0, 1e-40, -1e-40]])
    huge = np.array([1e4, -1e4, 1e13, -1e13, 3e38, -3e38, 88, -88, 104, -104, 1e-30, np.nan])
    for activation in Activation:
        infinite = [np.inf, -np.inf] if activation in BOUNDED else [np.inf]
        for name, x in (("wide", wide), ("huge", huge), ("infinite", np.array(infinite)), ("one", wide[:1])):
            yield _case(f"{activation.name}-{name}", x, activation)


def _case(name: str, x, activation: Activation) -> Case:
    x = x.astype(np.float32)
    memories = Memories()
    source = memories.put(x, offset=4)
    with np.errstate(over="ignore"):
        wanted = activation_f32.reference(x, activation=activation).astype(np.float32)
    to = source if name.endswith("wide") else memories.room(x.nbytes, Space.IO, offset=4)
    params = {"input": source, "output": to, "count": len(x), "activation": int(activation)}
    expected = Expected(to, wanted, activation_f32.TOLERANCE_EPS)
    return Case(name, "activation_f32", params, memories.buffers(), (expected,))
