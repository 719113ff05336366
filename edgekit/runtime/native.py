"""Runs static plans with edgekit's own kernels: nothing but numpy and the edgekit wheel is needed."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

import edgekit._native as native
from edgekit.errors import BackendError
from edgekit.runtime.runner import OpenRequest, Source, keeping_alive
from edgekit.tensors import Array

DTYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "int32", 5: "int64", 6: "bool"}  # as the plan file numbers them


def open_model(request: OpenRequest) -> NativeRunner:
    """Open `files["model"]`. Plans run on the caller's thread alone.

    Raises:
        BackendError: the file is not a sound plan, is for a newer edgekit, or is not of the declared tensors.
    """
    try:
        plan = native.Plan.parse(_as_bytes(request.files["model"]))
    except native.PlanError as error:
        raise BackendError(str(error)) from error
    _check_names(plan, request)
    return NativeRunner(plan)


class NativeRunner:
    """A Runner over one plan; each thread that runs it at the same time has an arena of its own.

    A plan is made for one shape. Where the first dimension is open in the declared tensors, it counts independent
    samples, and a larger batch is run one sample after the other.
    """

    def __init__(self, plan: native.Plan) -> None:
        self.plan = plan
        self._inputs = [(name, tuple(shape)) for name, _, shape in plan.inputs]
        self._outputs = [(name, DTYPES[dtype], tuple(shape)) for name, dtype, shape in plan.outputs]
        self._idle: list[native.Run] = []
        rows = sorted({row for _, row, _, _ in plan.steps})
        self.origin = f"plan, kernels: {', '.join(rows)}"

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        batch = self._batch(feeds)
        outputs = {
            name: np.empty(shape if batch == 1 else (batch, *shape[1:]), dtype) for name, dtype, shape in self._outputs
        }
        run = self._take()
        try:
            for sample in range(batch):
                self._bind(run, feeds, outputs, sample if batch != 1 else None)
                run()
        finally:
            self._idle.append(run)
        return outputs

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        batch = self._batch(inputs)
        if batch == 1:
            run = native.Run(self.plan)
            self._bind(run, inputs, outputs, None)
            run.buffers = [*inputs.values(), *outputs.values()]
            return run
        runs = [native.Run(self.plan) for _ in range(batch)]
        for sample, run in enumerate(runs):
            self._bind(run, inputs, outputs, sample)
        return keeping_alive(lambda: _run_all(runs), *inputs.values(), *outputs.values())

    def stream(self) -> NativeStream | None:
        """The model with its state kept in the plan's own memory; None if the plan does not keep it."""
        return NativeStream(self.plan) if self.plan.states else None

    def close(self) -> None:
        self._idle.clear()

    def _batch(self, arrays: Mapping[str, Array]) -> int:
        """How many samples are fed: 1 for the plan's own shapes.

        Raises:
            BackendError: another dimension than the first differs from the plan's.
        """
        for name, shape in self._inputs:
            found = arrays[name].shape
            if found == shape:
                continue
            if found[1:] != shape[1:] or shape[0] != 1:
                raise BackendError(f"native: {name!r} has shape {found}; this plan was made for {shape}, batches of it")
            return int(found[0])
        return 1

    def _bind(
        self, run: native.Run, inputs: Mapping[str, Array], outputs: Mapping[str, Array], sample: int | None
    ) -> None:
        part = slice(None) if sample is None else slice(sample, sample + 1)
        for index, (name, _) in enumerate(self._inputs):
            run.bind_input(index, inputs[name][part])
        for index, (name, _, _) in enumerate(self._outputs):
            run.bind_output(index, outputs[name][part])

    def _take(self) -> native.Run:
        try:
            return self._idle.pop()  # list.pop and append are atomic: no lock in the hot path
        except IndexError:
            return native.Run(self.plan)


class NativeStream:
    """One stream of a plan that keeps its state: see `edgekit.runtime.stream.Held`."""

    def __init__(self, plan: native.Plan) -> None:
        state = [(input_, output) for input_, output, _ in plan.states]
        carried, made = {input_ for input_, _ in state}, {output for _, output in state}
        self._inputs = [(i, name) for i, (name, _, _) in enumerate(plan.inputs) if i not in carried]
        self._outputs = [
            (i, name, DTYPES[dtype], tuple(shape))
            for i, (name, dtype, shape) in enumerate(plan.outputs)
            if i not in made
        ]
        self._run = native.Run(plan)
        self._run.bind_state()

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        run = self._run
        for index, name in self._inputs:
            run.bind_input(index, feeds[name])
        outputs = {}
        for index, name, dtype, shape in self._outputs:
            outputs[name] = np.empty(shape, dtype)
            run.bind_output(index, outputs[name])
        run()
        return outputs

    def reset(self) -> None:
        self._run.reset()


def _run_all(runs: Sequence[native.Run]) -> None:
    for run in runs:
        run()


def _check_names(plan: native.Plan, request: OpenRequest) -> None:
    for kind, found, declared in (
        ("inputs", plan.inputs, request.inputs),
        ("outputs", plan.outputs, request.outputs),
    ):
        have = [(name, DTYPES[dtype]) for name, dtype, _ in found]
        want = [(spec.name, spec.dtype) for spec in declared]
        if sorted(have) != sorted(want):
            raise BackendError(f"native: the plan has {kind} {have}; expected {want}: it is of another model")


def _as_bytes(source: Source) -> native.Bytes:
    if not isinstance(source, Path):
        return np.frombuffer(source, np.uint8)
    with source.open("rb") as file:
        if source.stat().st_size == 0:
            return np.zeros(0, np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
