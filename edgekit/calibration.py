"""Calibrates the gate on the user's own machine, with the user's own model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.bench.gate.calibrate import EFFECTS, Calibration, calibrate
from edgekit.bench.gate.judge import PROFILES, Profile
from edgekit.errors import MeasurementError
from edgekit.gating.pairs import samples_of
from edgekit.gating.subjects import Data, arm_of, find_subjects
from edgekit.progress import Progress, silent


def calibrate_gate(
    name: str,
    profile: Profile = PROFILES["pr"],
    *,
    data: Data | None = None,
    only: Sequence[str] = (),
    trials: int = 20,
    effects: Sequence[float] = EFFECTS,
    seed: int = 0,
    progress: Progress = silent,
) -> Calibration:
    """What the gate sees on this machine, for a bundle, an ONNX file or a recipe: see `edgekit.bench.gate.calibrate`.

    data: samples for an ONNX file. only: variants that a recipe's build tries.

    Raises:
        MeasurementError: a folder of several models, no trials, or a model that cannot be run.
        EdgekitError: a model that cannot be opened or built.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-calibrate-") as place:
        folder = Path(place)
        subjects = find_subjects(name, data or Data(), folder=folder / "built", only=only, progress=progress)
        if len(subjects) != 1:
            raise MeasurementError(f"{name} holds {len(subjects)} models; a calibration takes one: name its file")
        ((model, subject),) = subjects.items()
        samples, _ = samples_of(subject, subject.recipe, folder)
        return calibrate(
            arm_of(subject, model),
            samples.timing,
            profile,
            trials=trials,
            effects=effects,
            seed=seed,
            progress=progress,
        )
