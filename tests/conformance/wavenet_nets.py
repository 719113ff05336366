"""Small WaveNets, and cases of every form of their ops: shared by cases_wavenet_i8, _f32 and _bf16."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.pack_wavenet import PackedWavenet, pack_wavenet
from edgekit.backends.native.records import ABSENT, Param, Ref, Space
from edgekit.ops import wavenet
from edgekit.ops.wavenet import Step, WavenetWeights

START = 128
STATE = Ref(Space.STATE, 0)


def net(channels: int, *, dilations=(1, 2, 4), hidden=64, classes=256, levels=256, gain=1.0, seed=0) -> WavenetWeights:
    rng = np.random.default_rng(seed)

    def uniform(*shape: int):
        return (rng.uniform(-gain, gain, shape) / np.sqrt(shape[-1])).astype(np.float32)

    layers = len(dilations)
    return WavenetWeights(
        embedding=rng.standard_normal((levels, channels)).astype(np.float32),
        gates=2 * uniform(layers, 2 * channels, 2 * channels),
        gate_bias=0.2 * uniform(layers, 2 * channels),
        mixes=uniform(layers, 2 * channels, channels),
        mix_bias=uniform(layers, 2 * channels),
        hidden=2 * uniform(hidden, channels),
        hidden_bias=uniform(hidden),
        logits=4 * uniform(classes, hidden),
        logits_bias=uniform(classes),
        dilations=tuple(dilations),
    )


def reference(weights: WavenetWeights, kind: str) -> Step:
    """What the kernels of a kind compute."""
    if kind == "i8":
        return wavenet.reference_i8(wavenet.quantized(weights))
    return wavenet.reference(wavenet.as_bf16(weights) if kind == "bf16" else weights)


def with_constants(packed: PackedWavenet, memories: Memories) -> dict[str, Param]:
    """The record's fields that follow from the weights; everything of the user is absent."""
    constants = {name: getattr(packed, name) for name in ("embedding", "dilations", "layers", "head")}
    refs = {name: memories.put(array, Space.CONSTANTS) for name, array in constants.items()}
    users = dict.fromkeys(("codes", "past", "seed", "temperature", "logits", "push", "samples"), ABSENT)
    numbers = {"steps": 1, "given": 0, "code_bytes": 8, "start": min(START, packed.fields["levels"] - 1)}
    return {**users, **refs, "state": STATE, **numbers, **packed.fields}


def cases(kind: str) -> Iterator[Case]:
    for channels in (16, 32, 48, 64, 80, 128):
        yield _stream(f"stream-{channels}", net(channels), kind, given=11, steps=11)
    yield _stream("one-layer", net(64, dilations=(1,), hidden=32), kind, given=3, steps=3)
    yield _stream("ragged", net(64, dilations=(3, 1, 5), hidden=96, classes=70, levels=70), kind, given=20, steps=20)
    yield _stream("hidden-filled-up", net(16, hidden=40, classes=1), kind, given=5, steps=5)
    yield _stream("saturated", net(64, gain=30 if kind == "i8" else 6, seed=3), kind, given=9, steps=9)
    yield _stream("int32-codes", net(32), kind, given=6, steps=9, code_bytes=4)
    yield _stream("generated", net(64, seed=1), kind, given=1, steps=30)
    yield _stream("from-the-start-code", net(64, seed=2), kind, given=0, steps=12)
    for temperature, seed in ((1.0, 0), (0.7, 2**63 - 1), (1.3, -5)):
        yield _stream(f"drawn-{seed}", net(64, seed=1), kind, given=2, steps=30, temperature=temperature, seed=seed)
    for channels in (16, 64, 80):
        yield _explicit(f"explicit-{channels}", net(channels), kind)


def _stream(
    name: str,
    weights: WavenetWeights,
    kind: str,
    *,
    given: int,
    steps: int,
    code_bytes: int = 8,
    temperature: float = 0.0,
    seed: int = 0,
) -> Case:
    channels, levels = weights.embedding.shape[1], len(weights.embedding)
    packed, memories = pack_wavenet(weights, kind=kind), Memories()
    codes = np.random.default_rng(5).integers(0, levels, given)
    codes[1:2] = levels + 7  # clamped
    taken = [int(code) for code in np.minimum(codes, levels - 1)] if given else [min(START, levels - 1)]
    advance = wavenet.run(reference(weights, kind), weights.dilations, channels=channels)
    results = list(wavenet.generate(advance, taken, steps, temperature=temperature, seed=seed % 2**64))
    dtype = np.dtype(f"i{code_bytes}")
    drawn = np.array([result[2] for result in results], dtype)
    logits = np.stack([result[0] for result in results]).astype(np.float32)
    params = with_constants(packed, memories)
    memories.put(np.zeros(packed.state_bytes, np.uint8), Space.STATE)
    inputs = {"codes": codes.astype(dtype)} if given else {}
    if temperature:
        inputs |= {"seed": np.array([seed], np.int64), "temperature": np.array([temperature], np.float32)}
    for index, (key, array) in enumerate(inputs.items()):
        params[key] = memories.put(array, Space.IO + index, offset=4)
    outputs = Space.IO + len(inputs)
    params |= {"steps": steps, "given": given, "code_bytes": code_bytes}
    params["samples"] = memories.room(drawn.nbytes, outputs, offset=4)
    params["logits"] = memories.room(logits.nbytes, outputs + 1, offset=4)
    state = _expected_state(kind, weights.dilations, [result[1] for result in results], int(drawn[-1]), levels)
    expected = (Expected(params["samples"], drawn), _logits(params["logits"], logits, kind), *state)
    return Case(f"{kind}-{name}", packed.op, params, memories.buffers(), expected, len(inputs))


def _explicit(name: str, weights: WavenetWeights, kind: str) -> Case:
    channels = weights.embedding.shape[1]
    packed, memories = pack_wavenet(weights, kind=kind), Memories()
    past = np.random.default_rng(7).standard_normal((len(weights.dilations), 1, channels)).astype(np.float32)
    past[0] = 0
    logits, push = reference(weights, kind)(9, past[:, 0])
    params = with_constants(packed, memories)
    memories.put(np.zeros(packed.state_bytes, np.uint8), Space.STATE)
    params["codes"] = memories.put(np.array([9], np.int64), Space.IO, offset=4)
    params["past"] = memories.put(past, Space.IO + 1, offset=4)
    params["logits"] = memories.room(4 * len(logits), Space.IO + 2, offset=4)
    params["push"] = memories.room(past.nbytes, Space.IO + 3, offset=4)
    params["given"] = 1
    header = np.frombuffer(struct.pack("<Qi52x", 1, 0), np.uint8)
    expected = (
        _logits(params["logits"], logits.astype(np.float32), kind),
        Expected(params["push"], push.astype(np.float32)[:, None], wavenet.TOLERANCE_EPS[kind]),
        Expected(STATE, header),
    )
    return Case(f"{kind}-{name}", packed.op, params, memories.buffers(), expected, 2)


def _logits(ref: Ref, logits, kind: str) -> Expected:
    return Expected(ref, logits, wavenet.TOLERANCE_EPS[kind], floor=max(1.0, float(np.abs(logits).max())))


def _expected_state(kind: str, dilations, pushes, last: int, levels: int) -> Iterator[Expected]:
    """The header, then every ring: the last `dilation` pushes, each in the slot of its step."""
    start = min(START, levels - 1)
    yield Expected(STATE, np.frombuffer(struct.pack("<Qi52x", len(pushes), last - start), np.uint8))
    channels = pushes[0].shape[1]
    slots = np.zeros((sum(dilations), channels))
    base = 0
    for layer, dilation in enumerate(dilations):
        for step, push in enumerate(pushes):
            slots[base + step % dilation] = push[layer]
        base += dilation
    if kind != "i8":
        yield Expected(Ref(Space.STATE, 64), slots.astype(np.float32), wavenet.TOLERANCE_EPS[kind], floor=8.0)
        return
    levels_and_scales = [wavenet.activation_levels(slot.astype(np.float32)) for slot in slots]
    written = slots.any(axis=1)
    yield Expected(Ref(Space.STATE, 64), np.stack([found[0] for found in levels_and_scales]))
    scales = np.where(written, [found[1] for found in levels_and_scales], 0).astype(np.float32)
    yield Expected(Ref(Space.STATE, 64 + slots.size), scales)
