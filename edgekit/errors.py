"""Every error that edgekit raises on purpose, as one tree.

    EdgekitError
    ├── TensorError                 a tensor or its specification is not what was declared (also a ValueError)
    ├── TargetError                 an unknown or malformed target profile
    ├── RecipeError                 a recipe that cannot be found, loaded or used
    ├── DataError                   a data set that is missing, altered or unreadable
    ├── ExportError                 torch.export or the ONNX conversion refused the model
    │   └── ParityError             the exported graph does not compute what torch computes
    ├── CalibrationError            calibration data that is missing, malformed or meaningless
    ├── BackendError                a backend refused to compile, load or run a model
    │   └── MissingDependencyError  a package is not installed; the message names the extra that brings it
    ├── BundleError                 a bundle that cannot be read or written
    │   ├── BundleFormatError       not a bundle, truncated, too new, or with unsafe names or sizes
    │   ├── BundleIntegrityError    a payload is missing, unlisted or altered
    │   └── GoldenMismatchError     the bundle does not compute on this machine what it computed when built
    └── MeasurementError            a benchmark that could not be run or read

Each message says what happened, what was expected and what to do. Only the command line turns errors into exit codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgekitError(Exception):
    """Base of every error that edgekit raises on purpose."""


class TensorError(EdgekitError, ValueError):
    """A tensor or its specification is not what was declared."""


class TargetError(EdgekitError):
    """An unknown or malformed target profile."""


class RecipeError(EdgekitError):
    """A recipe that cannot be found, loaded or used."""


class DataError(EdgekitError):
    """A data set that is missing, altered or unreadable."""


class ExportError(EdgekitError):
    """torch.export or the ONNX conversion refused the model."""


class ParityError(ExportError):
    """The exported graph does not compute what torch computes."""


class CalibrationError(EdgekitError):
    """Calibration data that is missing, malformed or meaningless."""


class BackendError(EdgekitError):
    """A backend refused to compile, load or run a model."""


class MissingDependencyError(BackendError):
    """A package that this step needs is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'edgekit[{extra}]'")
        self.package = package
        self.extra = extra


class BundleError(EdgekitError):
    """A bundle that cannot be read or written."""


class BundleFormatError(BundleError):
    """Not a bundle, truncated, too new, or with unsafe names or sizes."""


class BundleIntegrityError(BundleError):
    """A payload is missing, unlisted or altered."""


class GoldenMismatchError(BundleError):
    """The bundle does not compute on this machine what it computed when it was built."""


class MeasurementError(EdgekitError):
    """A benchmark that could not be run or read.

    arm: name of the arm that failed; empty where it is no single one's fault.
    """

    def __init__(self, message: str, *, arm: str = "") -> None:
        super().__init__(message)
        self.arm = arm


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of an "unknown name" message: the nearest known name, or the list of all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
