"""What runs on the device: open a bundle, run it. Needs the standard library, numpy, and the payload's backend."""

from edgekit.runtime.runner import Runner, open_runner
from edgekit.runtime.session import Session, SessionInfo, load

__all__ = ["Runner", "Session", "SessionInfo", "load", "open_runner"]
