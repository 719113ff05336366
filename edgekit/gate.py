"""Head against base, for a pull request or a night: measured in one job, judged with intervals, told as a report."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from edgekit.bench import steady
from edgekit.bench.environment import cpu_times, fingerprint, stolen_share
from edgekit.bench.gate.judge import PROFILES, Judgement, Profile, Rules, judge_pairs
from edgekit.bench.gate.verdict import GateReport, raw_times
from edgekit.errors import MeasurementError, did_you_mean
from edgekit.gating.pairs import pair_up
from edgekit.gating.revisions import checked_out, made_at
from edgekit.gating.stored import compare_stored, is_stored
from edgekit.gating.subjects import Data, Subject, find_subjects
from edgekit.progress import Progress, silent
from edgekit.recipes import load_recipe

NOTED_THEFT = 0.01


@dataclass(frozen=True)
class Side:
    """One side of a gate.

    name: a bundle, an ONNX file, a folder of them, a recipe, or a stored result (.json).
    revision: where it is looked for: a git revision of the project in the working folder; as the folder is if empty.
    """

    name: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.revision}:{self.name}" if self.revision else self.name


@dataclass(frozen=True)
class Making:
    """How models come to be.

    command: a shell command that is run first in each tree, the working folder's too, where a side has a revision.
    only: variants that a recipe's build tries, as in `edgekit build --only`.
    """

    command: str | None = None
    only: tuple[str, ...] = ()


def gate(
    base: Side,
    head: Side,
    rules: Rules | None = None,
    *,
    data: Data | None = None,
    making: Making | None = None,
    command: str = "",
    progress: Progress = silent,
) -> GateReport:
    """Judge `head` against `base`: every metric of every model that both have.

    data: samples, and how they are scored, for models that bring none.
    command: what the report tells a reader to run for the same again.

    A model that only one side has, other inputs or outputs, and a result from another job are verdicts INCOMPARABLE,
    never a pass.

    Raises:
        MeasurementError: nothing was found, or a model could not be run, died, hung, or gives NaN.
        EdgekitError: a model that cannot be opened or built.
    """
    begin, rules, data, making = time.perf_counter(), rules or Rules(), data or Data(), making or Making()
    times = cpu_times()
    with tempfile.TemporaryDirectory(prefix="edgekit-gate-") as name, ExitStack() as stack:
        folder = Path(name)
        if is_stored(base.name) or is_stored(head.name):
            pairing = compare_stored(base.name, head.name, rules.profile)
        else:
            sides = [
                stack.enter_context(_found(side, data, making, folder / place, progress, both=(base, head)))
                for side, place in ((base, "base"), (head, "head"))
            ]
            pairing = pair_up(
                *sides,
                folder=folder / "pairs",
                max_drop=data.max_drop,
                timeout_s=rules.timeout_s,
                progress=progress,
            )
        judged = judge_pairs(pairing.pairs, rules, progress=progress) if pairing.pairs else Judgement((), {})
        raw = {
            model: {side: raw_times(found) for side, found in zip(("base", "head"), measured, strict=True)}
            for model, measured in judged.measurements.items()
        }
    return GateReport(
        base=str(base),
        head=str(head),
        profile=rules.profile.name,
        verdicts=(*pairing.verdicts, *judged.verdicts),
        notes=(*pairing.notes, *_remarks(judged), *_theft(stolen_share(times, cpu_times()))),
        seed=rules.seed,
        command=command,
        fingerprint=fingerprint(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=time.perf_counter() - begin,
        raw=raw,
    )


def _theft(share: float | None) -> list[str]:
    if share is None or share < NOTED_THEFT:
        return []
    return [f"other virtual machines had {share * 100:.1f} % of this one's CPU time meanwhile (steal)"]


def _remarks(judged: Judgement) -> list[str]:
    """The figures behind the tags of the calls that were timed."""
    found: list[str] = []
    for model, (base, head) in judged.measurements.items():
        if head.calls_ns:
            found += steady.remarks(f"{model} (base)", base.calls_ns)
            found += steady.remarks(f"{model} (head)", head.calls_ns, base.calls_ns)
    return found


def profile_named(name: str, thresholds: Mapping[str, float] | None = None) -> Profile:
    """One of `PROFILES`, with other thresholds where they are given.

    Raises:
        MeasurementError: no profile of that name, or no metric that has such a threshold.
    """
    if name not in PROFILES:
        raise MeasurementError(f"unknown profile {name!r}; {did_you_mean(name, PROFILES)}")
    known = PROFILES[name].thresholds
    if unknown := [metric for metric in thresholds or {} if metric not in known]:
        raise MeasurementError(f"no metric {unknown[0]!r} has a threshold; {did_you_mean(unknown[0], known)}")
    return replace(PROFILES[name], thresholds={**known, **(thresholds or {})})


@contextmanager
def _found(
    side: Side, data: Data, making: Making, folder: Path, progress: Progress, *, both: tuple[Side, Side]
) -> Iterator[dict[str, Subject]]:
    """The models of a side; a revision's worktree lives as long as the block."""
    here = Path.cwd()
    if not any(other.revision for other in both):
        yield find_subjects(side.name, data, folder=folder, only=making.only, progress=progress)
        return
    with ExitStack() as stack:
        root = stack.enter_context(checked_out(side.revision, inside=here)) if side.revision else here
        folder.mkdir(parents=True)
        output = folder / f"{_plain_name(side.name)}.edgekit"
        made = made_at(
            root,
            side.name,
            output=output,
            command=making.command,
            only=making.only,
            progress=progress,
        )
        if made == str(output) and data.recipe is None:  # judged on the data of the working folder's recipe, both sides
            data = replace(data, recipe=load_recipe(side.name))
        yield find_subjects(made, data, folder=folder, progress=progress)


def _plain_name(reference: str) -> str:
    """What a recipe's bundle is called: `kws` for recipes/kws.py."""
    return (
        re.sub(r"[^A-Za-z0-9._-]", "-", Path(reference).name.replace(".py:", "-").removesuffix(".py")).lstrip("._-")
        or "model"
    )
