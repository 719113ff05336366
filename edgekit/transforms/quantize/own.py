"""Edgekit's own static quantizer: real samples give ranges, and pairs go where OpenVINO gains from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import BackendError
from edgekit.export import save_model
from edgekit.transforms.quantize.layers import joins_of, layers_of
from edgekit.transforms.quantize.qdq import write_qdq
from edgekit.transforms.quantize.workpiece import Workpiece


def quantize(
    work: Workpiece, destination: Path, *, calibrator: str, joins: bool, kept_float: Sequence[str] = ()
) -> None:
    """See `edgekit.transforms.quantize.quantize`. joins: quantize residual connections and pooling as well."""
    layers = layers_of(work.model)
    if not layers:
        raise BackendError("no layer of the graph has a form in eight bits: it would stay in float as a whole")
    nodes = [name for name in (*layers, *(joins_of(work.model) if joins else ())) if name not in kept_float]
    ranges = work.ranges(calibrator)
    save_model(write_qdq(work.model, nodes, ranges=ranges, saturates=work.saturates), destination)
