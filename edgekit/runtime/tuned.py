"""Which payload `edgekit tune` found to be the fastest on this machine: written there, read at every load."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle import Bundle, Payload, TargetEntry
from edgekit.caches import cache_dir
from edgekit.errors import EdgekitError
from edgekit.files import make_folder, replacing
from edgekit.machine import machine_key

KEY = "edgekit_tuned"
VERSION = 1


@dataclass(frozen=True)
class Choice:
    """A payload by name, and the version of the runtime that it was measured with."""

    payload: str
    runtime: str


def place(bundle: Bundle, entry: TargetEntry, threads: int) -> Path:
    """The file that holds the choice for this bundle, target and number of threads on this machine."""
    return cache_dir("tuned", f"{machine_key(bundle.sha256, entry.target.name)}-{threads}.json")


def recall(bundle: Bundle, entry: TargetEntry, threads: int) -> Choice | None:
    """What was chosen; None where nothing was, and, with a RuntimeWarning, where it cannot be read."""
    if len(entry.payloads) < 2:
        return None
    file = place(bundle, entry, threads)
    try:
        return _choice(json.loads(file.read_bytes()), _identity(bundle, entry, threads), entry.payloads)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = f"{file} cannot be used: {error}"
        warnings.warn(left_out(bundle, entry, threads, reason=reason), RuntimeWarning, stacklevel=3)
        return None


def chosen_first(payloads: tuple[Payload, ...], choice: Choice | None) -> tuple[Payload, ...]:
    """The payloads in their order, but for the chosen one, which goes first."""
    return tuple(sorted(payloads, key=lambda payload: choice is None or payload.name != choice.payload))


def why_stale(choice: Choice, origin: str) -> str:
    """Why a choice does not hold for the chosen payload's runner of that `origin`; empty if it does."""
    found = runtime_version(origin)
    if found == choice.runtime:
        return ""
    return f"{choice.payload} was measured with version {choice.runtime} of its runtime, and now it is {found}"


def left_out(bundle: Bundle, entry: TargetEntry, threads: int, *, reason: str) -> str:
    """What to tell where a choice is not followed, and what to do."""
    again = command(bundle.path, entry.target.name, threads)
    return f"{bundle.path.name}: what was tuned on this machine is left out of account: {reason}. Tune again: {again}"


def runtime_version(origin: str) -> str:
    """The part of `Runner.origin` that does not say whether the model came from a cache."""
    return origin.partition(",")[0]


def remember(
    bundle: Bundle, entry: TargetEntry, *, threads: int, payloads: Sequence[Mapping[str, Any]], measured: str
) -> Path:
    """Write the choice, whole or not at all; the file that now holds it.

    payloads: JSON rows, the chosen one first, each with "name" and "runtime", its runtime's version.
    measured: date and time, ISO 8601.

    Raises:
        EdgekitError: the file cannot be written.
    """
    file = place(bundle, entry, threads)
    document = {
        KEY: VERSION,
        **_identity(bundle, entry, threads),
        "measured": measured,
        "payloads": [dict(row) for row in payloads],
    }
    make_folder(file.parent)
    with replacing(file) as draft:
        draft.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return file


def forget(bundle: Bundle, entry: TargetEntry, threads: int) -> bool:
    """Delete the choice; whether there was one.

    Raises:
        EdgekitError: the file cannot be deleted.
    """
    file = place(bundle, entry, threads)
    try:
        file.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise EdgekitError(f"cannot delete {file}: {error.strerror or error}; delete it by hand") from error
    return True


def command(bundle: Path, target: str, threads: int) -> str:
    """The command line that makes this choice anew."""
    return f"edgekit tune {shlex.quote(str(bundle))} --target {target} --threads {threads}"


def _identity(bundle: Bundle, entry: TargetEntry, threads: int) -> dict[str, Any]:
    return {"bundle": bundle.sha256, "target": entry.target.name, "threads": threads}


def _choice(document: Any, identity: Mapping[str, Any], payloads: Sequence[Payload]) -> Choice:
    """What a file holds.

    Raises:
        ValueError: it is not what `remember` writes for this bundle, target and number of threads.
    """
    if not isinstance(document, dict) or document.get(KEY) != VERSION:
        raise ValueError(f"it is not a choice of version {VERSION}")
    for name, value in identity.items():
        if document.get(name) != value:
            raise ValueError(f"it is for {name} {document.get(name)!r}, not {value!r}")
    try:
        name, runtime = (document["payloads"][0][key] for key in ("name", "runtime"))
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("it names no payload and runtime") from error
    if not isinstance(runtime, str) or name not in [payload.name for payload in payloads]:
        raise ValueError(
            f"it names {name!r} on {runtime!r}; the bundle runs {', '.join(p.name for p in payloads)} here"
        )
    return Choice(name, runtime)
