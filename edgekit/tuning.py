"""Tune a bundle on the device: measure its payloads, and remember which one `edgekit.load` is to run there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement, measure
from edgekit.bench.statistics import Interval, Ratio, compare, percentile, timed_calls
from edgekit.building.samples import golden_samples
from edgekit.bundle import Bundle, Payload, TargetEntry, open_bundle
from edgekit.contest import extract
from edgekit.errors import BackendError, BundleError, EdgekitError, GoldenMismatchError, MeasurementError
from edgekit.files import make_folder
from edgekit.progress import Progress, silent
from edgekit.runtime import tuned
from edgekit.runtime.golden import replay
from edgekit.runtime.session import choose_target, open_payload

FEWEST_SESSIONS = 6  # that allow a 95 % interval


@dataclass(frozen=True)
class Contender:
    """A payload of the bundle, and how it did on this machine.

    runtime: version of the runtime that opened it; empty where none could.
    outcome: what became of it, in words.
    failure: why it cannot be used here; empty if it can.
    measurement: raw times; None where it was not measured.
    ratio: its time over that of the first one that can be used; None for that one, and where it was not measured.
    """

    name: str
    backend: str
    precision: str
    runtime: str = ""
    outcome: str = ""
    failure: str = ""
    measurement: Measurement | None = None
    ratio: Ratio | None = None


@dataclass(frozen=True)
class Tuning:
    """What tuning found.

    contenders: in the order of the bundle.
    chosen: the payload that `edgekit.load` runs on this machine from now on.
    remembered: the file that says so; None where there was nothing to choose from.
    measured: date and time, ISO 8601, UTC.
    """

    bundle: Path
    sha256: str
    target: str
    threads: int
    contenders: tuple[Contender, ...]
    chosen: str
    remembered: Path | None
    measured: str


def tune(
    path: str | Path,
    *,
    target: str | None = None,
    threads: int | None = None,
    sessions: int = 8,
    seed: int = 0,
    progress: Progress = silent,
    timeout_s: float = 600.0,
) -> Tuning:
    """Measure the payloads of the bundle at `path` against each other, and remember the fastest for `edgekit.load`.

    The bundle's first payload keeps its place unless another one is faster with its whole 95 % interval. A payload
    takes part if it opens here and reproduces its golden samples; the accuracy budget they have all passed at build.
    They run on the golden inputs of the first one's shape. Where fewer than two can take part nothing is measured or
    remembered, and an earlier choice is forgotten.

    target: name of one of the bundle's targets; the one that `edgekit.load` would take if None.
    threads: intra-op threads; the target profile's number if None. The choice holds for this number alone.
    sessions: fresh sessions of each payload, from 6.
    seed: of the order in which payloads run.
    timeout_s: longest that one step of a payload may take: opening it, or a chunk of calls.

    Raises:
        BundleError: the bundle cannot be read, or none of its payloads works here.
        BackendError: `threads` is below 1.
        TargetError: the bundle has no such target, or none that this machine can run.
        MeasurementError: fewer than 6 sessions, or a measurement that cannot be made.
        EdgekitError: the choice cannot be written.
    """
    if sessions < FEWEST_SESSIONS:
        raise MeasurementError(
            f"sessions = {sessions}; {FEWEST_SESSIONS} are the fewest that can show a payload to be faster"
        )
    bundle, entry, threads = _opened(path, target, threads)
    contenders = _tried(bundle, entry, threads, progress)
    if len(_usable(contenders)) > 1:
        _refuse_unwritable(tuned.place(bundle, entry, threads).parent)
        time = partial(
            measure,
            sessions=sessions,
            cold_sessions=0,
            seed=seed,
            progress=lambda done, total: progress("latency", done, total),
            timeout_s=timeout_s,
        )
        contenders = _measured(bundle, entry, threads, contenders=contenders, time=time)
    judged, chosen = judge(contenders)
    measured = datetime.now(timezone.utc).isoformat(timespec="seconds")
    remembered = None
    if len(rows := _rows(judged, chosen)) > 1:
        remembered = tuned.remember(bundle, entry, threads=threads, payloads=rows, measured=measured)
    else:
        tuned.forget(bundle, entry, threads)
    return Tuning(bundle.path, bundle.sha256, entry.target.name, threads, judged, chosen, remembered, measured)


def forget(path: str | Path, *, target: str | None = None, threads: int | None = None) -> bool:
    """Forget what was chosen for the bundle at `path`; whether anything was.

    target, threads: as for `tune`.

    Raises:
        BundleError: the bundle cannot be read.
        BackendError: `threads` is below 1.
        TargetError: the bundle has no such target, or none that this machine can run.
        EdgekitError: the choice cannot be deleted.
    """
    return tuned.forget(*_opened(path, target, threads))


def judge(contenders: Sequence[Contender]) -> tuple[tuple[Contender, ...], str]:
    """The contenders with ratio and outcome, and the name of the one to run.

    The first that can be used keeps its place, unless others are faster with their whole 95 % interval: then it is the
    fastest of these.
    """
    base, *others = _usable(contenders)
    ratios = {other.name: _ratio(other, base) for other in others}
    faster = [name for name, ratio in ratios.items() if ratio.high < 1]
    chosen = min(faster, key=lambda name: ratios[name].value, default=base.name)
    judged = [
        replace(one, ratio=ratios.get(one.name), outcome=_outcome(one, ratios.get(one.name), base.name, chosen))
        for one in contenders
    ]
    return tuple(judged), chosen


def p50_ns(contender: Contender) -> Interval | None:
    """The median of its calls with its 95 % interval; None where it was not measured."""
    return percentile(timed_calls(contender.measurement.calls_ns), 50) if contender.measurement else None


def tuning_to_json(tuning: Tuning) -> dict[str, Any]:
    """A JSON-ready form, raw times included."""
    return {
        "bundle": str(tuning.bundle),
        "sha256": tuning.sha256,
        "target": tuning.target,
        "threads": tuning.threads,
        "measured": tuning.measured,
        "chosen": tuning.chosen,
        "remembered": str(tuning.remembered) if tuning.remembered else None,
        "payloads": [_row(contender, raw=True) for contender in tuning.contenders],
    }


def _opened(path: str | Path, target: str | None, threads: int | None) -> tuple[Bundle, TargetEntry, int]:
    """The bundle, its target for this machine, and how many threads: as `edgekit.load` would have them."""
    if threads is not None and threads < 1:
        raise BackendError(f"threads = {threads}; expected a whole number from 1")
    bundle = open_bundle(path)
    entry = choose_target(bundle, name=target)
    return bundle, entry, threads or entry.target.threads


def _tried(bundle: Bundle, entry: TargetEntry, threads: int, progress: Progress) -> list[Contender]:
    """Every payload, opened and run on the golden samples.

    Raises:
        BundleError: none works here.
    """
    contenders = []
    for done, payload in enumerate(entry.payloads):
        progress("golden samples", done, len(entry.payloads))
        contenders.append(_try(bundle, payload, threads))
    progress("golden samples", len(entry.payloads), len(entry.payloads))
    if not _usable(contenders):
        reasons = "\n  ".join(f"{one.name}: {one.failure}" for one in contenders)
        raise BundleError(f"no payload of {bundle.path.name} works on this machine:\n  {reasons}")
    return contenders


def _try(bundle: Bundle, payload: Payload, threads: int) -> Contender:
    contender = Contender(payload.name, payload.backend, payload.precision)
    try:
        runner = open_payload(bundle, payload, threads)
    except BackendError as error:
        return replace(contender, failure=str(error))
    contender = replace(contender, runtime=tuned.runtime_version(runner.origin))
    try:
        replay(bundle, payload, runner)
    except (BackendError, GoldenMismatchError) as error:
        return replace(contender, failure=str(error))
    finally:
        runner.close()
    return contender


def _usable(contenders: Sequence[Contender]) -> list[Contender]:
    return [contender for contender in contenders if not contender.failure]


def _refuse_unwritable(folder: Path) -> None:
    """Before the measuring: a choice that cannot be remembered is of no use."""
    remedy = "choose another folder for edgekit's caches with EDGEKIT_CACHE"
    try:
        make_folder(folder)
    except EdgekitError as error:
        raise EdgekitError(f"a choice could not be remembered: {error}; {remedy}") from error
    if not os.access(folder, os.W_OK):
        raise EdgekitError(f"a choice could not be remembered: {folder} cannot be written to; {remedy}")


Time = Callable[..., tuple[Measurement, ...]]
"""`edgekit.bench.measure.measure`, with everything given but arms and samples."""


def _measured(
    bundle: Bundle, entry: TargetEntry, threads: int, *, contenders: Sequence[Contender], time: Time
) -> list[Contender]:
    """The contenders with what was measured of those that can be used."""
    failures = {contender.name: contender.failure for contender in contenders}
    with tempfile.TemporaryDirectory(prefix="edgekit-tune-") as name:
        folder = Path(name)
        feeds = golden_samples(bundle, folder / "golden").timing
        arms = [
            _arm(bundle, payload, threads, folder=folder / str(position))
            for position, payload in enumerate(entry.payloads)
            if not failures[payload.name]
        ]
        return _without_failing(contenders, arms, partial(time, feeds_folder=feeds))


def _without_failing(contenders: Sequence[Contender], arms: Sequence[Arm], time: Time) -> list[Contender]:
    """Where one fails the others begin anew: only what was measured interleaved can be compared."""
    running = [contender.name for contender in _usable(contenders)]
    if len(running) < 2:
        return list(contenders)
    try:
        measurements = time([arm for arm in arms if arm.name in running])
    except MeasurementError as error:
        if error.arm not in running:
            raise
        rest = [replace(one, failure=str(error)) if one.name == error.arm else one for one in contenders]
        return _without_failing(rest, arms, time)
    found = {measurement.arm.name: measurement for measurement in measurements}
    return [replace(contender, measurement=found.get(contender.name)) for contender in contenders]


def _arm(bundle: Bundle, payload: Payload, threads: int, *, folder: Path) -> Arm:
    """The benchmark arm that runs a payload, from files in `folder`."""
    extract(bundle, payload, folder)
    return Arm(
        name=payload.name,
        kind="model",
        precision=payload.precision,
        files={role: str(folder / Path(entry).name) for role, entry in payload.files.items()},
        threads=threads,
        backend=payload.backend,
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
    )


def _ratio(head: Contender, base: Contender) -> Ratio:
    assert head.measurement is not None  # noqa: S101 - where two can be used, both are measured
    assert base.measurement is not None  # noqa: S101
    return compare(head.measurement.calls_ns, base.measurement.calls_ns)


def _outcome(contender: Contender, ratio: Ratio | None, base: str, chosen: str) -> str:
    if contender.failure:
        return f"not measured: {contender.failure}"
    if contender.measurement is None:
        return "the only one that works here"
    if ratio is None:
        return "keeps its place: nothing is shown to be faster" if chosen == base else f"{chosen} is faster"
    if contender.name == chosen:
        return f"chosen: faster than {base}"
    if ratio.high < 1:
        return f"faster than {base}, but less so than {chosen}"
    return f"slower than {base}" if ratio.low > 1 else f"not shown to be faster than {base}"


def _rows(contenders: Sequence[Contender], chosen: str) -> list[dict[str, Any]]:
    """What is remembered of each payload that was measured, the chosen one first."""
    rows = [_row(contender, raw=False) for contender in contenders if contender.measurement]
    return sorted(rows, key=lambda row: row["name"] != chosen)


def _row(contender: Contender, *, raw: bool) -> dict[str, Any]:
    measurement, p50 = contender.measurement, p50_ns(contender)
    row: dict[str, Any] = {
        "name": contender.name,
        "backend": contender.backend,
        "precision": contender.precision,
        "runtime": contender.runtime,
        "outcome": contender.outcome,
        "p50_ns": asdict(p50) if p50 else None,
        "ratio": asdict(contender.ratio) if contender.ratio else None,
    }
    return {**row, "calls_ns": measurement.calls_ns if measurement else None} if raw else row
