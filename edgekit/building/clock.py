"""How long a build may begin new things."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """Runs from when it is made. max_seconds: after which nothing more is begun; what has begun is finished."""

    max_seconds: float | None = None
    started: float = field(default_factory=time.monotonic)

    def why_over(self) -> str:
        """The reason to begin nothing more; empty while there is time."""
        if self.max_seconds is None or time.monotonic() - self.started < self.max_seconds:
            return ""
        return f"not tried: the {self.max_seconds:g} s of --max-seconds were over"
