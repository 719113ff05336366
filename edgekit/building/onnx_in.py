"""Reads an ONNX file into the form that a build starts from, whoever wrote it and however long ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.building.refusals import refuse_non_tensors, refuse_unbuildable
from edgekit.errors import ExportError, MissingDependencyError
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.lower import lower
from edgekit.transforms.names import name_nodes
from edgekit.transforms.through_onnx import through_onnx

if TYPE_CHECKING:
    import onnx_ir as ir

IR_VERSION = 10  # of edgekit's own exports; before 4, weights had to be inputs too


def read_onnx(path: Path) -> ir.Model:
    """Load an ONNX file. Weights are no inputs, every node has a name of its own, and a size of 0 or less is unknown.

    Raises:
        ExportError: there is no such file or one of its weights, it is not an ONNX model, or its inputs or outputs are
            not tensors.
    """
    try:
        import onnx
        import onnx_ir as ir
    except ImportError as error:
        raise MissingDependencyError(error.name or "onnx-ir", extra="export") from error
    if not path.is_file():
        raise ExportError(f"no ONNX file at {path}")
    try:
        proto = onnx.load(path, load_external_data=False)
        refuse_non_tensors(proto, path)
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, path.parent)
        ir.external_data.load_to_model(model)  # weights beside the file, which bytes cannot refer to
    except ExportError:
        raise
    except FileNotFoundError as error:
        raise ExportError(
            f"{path} keeps weights in another file, and there is no {error.filename}: copy it there too"
        ) from error
    except Exception as error:  # protobuf's and onnx's errors have no common base
        raise ExportError(f"{path} is not an ONNX model that can be read: {_root(error)}") from error
    return _mended(model)


def read_float_onnx(path: Path) -> ir.Model:
    """`read_onnx`, for a build.

    Raises:
        ExportError: see there and `edgekit.building.refusals`.
    """
    model = read_onnx(path)
    if not model.graph.inputs:
        raise ExportError(f"{path} has no inputs, so there is nothing to run")
    refuse_unbuildable(model, path)
    return model


def _root(error: BaseException) -> BaseException:
    """What onnx_ir found, below the layers that it found it in."""
    return error if error.__cause__ is None else _root(error.__cause__)


def _mended(model: ir.Model) -> ir.Model:
    """What is written otherwise than the standard says now, without a change to what is computed."""
    import onnx_ir as ir
    from onnx_ir.passes.common import RemoveInitializersFromInputsPass, TopologicalSortPass

    RemoveInitializersFromInputsPass()(model)
    TopologicalSortPass()(model)
    model.graph.name = model.graph.name or "graph"
    model.ir_version = max(model.ir_version, IR_VERSION)
    if "ai.onnx" in model.opset_imports:  # the long name of the standard domain
        model.opset_imports[""] = model.opset_imports.pop("ai.onnx")
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None:
            sizes = [None if isinstance(dim, int) and dim < 1 else dim for dim in value.shape]
            value.shape = ir.Shape(sizes)
    return name_nodes(model)


def plain_graph(model: ir.Model, specs: Sequence[TensorSpec], outputs: Mapping[str, Array], path: Path) -> ir.Model:
    """`model`, changed: functions inlined, constants as weights, the sizes of `specs`; checked by onnx.

    specs: of the inputs; a dimension with one size only is a constant of the graph.
    outputs: what the graph gives for one set of inputs: their ranks, where the graph does not say.

    Raises:
        ExportError: onnx's checker refuses the graph.
    """
    import onnx_ir as ir
    from onnx_ir.passes.common import CheckerPass, LiftConstantsToInitializersPass

    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=1)(lower(model))
    by_name = {spec.name: spec for spec in specs}
    for value in model.graph.inputs:
        spec = by_name[str(value.name)]
        value.shape = ir.Shape([_fixed(dim, spec.ranges) for dim in spec.shape])
    for value in (value for node in model.graph.all_nodes() if node.domain == "" for value in node.outputs):
        if not value.is_graph_output():
            value.shape = None  # it follows from the inputs', and the file's may be for other ones
    for value in model.graph.outputs:
        if value.shape is None and value.name in outputs:
            value.shape = ir.Shape([None] * outputs[str(value.name)].ndim)
    try:
        CheckerPass()(model)
    except Exception as error:  # the checker's, inside the pass's own
        raise ExportError(f"{path}: onnx's checker refuses the graph: {' '.join(str(_root(error)).split())}") from error
    return model


def with_shapes(model: ir.Model) -> ir.Model:
    """The graph with shapes and dtypes wherever they follow from the inputs', as a new model.

    model: upgraded: onnx follows sizes that the graph computes itself in newer opsets alone.

    Raises:
        ExportError: shapes contradict each other.
    """
    import onnx

    try:
        return through_onnx(model, lambda proto: onnx.shape_inference.infer_shapes(proto, data_prop=True))
    except Exception as error:  # onnx's errors have no common base
        raise ExportError(f"the shapes of the graph cannot be inferred: {error}") from error


def _fixed(dim: int | str, ranges: Mapping[str, tuple[int, int]]) -> int | str:
    if isinstance(dim, str) and ranges[dim][0] == ranges[dim][1]:
        return ranges[dim][0]
    return dim
