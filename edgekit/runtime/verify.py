"""The full check of a bundle: its bytes, and its golden samples through every payload that can run on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle import Bundle, Payload, TargetEntry, verify_bundle
from edgekit.errors import BackendError, GoldenMismatchError
from edgekit.runtime.golden import replay
from edgekit.runtime.session import open_payload
from edgekit.target import why_not_runnable


@dataclass(frozen=True)
class PayloadCheck:
    """Outcome for one payload. status: "passed", "failed", or "not run" where this machine cannot run it."""

    target: str
    payload: str
    status: str
    detail: str


def verify(path: Path) -> tuple[PayloadCheck, ...]:
    """Check every byte of the bundle, then replay each payload's golden samples, markers of earlier passes aside.

    Raises:
        BundleError: the file is not exactly what `write_bundle` wrote.
    """
    bundle = verify_bundle(path)
    pairs = [(entry, payload) for entry in bundle.manifest.targets for payload in entry.payloads]
    return tuple(_check(bundle, entry, payload) for entry, payload in pairs)


def _check(bundle: Bundle, entry: TargetEntry, payload: Payload) -> PayloadCheck:
    if reason := why_not_runnable(entry.target):
        return PayloadCheck(entry.target.name, payload.name, "not run", reason)
    try:
        runner = open_payload(bundle, payload, entry.target.threads)
    except BackendError as error:
        return PayloadCheck(entry.target.name, payload.name, "not run", str(error))
    try:
        worst = replay(bundle, payload, runner)
    except (BackendError, GoldenMismatchError) as error:
        return PayloadCheck(entry.target.name, payload.name, "failed", str(error))
    finally:
        runner.close()
    samples = bundle.manifest.golden_samples
    return PayloadCheck(
        entry.target.name, payload.name, "passed", f"{samples} samples, at most {worst:.1%} of the tolerance"
    )
