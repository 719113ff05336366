"""Streams: the state that a model takes from one step to the next, held for the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from edgekit.errors import TensorError
from edgekit.runtime.runner import Runner
from edgekit.tensors import Array, Feeds, State, TensorSpec, check_feeds

STEPS = "(steps)"  # the leading dimension of a chunk; parentheses, so that no dimension of a model's own has its name


class Held(Protocol):
    """A model with its state inside, zero at the start: what `Carried` makes of any runner.

    A `Runner` that keeps state itself offers a method `stream()` that gives one of these, a new one at each call and
    independent of all others; or None for a model whose state it does not keep.
    """

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """One step: outputs without the state, in memory that the caller owns, for checked inputs without it.

        A step that raises has not happened: the state stays as it was.
        """

    def reset(self) -> None:
        """Zero the state."""


class Stream:
    """One run of a streaming model through time, independent of every other stream.

    A stream that several threads use takes their steps one after another, each whole; which goes first is chance.

    inputs, outputs: the tensors of a step, without the state.
    """

    def __init__(
        self,
        held: Held,
        state: Mapping[str, State],
        *,
        inputs: Iterable[TensorSpec],
        outputs: Iterable[TensorSpec],
        check_open: Callable[[], object],
    ) -> None:
        sources = {each.output for each in state.values()}
        self.inputs = without_state(inputs, state)
        self.outputs = tuple(spec for spec in outputs if spec.name not in sources)
        self._held = held
        self._check_open = check_open
        self._lock = threading.Lock()

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The next step: outputs by name for inputs by name. A step that raises has not happened.

        feeds: numpy arrays, or anything with `__dlpack__`, of the dtype and shape that `inputs` states.

        Raises:
            TensorError: a name, dtype, rank or size is not what `inputs` states; the message names the tensor.
            BackendError: the session is closed, or the runtime failed.
        """
        checked = check_feeds(self.inputs, feeds)
        with self._lock:
            self._check_open()
            return self._held.run(checked)

    def run_steps(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The next steps, as many calls of `run` would take them, bit for bit: outputs with an axis of steps first.

        feeds: as in `run`, each array with one more axis before the others: the steps, as many in each, at least one.

        Raises:
            TensorError: as `run`, and for different numbers of steps, or outputs whose shape varies. Nothing has
                happened then, but for the last of these.
            BackendError: as `run`; the steps before the one that failed have happened.
        """
        checked = check_steps(self.inputs, feeds)
        with self._lock:
            self._check_open()
            return run_steps(self._held, checked)

    def reset(self) -> None:
        """Zero the state: the next step is the first one."""
        with self._lock:
            self._check_open()
            self._held.reset()


def without_state(specs: Iterable[TensorSpec], state: Mapping[str, State]) -> tuple[TensorSpec, ...]:
    """The inputs that are not state."""
    return tuple(spec for spec in specs if spec.name not in state)


def check_steps(specs: Iterable[TensorSpec], feeds: Mapping[str, Any]) -> dict[str, Array]:
    """`check_feeds` for a chunk: every array has a leading axis of steps, as many in each, at least one.

    Raises:
        TensorError: as `check_feeds` does, and for different numbers of steps, or none.
    """
    most = np.iinfo(np.int64).max
    chunk = [replace(spec, shape=(STEPS, *spec.shape), ranges={**spec.ranges, STEPS: (1, int(most))}) for spec in specs]
    return check_feeds(chunk, feeds)


def run_steps(held: Held, feeds: Feeds) -> dict[str, Array]:
    """Step through a chunk: outputs of all steps, stacked along a new first axis.

    feeds: checked by `check_steps`.

    Raises:
        TensorError: an output whose shape or dtype changes from one step to the next.
    """
    steps = len(next(iter(feeds.values())))
    stacked: dict[str, Array] = {}
    for step in range(steps):
        outputs = held.run({name: array[step, ...] for name, array in feeds.items()})  # `...`: a scalar stays an array
        if not stacked:
            stacked = {name: np.empty((steps, *array.shape), array.dtype) for name, array in outputs.items()}
        for name, array in outputs.items():
            whole = stacked[name]
            if (array.shape, array.dtype) != (whole.shape[1:], whole.dtype):
                raise TensorError(
                    f"output {name!r} is {array.dtype}{list(array.shape)} at step {step} and was "
                    f"{whole.dtype}{list(whole.shape[1:])} before; outputs that vary are not stacked: use run()"
                )
            whole[step] = array
    return stacked


class Carried:
    """A model whose state is carried by hand, from the outputs of one call to the inputs of a later one.

    run: outputs by name for all inputs by name, state included, in memory that the caller owns.
    """

    def __init__(
        self,
        run: Callable[[dict[str, Array]], Mapping[str, Array]],
        inputs: Iterable[TensorSpec],
        state: Mapping[str, State],
    ) -> None:
        specs = {spec.name: spec for spec in inputs}
        self._run = run
        self._pasts = {name: (held.output, _past(specs[name], held)) for name, held in state.items()}
        self._sources = {held.output: specs[name] for name, held in state.items()}

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """See `Held.run`.

        Raises:
            TensorError: an output that is state has not the dtype and shape of its input.
        """
        outputs = dict(self._run({**feeds, **{name: past.oldest() for name, (_, past) in self._pasts.items()}}))
        new = {source: outputs.pop(source) for source in self._sources}
        for source, spec in self._sources.items():
            if new[source].shape != spec.shape or new[source].dtype != spec.dtype:
                raise TensorError(f"output {source!r} is {new[source].dtype}{list(new[source].shape)}; expected {spec}")
        for source, past in self._pasts.values():
            past.push(new[source])
        return outputs

    def reset(self) -> None:
        """Zero the state."""
        for _, past in self._pasts.values():
            past.reset()


def _past(spec: TensorSpec, held: State) -> _Whole | _ByRow:
    return _ByRow(spec, held.delays) if isinstance(held.delay, tuple) else _Whole(spec, held.delay)


class _Whole:
    """A tensor of `delay` steps before. The arrays of the steps between are kept as they came, and never copied."""

    def __init__(self, spec: TensorSpec, delay: int) -> None:
        self._zero = np.zeros(spec.shape_at({}), spec.dtype)
        self._delay = delay
        self._ring: list[Array] = [self._zero] * delay
        self._at = 0

    def oldest(self) -> Array:
        return self._ring[self._at]

    def push(self, output: Array) -> None:
        self._ring[self._at] = output
        self._at = (self._at + 1) % self._delay

    def reset(self) -> None:
        self._ring = [self._zero] * self._delay
        self._at = 0


class _ByRow:
    """A tensor each row of which is of so many steps before.

    Each row has a ring of its own, as long as its delay, and all rings lie in one array, one after another. The place
    that a row of the past is read from is the one that the row of the present is then written to.
    """

    def __init__(self, spec: TensorSpec, delays: tuple[int, ...]) -> None:
        shape = spec.shape_at({})
        self._delays = np.array(delays, np.intp)
        self._begins = np.cumsum(self._delays) - self._delays
        self._rings = np.zeros((int(self._delays.sum()), *shape[1:]), spec.dtype)
        self._oldest = np.empty(shape, spec.dtype)
        self._at = self._begins.copy()
        self._step = 0

    def oldest(self) -> Array:
        self._rings.take(self._at, axis=0, out=self._oldest, mode="clip")  # "raise" would copy through a buffer
        return self._oldest

    def push(self, output: Array) -> None:
        self._rings[self._at] = output
        self._step += 1
        np.remainder(self._step, self._delays, out=self._at)
        self._at += self._begins

    def reset(self) -> None:
        self._rings.fill(0)
        self._at[:] = self._begins
        self._step = 0


def hold(runner: Runner, inputs: Iterable[TensorSpec], state: Mapping[str, State]) -> Held:
    """The runner with its state held: by itself where it offers that (see `Held`), else carried by hand."""
    offered: Callable[[], Held | None] | None = getattr(runner, "stream", None)
    own = offered() if offered is not None else None
    return own if own is not None else Carried(runner.run, inputs, state)
