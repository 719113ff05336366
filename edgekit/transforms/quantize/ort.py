"""onnxruntime's quantizers: pairs where its own kernels fuse them, weights alone, and ranges found on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import data_file
from edgekit.quiet import quiet_logs
from edgekit.transforms.quantize.workpiece import Workpiece

BLOCK = 32  # weights that share a scale in `quantize_weights`


def quantize(work: Workpiece, destination: Path, *, calibrator: str, kept_float: Sequence[str] = ()) -> None:
    """See `edgekit.transforms.quantize.quantize`: u8 activations with a zero point, s8 weights, outputs too.

    The ranges are edgekit's: onnxruntime's own calibrators keep every activation of every sample.
    """
    with _refusing(), _quantization() as tools:
        from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

        ranges = {
            name: (np.array(low, np.float32), np.array(high, np.float32))
            for name, (low, high) in work.ranges(calibrator).items()
        }
        quantizer = QDQQuantizer(
            load_model_with_shape_infer(work.source),
            True,  # weights have a scale for each output channel
            work.saturates,
            tools.QuantType.QInt8,
            tools.QuantType.QUInt8,
            TensorsData(CalibrationMethod.MinMax, ranges),
            [],
            list(kept_float),
            sorted({*QDQRegistry, *QLinearOpsRegistry}),
            {},
        )
        quantizer.quantize_model()
        quantizer.model.save_model_to_file(str(destination), data_file(work.source).exists())


def quantize_dynamic(work: Workpiece, destination: Path, *, per_channel: bool) -> None:
    """See `edgekit.transforms.quantize.quantize`: s8 weights, and activations whose range is found in every call.

    per_channel: a scale for each output channel of a weight; one for the whole makes an LSTM 12 % faster.
    """
    with _refusing(), _quantization() as tools:
        tools.quantize_dynamic(
            work.source,
            destination,
            per_channel=per_channel,
            reduce_range=work.saturates,
            weight_type=tools.QuantType.QInt8,
            use_external_data_format=data_file(work.source).exists(),
        )


def quantize_weights(work: Workpiece, destination: Path, *, bits: int) -> None:
    """See `edgekit.transforms.quantize.quantize`: the weights of MatMul alone, in blocks with a scale each."""
    with _refusing(), _quantization():
        import onnx
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(onnx.load(work.source), bits=bits, block_size=BLOCK, is_symmetric=True)
        quantizer.process()
        if not any(node.op_type == "MatMulNBits" for node in quantizer.model.nodes()):
            raise BackendError("no MatMul of the graph has a weight of two dimensions: all would stay in float")
        quantizer.model.save_model_to_file(str(destination), data_file(work.source).exists())


@contextlib.contextmanager
def _quantization() -> Iterator[Any]:
    """onnxruntime's package of quantizers, whose advice to the root logger is not for our users."""
    try:
        from onnxruntime import quantization
    except ImportError as error:
        if error.name != "onnxruntime":
            raise BackendError(f"onnxruntime's quantizer cannot be imported: {error}") from error
        raise MissingDependencyError("onnxruntime", extra="export") from error
    with quiet_logs():
        yield quantization


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Turn what a quantizer raises into a BackendError; a full disk is not a verdict on the graph."""
    try:
        yield
    except (OSError, BackendError):
        raise
    except Exception as error:  # bare ValueErrors and worse
        raise BackendError(f"onnxruntime's quantizer refused the graph: {error}") from error
