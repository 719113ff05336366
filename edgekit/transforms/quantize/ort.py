"""onnxruntime's static quantizer: u8 asymmetric activations, s8 weights with a scale per channel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import data_file
from edgekit.quiet import quiet_logs
from edgekit.tensors import Array


def quantize(source: Path, destination: Path, *, samples: Sequence[dict[str, Array]], saturates: bool) -> None:
    """See `edgekit.transforms.quantize.quantize`."""
    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        if error.name != "onnxruntime":
            raise BackendError(f"onnxruntime's quantizer cannot be imported: {error}") from error
        raise MissingDependencyError("onnxruntime", extra="export") from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples = iter(samples)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._samples, None)

    # It advises a pre-processing step through the root logger; our graph has had its equal.
    with quiet_logs(), _with_shapes(source) as prepared:
        try:
            quantize_static(
                prepared,
                destination,
                Reader(),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=saturates,
                use_external_data_format=data_file(source).exists(),
            )
        except OSError:  # a full disk is not a verdict on the graph
            raise
        except Exception as error:  # the quantizer raises bare ValueErrors and worse
            raise BackendError(f"onnxruntime's quantizer refused the graph: {error}") from error


@contextlib.contextmanager
def _with_shapes(source: Path) -> Iterator[Path]:
    """The graph with inferred shapes: without them the quantizer leaves out what it cannot type.

    It lies beside `source`, where it finds the same file of weights.
    """
    import onnx

    prepared = source.with_name(f"{source.stem}-shapes.onnx")
    try:
        onnx.shape_inference.infer_shapes_path(str(source), str(prepared))
        yield prepared
    finally:
        prepared.unlink(missing_ok=True)
