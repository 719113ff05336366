"""What cannot be built from an ONNX graph, each with the node or tensor that it is at and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExportError, ParityError
from edgekit.export import OPSET
from edgekit.parity import onnx_function
from edgekit.tensors import DTYPES, Array

if TYPE_CHECKING:
    import onnx_ir as ir

QUANTIZED = re.compile(r"QLinear|QGemm|QAttention|(Dynamic|De)?[Qq]uantize|ConvInteger|MatMul(Integer|NBits|Bnb4)")
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
STANDARD = ("", "ai.onnx.ml")  # domains whose ops the onnx package knows
OLDEST_OPSET = 7  # that onnxruntime, the reference, implements

FLOAT32_ONLY = (
    "edgekit makes its smaller precisions from float32, and neither quantizer takes another: give the float32 model"
)


def refuse_unbuildable(model: ir.Model, path: Path) -> None:
    """Refuse a graph that no build could finish, before any work goes into it.

    model: as `edgekit.building.onnx_in.read_onnx` gives it.

    Raises:
        ExportError: the first thing that is found; the message names it and what to do.
    """
    if model.opset_imports.get("", OPSET) < OLDEST_OPSET:
        raise ExportError(
            f"{path} is of opset {model.opset_imports['']}; onnxruntime, which everything is compared with, implements "
            f"{OLDEST_OPSET} and newer: export it again"
        )
    for node, opsets in _nodes(model):
        for rule in RULES:
            if reason := rule(node, model, opsets):
                raise ExportError(f"{path}: {_label(node)} {reason}")
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        if reason := _wrong_dtype(value):
            raise ExportError(f"{path}: {reason}")


def _nodes(model: ir.Model) -> Iterator[tuple[ir.Node, Mapping[str, int]]]:
    """Every node, those of subgraphs and functions too, with the opsets that it is written in."""
    for node in model.graph.all_nodes():
        yield node, model.opset_imports
    for function in model.functions.values():
        for node in function.all_nodes():
            yield node, function.opset_imports


def _label(node: ir.Node) -> str:
    op = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"node {node.name!r} ({op})"


def _quantized(node: ir.Node, _: ir.Model, __: Mapping[str, int]) -> str:
    if not QUANTIZED.match(node.op_type):
        return ""
    return "is of a graph that is quantized already; give the float model that it was made from: edgekit quantizes it"


def _random(node: ir.Node, _: ir.Model, __: Mapping[str, int]) -> str:
    if node.op_type not in RANDOM:
        return ""
    return (
        "gives other numbers each time, so that no variant can be compared with another; "
        "export the model in inference mode, or make the noise an input"
    )


def _training(node: ir.Node, _: ir.Model, __: Mapping[str, int]) -> str:
    if node.op_type == "BatchNormalization":
        training = node.attributes.get_int("training_mode", 0) or len([v for v in node.outputs if v.name]) > 1
    else:
        training = node.op_type == "Dropout" and len(node.inputs) > 2 and _may_be_true(node.inputs[2])
    return "is in training mode; export the model in inference mode (model.eval() in torch)" if training else ""


def _may_be_true(value: ir.Value | None) -> bool:
    import onnx_ir as ir

    if value is None:
        return False
    constant = ir.convenience.get_const_tensor(value)
    return constant is None or bool(constant.numpy().any())


def _unknown(node: ir.Node, model: ir.Model, opsets: Mapping[str, int]) -> str:
    import onnx

    domain = node.domain
    if node.op_identifier() in model.functions or domain.startswith("com.microsoft"):
        return ""  # what onnxruntime has of its own, it says itself
    if domain not in STANDARD:
        return (
            f"is of domain {domain!r}, which onnxruntime does not implement; write it as a function of the model "
            "(onnx.helper.make_function), or export it as standard ops"
        )
    if domain in opsets and not onnx.defs.has(node.op_type, opsets[domain], domain):
        return f"is no op of opset {opsets[domain]}; export the model again, at opset {OPSET}"
    return ""


Rule = Callable[["ir.Node", "ir.Model", Mapping[str, int]], str]
RULES: tuple[Rule, ...] = (_quantized, _random, _training, _unknown)


def _wrong_dtype(value: ir.Value) -> str:
    """Why an input or a weight cannot be taken; scalars and vectors of other precisions are common and harmless."""
    if value.dtype is None:
        return f"input {value.name!r} has no dtype; run onnx.shape_inference on the file, or export it again"
    dtype = value.dtype.numpy().name
    is_weight = value.is_initializer()
    if is_weight and (value.shape is None or len(value.shape) < 2):
        return ""
    if dtype in ("float16", "bfloat16", "float64"):
        return f"{'weight' if is_weight else 'input'} {value.name!r} is {dtype}; {FLOAT32_ONLY}"
    if not is_weight and dtype not in DTYPES:
        return f"input {value.name!r} is {dtype}; edgekit feeds {', '.join(DTYPES)}: cast it in the graph"
    return ""


def refuse_non_tensors(proto: Any, path: Path) -> None:
    """Refuse a ModelProto with inputs or outputs that are no plain tensors.

    Raises:
        ExportError: naming the first of them.
    """
    from onnx import TensorProto

    for what, values in (("input", proto.graph.input), ("output", proto.graph.output)):
        for value in values:
            kind = value.type.WhichOneof("value") or "tensor_type"
            text = kind == "tensor_type" and value.type.tensor_type.elem_type == TensorProto.STRING
            if kind == "tensor_type" and not text:
                continue
            found = "string" if text else kind.removesuffix("_type")
            raise ExportError(
                f"{path}: {what} {value.name!r} is of type {found}; edgekit feeds and compares tensors of numbers: "
                f"{_instead(proto, value.name, text=text)}"
            )


def _instead(proto: Any, name: str, *, text: bool) -> str:
    maker = next((node for node in proto.graph.node if name in node.output), None)
    if maker is not None and maker.op_type == "ZipMap":
        return f"node {maker.name!r} (ZipMap) makes it; convert with options={{'zipmap': False}} in skl2onnx"
    if text:
        return "encode text outside of the model, or cut it off with onnx.utils.extract_model"
    return "export the tensors alone, or cut it off with onnx.utils.extract_model"


def reference_function(model: ir.Model, path: Path) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """Runs the graph of `path` in onnxruntime: feeds -> outputs by name.

    Raises:
        ExportError: onnxruntime refuses the graph, in the function: fails on the feeds; with its reason in short.
    """
    try:
        run = onnx_function(model)
    except ExportError as error:
        raise ExportError(
            f"{path} cannot be run: onnxruntime, which everything is compared with, says: {_said(error)}"
            f"{_whose(model, error)}"
        ) from error

    def checked(feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            found: dict[str, Array] = run(feeds)
        except ParityError as error:
            shapes = {name: f"{array.dtype} {list(array.shape)}" for name, array in feeds.items()}
            raise ExportError(f"{path} does not run on {shapes} of the given data: {_said(error)}") from error
        return found

    return checked


def _whose(model: ir.Model, error: ExportError) -> str:
    """The first node of an op that onnxruntime does not have: it names the op alone."""
    found = re.search(r":(\w+)\(-?\d+\) is not a registered function/op", str(error.__cause__))
    nodes = [node for node in model.graph.all_nodes() if found and node.op_type == found[1]]
    return f", the op of {_label(nodes[0])}; export it as standard ops" if nodes else ""


# What onnxruntime puts around its reasons: codes, the path, a place in its sources with a C++ signature.
NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .* failed:|\S+\.(cc|h):\d+ (\S+ .*?\) )?")
AT_NODE = re.compile(r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ")


def _said(error: ExportError) -> str:
    """onnxruntime's reason, with the node first where it names one; in one line."""
    text = NOISE.sub("", str(error.__cause__))
    return " ".join(AT_NODE.sub(r"node '\2' (\1): ", text).split())
