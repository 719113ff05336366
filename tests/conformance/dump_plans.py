"""Writes small plan files for kernels/tests/fuzz and threads: of the cases of each op, and of graphs that were lowered.

python tests/conformance/dump_plans.py build/plans
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from case import Case
from dump_cases import every_case

sys.path.append(str(Path(__file__).parents[1] / "backends" / "native"))
from small_graphs import graph_of, quantized

from edgekit.backends.native.lower import lower_to_plan
from edgekit.backends.native.plan import NativePlan, PlanCall, PlanTensor
from edgekit.backends.native.records import SLACK, Param, Ref, Space
from edgekit.backends.native.write import ALIGNMENT, plan_bytes
from edgekit.tensors import Array, State
from edgekit.transforms.state import write_state

SMALL_BYTES = 6000  # of the memories of a case: a changed plan is read and checked as a whole each time
CALLS = 4


def small_plans() -> Iterator[tuple[str, NativePlan]]:
    """A name and a plan: one for each op, then lowered graphs."""
    for op, cases in groupby(every_case(), key=lambda case: case.op):
        yield op, plan_of_cases(_few(list(cases)))
    yield "lowered_image", lowered_image()
    yield "lowered_stream", lowered_stream()


def _few(cases: Sequence[Case]) -> list[Case]:
    """Up to `CALLS` cases from the first to the last of those that are small; the smallest where none is."""
    small = [case for case in cases if _size(case) <= SMALL_BYTES] or [min(cases, key=_size)]
    return [small[i] for i in sorted({round(i) for i in np.linspace(0, len(small) - 1, CALLS)})]


def _size(case: Case) -> int:
    return sum(buffer.nbytes for buffer in case.buffers.values())


@dataclass(frozen=True)
class _Tensor:
    """An I/O space of a case."""

    case: int
    space: int
    nbytes: int
    is_input: bool


def plan_of_cases(cases: Sequence[Case]) -> NativePlan:
    """A plan that calls `cases` one after another, each in memories of its own."""
    tensors = sorted(_tensors(cases), key=lambda tensor: not tensor.is_input)
    memories = {space: bytearray() for space in (Space.ARENA, Space.CONSTANTS, Space.STATE)}
    calls = []
    for number, case in enumerate(cases):
        starts = {int(space): Ref(space, len(memory)) for space, memory in memories.items()}
        starts |= {t.space: Ref(Space.IO + place, 0) for place, t in enumerate(tensors) if t.case == number}
        params = {name: _moved(value, starts) for name, value in case.params.items()}
        calls.append(PlanCall(case.op, case.name, params))
        for space, memory in memories.items():
            memory.extend(case.buffers.get(space, np.zeros(SLACK, np.uint8))[:-SLACK].tobytes())
            memory.extend(bytes(-len(memory) % ALIGNMENT))
    planned = [PlanTensor(f"{t.case}-{t.space}", "uint8", (t.nbytes,)) for t in tensors]
    inputs = sum(tensor.is_input for tensor in tensors)
    return NativePlan(
        inputs=planned[:inputs],
        outputs=planned[inputs:],
        calls=calls,
        constants=bytes(memories[Space.CONSTANTS]),
        arena_bytes=len(memories[Space.ARENA]),
        state_bytes=len(memories[Space.STATE]),
    )


def _tensors(cases: Sequence[Case]) -> Iterator[_Tensor]:
    for number, case in enumerate(cases):
        for space, buffer in case.buffers.items():
            if space >= Space.IO:
                yield _Tensor(number, space, buffer.nbytes, space < Space.IO + case.inputs)


def _moved(value: Param, starts: Mapping[int, Ref]) -> Param:
    if not isinstance(value, Ref) or value.space == Space.NONE:
        return value
    start = starts[value.space]
    return Ref(start.space, start.offset + value.offset)


def lowered_image() -> NativePlan:
    """A quantized net of convolutions, one of them depthwise and one with a residual, pooling and a dense layer."""
    text = """(float[N,3,9,7] x) => (float[N,5] y) {
        a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, aw, ab)
        b = Relu(a)
        c = Conv<pads=[1,1,1,1], group=8>(b, cw, cb)
        d = Relu(c)
        e = Conv(d, ew, eb)
        f = Add(e, b)
        g = GlobalAveragePool(f)
        h = Flatten(g)
        y = Gemm<transB=1>(h, yw, yb)
    }"""
    weights = {"aw": (8, 3, 3, 3), "cw": (8, 1, 3, 3), "ew": (8, 8, 1, 1), "yw": (5, 8)}
    biases = {"ab": 8, "cb": 8, "eb": 8, "yb": 5}
    return lower_to_plan(quantized(graph_of(text, **_random({**weights, **biases}))))


def lowered_stream() -> NativePlan:
    """A float net whose hidden state is kept in the plan's state memory."""
    text = """(float[1,4] x, float[1,6] h) => (float[1,3] y, float[1,6] next) {
        a = Gemm<transB=1>(x, aw, ab)
        b = Gemm<transB=1>(h, bw, bb)
        c = Add(a, b)
        next = Tanh(c)
        d = Gemm<transB=1>(next, dw, db)
        y = Softmax(d)
    }"""
    shapes = {"aw": (6, 4), "ab": 6, "bw": (6, 6), "bb": 6, "dw": (3, 6), "db": 3}
    model = graph_of(text, **_random(shapes))
    write_state(model, {"h": State("next")})
    return lower_to_plan(model)


def _random(shapes: Mapping[str, int | tuple[int, ...]]) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {name: (rng.standard_normal(shape) / 3).astype(np.float32) for name, shape in shapes.items()}


def write_plans(folder: Path) -> None:
    """Write NAME.plan for each of `small_plans` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, plan in small_plans():
        (folder / f"{name}.plan").write_bytes(plan_bytes(plan))


if __name__ == "__main__":
    write_plans(Path(sys.argv[1]))
