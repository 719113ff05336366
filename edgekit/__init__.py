"""edgekit: from a PyTorch model to the device it must run on, and proof that it is still right and fast there.

On the device:

    import edgekit

    with edgekit.load("kws.edgekit") as session:
        outputs = session.run({"features": x})

Importing edgekit loads next to nothing. The first of its names to be used loads numpy and the standard library; a
vendor's runtime loads when a bundle is opened.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from edgekit.bundle import Bundle, open_bundle
    from edgekit.runtime import Session, load
    from edgekit.tensors import TensorSpec

__version__ = "0.1.0"

__all__ = ["Bundle", "EdgekitError", "Session", "TensorSpec", "__version__", "load", "open_bundle"]

# Name -> the module that it is taken from when it is first used: pytest loads edgekit's plugin, and so this file,
# wherever edgekit is installed.
_HOMES = {
    "Bundle": "edgekit.bundle",
    "Session": "edgekit.runtime",
    "TensorSpec": "edgekit.tensors",
    "load": "edgekit.runtime",
    "open_bundle": "edgekit.bundle",
}

if not TYPE_CHECKING:  # a type checker would take every name for granted

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
