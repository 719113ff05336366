"""Keeps the packages that we load from reporting on our users.

`import openvino` and `import nncf` send usage events through the package openvino-telemetry, on unless a file in the
user's home says otherwise. Both carry a silent stand-in for the case that it is not installed: they get that case.
"""

from __future__ import annotations

import sys


def disable_telemetry() -> None:
    """Make `import openvino_telemetry` fail in this process; call before openvino or nncf is first imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
