"""edgekit: from a PyTorch model to the device it must run on, and proof that it is still right and fast there.

On the device:

    import edgekit

    with edgekit.load("kws.edgekit") as session:
        outputs = session.run({"features": x})

Importing edgekit loads numpy and the standard library, nothing else; a vendor's runtime loads when a bundle is opened.
"""

from edgekit.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime import Session, load
from edgekit.tensors import TensorSpec

__version__ = "0.1.0"

__all__ = ["Bundle", "EdgekitError", "Session", "TensorSpec", "__version__", "load", "open_bundle"]
