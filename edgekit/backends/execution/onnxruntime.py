"""Reads what onnxruntime's CPU provider executes from its optimized graph and its profiler's trace.

The trace says which nodes ran, on what types, and for how long; the optimized graph has their attributes and weights.
Facts that shape this file, measured with onnxruntime 1.32:
- A layer runs in int8 only as an operator of its own (QLinearConv, QGemm, MatMulIntegerToFloat, ...). Where no such one
  fits, the DequantizeLinear nodes around it stay and it runs in float: so for a convolution whose input has a scale for
  each channel.
- MatMulNBits with `accuracy_level` 4 is free to quantize its activations, and does not say whether it does. The node
  alone, at its level and at 1 (f32), tells by its bits.
- The profiler counts whole microseconds and adds about two to each node, for what it notes down about it.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.backends.execution.layers import UNKNOWN, ExecutedLayer
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.runtime.runner import OpenRequest
from edgekit.tensors import Array

WARM_UP = 3
INT8 = frozenset(  # layers that multiply in int8 by their definition, and below those whose inputs' type decides
    (
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
    )
)
BY_INPUT = frozenset(
    (
        "Attention",
        "Conv",
        "ConvTranspose",
        "Einsum",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "GRU",
        "Gemm",
        "GroupQueryAttention",
        "LSTM",
        "MatMul",
        "MultiHeadAttention",
        "RNN",
    )
)
BLOCKS = "MatMulNBits"  # weights in blocks of few bits, each with its scale
CONVERTS = ("Cast", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear")
CONTROL_FLOW = ("If", "Loop", "Scan")  # the nodes inside are in the trace as well
REORDERS = ("ReorderInput", "ReorderOutput")
NAMES = {"float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64", "uint8": "int8", "int8": "int8"}


@dataclass
class _Run:
    """What the trace says of one node: its operator, the types and shapes of its inputs, and its times."""

    op: str
    inputs: Sequence[Mapping[str, list[int]]]
    times_us: list[float] = field(default_factory=list)


def read_layers(
    request: OpenRequest, samples: Sequence[Mapping[str, Array]], *, calls: int
) -> tuple[ExecutedLayer, ...]:
    """See `edgekit.backends.execution.read_execution`."""
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError("onnx", extra="export") from error
    with tempfile.TemporaryDirectory() as folder:
        trace = _run(request, samples, calls=calls, folder=Path(folder))
        optimized = onnx.load(Path(folder) / "optimized.onnx", load_external_data=False)
        source = onnx.load(request.files["model"], load_external_data=False)
        reader = _Reader(optimized.graph, source.graph, Path(folder), calls=WARM_UP + calls)
        return tuple(reader.layer(name, run) for name, run in trace.items())


def _run(
    request: OpenRequest, samples: Sequence[Mapping[str, Array]], *, calls: int, folder: Path
) -> Mapping[str, _Run]:
    """Run the model as its runner does, with the profiler on; the trace by node, in the order of execution."""
    session = _open(request, folder)
    names = [spec.name for spec in request.outputs]
    try:
        for number in range(WARM_UP + calls):
            session.run(names, samples[number % len(samples)])
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    except Exception as error:  # onnxruntime's exceptions have no common base class of their own
        raise BackendError(f"onnxruntime failed: {error}") from error
    trace: dict[str, _Run] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name, told = event["name"].removesuffix("_kernel_time"), event["args"]
            run = trace.setdefault(name, _Run(told["op_name"], told["input_type_shape"]))
            run.times_us.append(float(event["dur"]))
    return {name: run for name, run in trace.items() if run.op not in CONTROL_FLOW}


def _open(request: OpenRequest, folder: Path) -> Any:
    """A session with the options of `edgekit.runtime.onnxruntime`, which writes its graph and its trace to `folder`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", extra="onnxruntime") from error
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "trace")
    try:
        return onnxruntime.InferenceSession(str(request.files["model"]), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BackendError(f"onnxruntime refused the model: {error}") from error


class _Reader:
    """Turns nodes of a trace into layers.

    optimized, source: onnx.GraphProto, after and before onnxruntime's optimizations. folder: where `optimized` keeps
    its weights. calls: how often the model ran.
    """

    def __init__(self, optimized: Any, source: Any, folder: Path, *, calls: int) -> None:
        self._optimized = {node.name: node for node in _nodes(optimized)}
        self._weights = {weight.name: weight for weight in optimized.initializer}
        self._source = {node.name: node for node in _nodes(source)}
        self._makers = {output: node for node in _nodes(source) for output in node.output}
        self._folder = folder
        self._calls = calls

    def layer(self, name: str, run: _Run) -> ExecutedLayer:
        node = self._optimized.get(name)  # None for one that never had a name
        kind, precision, weights = self._kind(name, run.op), self._first_type(run), ""
        if run.op in INT8:
            precision = "int8"
        elif run.op == BLOCKS:
            precision, weights = self._blocks(node, run)
        return ExecutedLayer(
            name="" if kind == "reorder" else self._source_name(name, node, run.op),
            op=run.op,
            precision=precision,
            kind=kind,
            kernel=node.domain if node is not None else "",  # com.microsoft.nchwc has kernels of its own
            time_us=_middle_mean(run.times_us) * len(run.times_us) / self._calls,
            weights=weights if weights != precision else "",
        )

    def _kind(self, name: str, op: str) -> str:
        if op in INT8 or op in BY_INPUT or op == BLOCKS:
            return "layer"
        if op in CONVERTS:
            return "convert"
        inserted = op in REORDERS or (op == "Transpose" and name not in self._source)
        return "reorder" if inserted else "other"

    def _first_type(self, run: _Run) -> str:
        types = [kind for told in run.inputs[:1] for kind in told]
        return NAMES.get(types[0], types[0]) if types else UNKNOWN

    def _source_name(self, name: str, node: Any, op: str) -> str:
        """The node's name in the graph that was compiled, from the name that onnxruntime made of it."""
        short = name.removeprefix("fused ")
        while short and short not in self._source:
            shorter = re.sub(r"(_token_\d+|/[^/]*)$", "", short)
            if shorter == short:
                break
            short = shorter
        if short in self._source:
            return short
        blocked = re.fullmatch(r"(.+)_nchwc(_token_\d+)?", name)  # these are named after their outputs
        tensor = blocked.group(1) if blocked else node.output[0] if node is not None else ""
        return self._named_above(self._makers.get(tensor), op)

    def _named_above(self, node: Any, op: str) -> str:
        """The nearest node of this operator, upwards, and what was fused behind it; else the node itself."""
        names: list[str] = []
        above = node
        while above is not None:
            names.insert(0, above.name)
            if above.op_type == op:
                return ",".join(names)
            above = self._makers.get(above.input[0]) if above.input else None
        return node.name if node is not None else ""

    def _blocks(self, node: Any, run: _Run) -> tuple[str, str]:
        """What MatMulNBits multiplies in, and what its weights are kept in."""
        import onnx

        if node is None:
            return UNKNOWN, ""
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        weights, level = f"int{attributes.get('bits', 4)}", attributes.get("accuracy_level", 0)
        if any(name and name not in self._weights for name in node.input[1:]):
            return UNKNOWN, weights
        if np.array_equal(self._alone(node, run, level), self._alone(node, run, 1)):
            return self._first_type(run), weights
        return ("int8" if level == 4 else UNKNOWN), weights

    def _alone(self, node: Any, run: _Run, level: int) -> Array:
        """Outputs of this node by itself, at this accuracy level, for activations that are the same each time."""
        import onnx
        import onnxruntime

        copy = onnx.NodeProto.FromString(node.SerializeToString())
        kept = [attribute for attribute in node.attribute if attribute.name != "accuracy_level"]
        del copy.attribute[:]
        copy.attribute.extend([*kept, onnx.helper.make_attribute("accuracy_level", level)])
        weights = [self._weights[name] for name in node.input[1:] if name]
        for weight in weights:
            if onnx.external_data_helper.uses_external_data(weight):
                onnx.external_data_helper.load_external_data_for_tensor(weight, str(self._folder))
                weight.data_location = onnx.TensorProto.DEFAULT
        [shape] = run.inputs[0].values()
        activations = onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, shape)
        outputs = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
        graph = onnx.helper.make_graph([copy], "alone", [activations], [outputs], weights)
        domains = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid(node.domain, 1)]
        model = onnx.helper.make_model(graph, opset_imports=domains, ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        found: Array = session.run(None, {node.input[0]: values})[0]
        return found


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of an onnx.GraphProto, those in the branches and bodies of control flow included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _middle_mean(values: Sequence[float]) -> float:
    """Mean without the lowest and highest quarter: a call in which the process was interrupted tells nothing."""
    cut = len(values) // 4
    kept = sorted(values)[cut : len(values) - cut]
    return sum(kept) / len(kept)
