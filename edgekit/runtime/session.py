"""Open a bundle on this machine, check that it still computes what it computed when built, and run it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgekit.bundle import Bundle, Payload, TargetEntry, open_bundle
from edgekit.errors import (
    BackendError,
    BundleError,
    GoldenMismatchError,
    TargetError,
    TensorError,
    did_you_mean,
)
from edgekit.runtime.golden import replay_once
from edgekit.runtime.runner import Runner, open_runner
from edgekit.runtime.stream import Stream, hold
from edgekit.runtime.tuned import chosen_first, left_out, recall, why_stale
from edgekit.target import host_arch, why_not_runnable
from edgekit.tensors import Array, State, TensorSpec, check_array, check_feeds

STATELESS = "the model has no state: its bundle declares none; declare it in the recipe (state=...) and build again"


@dataclass(frozen=True)
class SessionInfo:
    """What a session runs.

    target, payload, backend, precision: the target profile and the variant chosen from the bundle.
    fused_ops: edgekit's own fused operators that were kept in the graph.
    sha256: identity of the bundle.
    skipped: one line for each better payload that could not be used on this machine, and why.
    tuned: whether the payload is the one that `edgekit tune` has chosen on this machine.
    """

    target: str
    payload: str
    backend: str
    precision: str
    fused_ops: tuple[str, ...]
    sha256: str
    skipped: tuple[str, ...] = ()
    tuned: bool = False


class Session:
    """A model on this device. `run` may be called from several threads; use as a context manager, or call `close`.

    A streaming model has state: inputs that are outputs of earlier steps. `run` and `bind` with all inputs leave that
    to the caller. `state` gives streams that hold it; `run` without the state inputs is a step of a stream that the
    session has for itself. See docs/streaming.md.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        info: SessionInfo,
        state: Mapping[str, State] | None = None,
    ) -> None:
        self._runner: Runner | None = runner
        self.inputs = inputs
        self.outputs = outputs
        self.info = info
        self._state = dict(state or {})
        # It need not ask whether the session is open, and must not keep it alive: `run` has asked.
        self._own_stream = self._stream(runner, lambda: None) if self._state else None

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """Outputs by name for inputs by name; of a streaming model without state inputs, the next step.

        feeds: numpy arrays, or anything with `__dlpack__`, of the dtype and shape that `inputs` states.

        Raises:
            TensorError: a name, dtype, rank or size is not what `inputs` states; the message names the tensor.
            BackendError: the session is closed.
        """
        runner = self._open_runner()
        own_stream = self._own_stream
        if own_stream is not None and self._state.keys().isdisjoint(feeds):
            return own_stream.run(feeds)
        return runner.run(check_feeds(self.inputs, feeds))

    def state(self) -> Stream:
        """A new stream of this model, its state zero, independent of all others; it lives as long as the session.

        Raises:
            BackendError: the model has no state, or the session is closed.
        """
        runner = self._open_runner()
        if not self._state:
            raise BackendError(STATELESS)
        return self._stream(runner, self._open_runner)

    def reset(self) -> None:
        """Zero the state of the session's own stream, the one that `run` without state inputs takes a step of.

        Raises:
            BackendError: the model has no state, or the session is closed.
        """
        self._open_runner()
        if self._own_stream is None:
            raise BackendError(STATELESS)
        self._own_stream.reset()

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        """A call without arguments for hot loops: it reads `inputs` and writes `outputs` in place, copying nothing.

        inputs, outputs: C-contiguous numpy arrays that stay yours; fill the inputs before each call. One thread only.

        Raises:
            TensorError: as `run`, and for what is not a contiguous, writable array.
            BackendError: the session is closed.
        """
        runner = self._open_runner()
        for name, array in (*inputs.items(), *outputs.items()):
            if not isinstance(array, np.ndarray) or not array.flags.carray:
                raise TensorError(
                    f"{name!r} cannot be bound: it must be a numpy array that is C-contiguous and writable; "
                    "pass np.array(..., order='C')"
                )
        sizes: dict[str, int] = {}
        check_feeds(self.inputs, inputs, sizes)
        _check_outputs(self.outputs, outputs, sizes)
        return runner.bind(inputs, outputs)

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        if self._runner is not None:
            self._own_stream = None
            self._runner.close()
            self._runner = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, runner: Runner, check_open: Callable[[], object]) -> Stream:
        held = hold(runner, self.inputs, self._state)
        return Stream(held, self._state, inputs=self.inputs, outputs=self.outputs, check_open=check_open)

    def _open_runner(self) -> Runner:
        if self._runner is None:
            raise BackendError("the session is closed; open the bundle again with edgekit.load(...)")
        return self._runner


def load(
    path: str | Path,
    device: str | None = None,
    *,
    threads: int | None = None,
    target: str | None = None,
    tuned: bool = True,
) -> Session:
    """Open the bundle at `path` with the best payload that works on this machine.

    device: "cpu" or "cuda"; any if None.
    threads: intra-op threads, from 1; the target profile's number if None.
    target: name of one of the bundle's targets; the most specific one that this machine can run if None.
    tuned: whether the payload that `edgekit tune` has chosen on this machine, for so many threads, goes first; False
        keeps to the bundle's order.

    The first time on a machine, the bundle's golden samples are replayed. A payload that cannot be opened or does not
    reproduce them is passed over with a warning, and the next one is tried.

    Raises:
        BundleError: the file is not a sound bundle, or none of its payloads works here.
        BackendError: `threads` is below 1.
        TargetError: the bundle has no such target, or none that this machine can run.
    """
    if threads is not None and threads < 1:
        raise BackendError(f"threads = {threads}; expected a whole number from 1")
    bundle = open_bundle(Path(path))
    entry = choose_target(bundle, device, target)
    threads = threads or entry.target.threads
    choice = recall(bundle, entry, threads) if tuned else None
    payload, runner, skipped = _open_first(bundle, chosen_first(entry.payloads, choice), threads)
    used = choice if choice is not None and choice.payload == payload.name else None
    if used is not None and (reason := why_stale(used, runner.origin)):
        runner.close()
        warnings.warn(left_out(bundle, entry, threads, reason=reason), RuntimeWarning, stacklevel=2)
        used = None
        payload, runner, skipped = _open_first(bundle, entry.payloads, threads)
    for reason in skipped:
        warnings.warn(f"{bundle.path.name}: passed over {reason}", RuntimeWarning, stacklevel=2)
    return Session(
        runner,
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
        info=_info(bundle, entry, payload, skipped, tuned=used is not None),
        state=bundle.manifest.state,
    )


def _open_first(bundle: Bundle, payloads: Iterable[Payload], threads: int) -> tuple[Payload, Runner, tuple[str, ...]]:
    """The first payload that works here, its runner, and why each one before it was passed over.

    Raises:
        BundleError: none works here.
    """
    skipped: list[str] = []
    for payload in payloads:
        try:
            return payload, _open_and_replay(bundle, payload, threads), tuple(skipped)
        except (BackendError, GoldenMismatchError) as error:
            skipped.append(f"{payload.name}: {error}")
    raise BundleError(f"no payload of {bundle.path.name} works on this machine:\n  " + "\n  ".join(skipped))


def open_payload(bundle: Bundle, payload: Payload, threads: int) -> Runner:
    """Open one payload of the bundle, its files mapped where they lie; golden samples are the caller's business.

    Raises:
        BackendError: the backend is not installed or refused the payload.
        BundleIntegrityError: a file of the payload is altered.
    """
    return open_runner(
        payload.backend,
        {role: bundle.view(entry) for role, entry in payload.files.items()},
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
        precision=payload.precision,
        threads=threads,
    )


def _open_and_replay(bundle: Bundle, payload: Payload, threads: int) -> Runner:
    runner = open_payload(bundle, payload, threads)
    try:
        replay_once(bundle, payload, runner)
    except BaseException:
        runner.close()
        raise
    return runner


def choose_target(bundle: Bundle, device: str | None = None, name: str | None = None) -> TargetEntry:
    """The bundle's target of that name, or the most specific one that this machine can run.

    Raises:
        TargetError: no such target, or none for this machine; the message says why for each.
    """
    entries = {entry.target.name: entry for entry in bundle.manifest.targets}
    if name is not None:
        if name not in entries:
            raise TargetError(f"{bundle.path.name} has no target {name!r}; {did_you_mean(name, entries)}")
        entries = {name: entries[name]}
    reasons = {entry.target.name: _why_not(entry, device) for entry in entries.values()}
    fitting = [entry for entry in entries.values() if reasons[entry.target.name] is None]
    fitting = fitting or _portable(entries.values(), device)
    if not fitting:
        details = "; ".join(str(reason) for reason in reasons.values())
        raise TargetError(
            f"{bundle.path.name} has no target for this machine: {details}. Build for it: edgekit build ... -t cpu"
        )
    return max(fitting, key=lambda entry: len(entry.target.isa))


def _portable(entries: Iterable[TargetEntry], device: str | None) -> list[TargetEntry]:
    """Targets of this architecture whose instruction sets this CPU lacks, with the f32 payloads alone.

    Those run on any CPU of the architecture; what was chosen for its speed or its rounding elsewhere does not.
    """
    found = []
    for entry in entries:
        plain = tuple(payload for payload in entry.payloads if payload.precision == "f32")
        if entry.target.arch == host_arch() and device in (None, entry.target.device) and plain:
            warnings.warn(f"{why_not_runnable(entry.target)}: running its f32 payload", RuntimeWarning, stacklevel=4)
            found.append(replace(entry, payloads=plain))
    return found


def _why_not(entry: TargetEntry, device: str | None) -> str | None:
    if device is not None and entry.target.device != device:
        return f"{entry.target.name} is for device {entry.target.device!r}, not {device!r}"
    return why_not_runnable(entry.target)


def _check_outputs(specs: tuple[TensorSpec, ...], outputs: Mapping[str, Array], sizes: dict[str, int]) -> None:
    names = {spec.name for spec in specs}
    if set(outputs) != names:
        raise TensorError(f"bound outputs are {sorted(outputs)}; expected exactly {sorted(names)}")
    for spec in specs:
        check_array(spec, outputs[spec.name], sizes)


def _info(
    bundle: Bundle, entry: TargetEntry, payload: Payload, skipped: tuple[str, ...], *, tuned: bool
) -> SessionInfo:
    return SessionInfo(
        target=entry.target.name,
        payload=payload.name,
        backend=payload.backend,
        precision=payload.precision,
        fused_ops=(),
        sha256=bundle.sha256,
        skipped=skipped,
        tuned=tuned,
    )
