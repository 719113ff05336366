"""Golden samples: the bundle proves on each new machine that it computes what it computed when it was built."""

from __future__ import annotations

from pathlib import Path

from edgekit.bundle import Bundle, Payload
from edgekit.caches import cache_dir
from edgekit.errors import GoldenMismatchError
from edgekit.machine import machine_key
from edgekit.runtime.runner import Runner
from edgekit.tensors import max_deviation


def replay_once(bundle: Bundle, payload: Payload, runner: Runner) -> None:
    """Replay the golden samples unless this payload, run as it is run now, has already passed on this machine.

    Raises:
        GoldenMismatchError: an output is farther from the recorded one than the payload's tolerance.
    """
    marker = cache_dir("verified", machine_key(bundle.sha256, payload.name, payload.backend, runner.origin))
    if marker.exists():
        return
    replay(bundle, payload, runner)
    _leave(marker)


def replay(bundle: Bundle, payload: Payload, runner: Runner) -> float:
    """Run every golden sample; the largest deviation found, as a fraction of the tolerance.

    Raises:
        GoldenMismatchError: an output is farther from the recorded one than the payload's tolerance, or not finite
            where the recorded one is.
    """
    worst = 0.0
    for sample in range(bundle.manifest.golden_samples):
        outputs = runner.run(bundle.golden_inputs(sample))
        for name, expected in bundle.golden_outputs(payload, sample).items():
            tolerance = payload.golden_tolerance[name]
            error = max_deviation(outputs[name], expected)
            if not error <= tolerance:
                raise GoldenMismatchError(
                    f"golden sample {sample}: output {name!r} is off by {error:.3g} where {tolerance:.3g} is allowed. "
                    f"The payload {payload.name} does not compute here what it computed when it was built; "
                    "rebuild the bundle for this machine"
                )
            worst = max(worst, error / tolerance if tolerance else 0.0)
    return worst


def _leave(marker: Path) -> None:
    """Remember a pass. Without a writable cache the samples are simply replayed each time."""
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError:
        return
