"""The noise that each layer adds when it alone is compressed, just as it is in the variant that is explained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgekit.building.store import Store, code_digest
from edgekit.explaining.parts import Part, splice
from edgekit.explaining.watch import save
from edgekit.explaining.wiring import Wiring
from edgekit.tensors import Feeds
from edgekit.transforms.quantize.noise import outputs_of, sqnr_db


def alone_db(
    floats: Wiring,
    compressed: Wiring,
    parts: Sequence[Part],
    samples: Sequence[Feeds],
    *,
    store: Store,
    folder: Path,
    progress: Callable[[int, int], None],
) -> dict[str, float]:
    """Signal to noise of the model's outputs, in decibels, by layer; of those that are compressed.

    store: one that an earlier call has looked at is not run again.
    """
    looked_at = [part for part in parts if part.compressed]
    expected = list(outputs_of(save(floats.model, folder / "whole.onnx"), samples)) if looked_at else []
    facts = {"alone": [_digest(floats), _digest(compressed), _digest_of(samples)], "code": code_digest(__package__)}
    file = folder / "one-layer.onnx"

    def measure(part: Part) -> float:
        save(splice(floats, compressed, part), file)
        return sqnr_db(expected, outputs_of(file, samples))

    found = {}
    for done, part in enumerate(looked_at):
        progress(done, len(looked_at))
        found[part.layer] = float(store.value({**facts, "layer": part.layer}, make=lambda part=part: measure(part)))  # type: ignore[misc]
    progress(len(looked_at), len(looked_at))
    return found


def _digest(wiring: Wiring) -> str:
    digest = hashlib.sha256()
    for node in wiring.model.graph.node:
        digest.update(node.SerializeToString(deterministic=True))
    for name, tensor in sorted(wiring.constants.items()):
        digest.update(name.encode() + tensor.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _digest_of(samples: Sequence[Feeds]) -> str:
    digest = hashlib.sha256()
    for feeds in samples:
        for name in sorted(feeds):
            array = np.ascontiguousarray(feeds[name])
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
