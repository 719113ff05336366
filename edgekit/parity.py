"""The hard gate between torch and the exported graph: same outputs, on real inputs, not only at the traced shape."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExportError, ParityError
from edgekit.export import Exported, exceeds_protobuf, save_model
from edgekit.feeds import feeds_at, real_feeds
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec, dim_ranges, max_deviation

if TYPE_CHECKING:
    import onnx_ir as ir

# How many epsilons of its dtype an output may be off, as a share of the largest magnitude in it. Two orders of
# summation over thousands of terms differ by tens of epsilons; a wrong constant (BatchNorm's epsilon) by thousands.
ALLOWED_EPSILONS = {"float64": 256, "float32": 256, "float16": 16}
SAMPLES = 4
WINDOW = 32  # intermediate values compared at a time while looking for the first diverging node


@dataclass(frozen=True)
class ParityCheck:
    """One output at one set of sizes. `error` and `tolerance` are absolute; integer outputs allow no error."""

    sizes: Mapping[str, int]
    output: str
    error: float
    tolerance: float


@dataclass(frozen=True)
class Divergence:
    """The first intermediate value, in the graph's order, where torch and ONNX part."""

    node: str
    op_type: str
    value: str
    index: tuple[int, ...]
    torch: float
    onnx: float


def check_parity(recipe: Recipe, exported: Exported) -> tuple[ParityCheck, ...]:
    """Compare every output with torch at the smallest, the traced and the largest sizes.

    Raises:
        ParityError: an output differs by more than its tolerance; the message names the first diverging node.
    """
    samples = real_feeds(recipe, SAMPLES)
    run = onnx_function(exported.model)
    checks: list[ParityCheck] = []
    for sizes in parity_sizes(recipe.input_specs, exported.traced_sizes):
        feeds = feeds_at(recipe.input_specs, samples, sizes)
        expected, got = torch_outputs(recipe, exported, feeds), run(feeds)
        for name in recipe.outputs:
            check = ParityCheck(sizes, name, *deviation(got[name], expected[name]))
            if not check.error <= check.tolerance:
                raise ParityError(_failure(recipe, exported, check, feeds))
            checks.append(check)
    return tuple(checks)


def parity_sizes(specs: Sequence[TensorSpec], traced: Mapping[str, int]) -> list[dict[str, int]]:
    """The sizes to compare at: smallest, traced, middle, largest; with several dynamic dimensions, also mixed."""
    ranges = dim_ranges(specs)
    candidates = [
        {dim: low for dim, (low, _) in ranges.items()},
        dict(traced),
        {dim: (low + high) // 2 for dim, (low, high) in ranges.items()},
        {dim: high for dim, (_, high) in ranges.items()},
        {dim: ranges[dim][position % 2] for position, dim in enumerate(ranges)},
    ]
    return [sizes for position, sizes in enumerate(candidates) if sizes not in candidates[:position]]


def deviation(got: Array, expected: Array) -> tuple[float, float]:
    """Largest absolute error of `got`, and the tolerance for it; infinite where shape, dtype or non-finites differ."""
    if got.dtype != expected.dtype:
        return float("inf"), 0.0
    return max_deviation(got, expected), rounding_tolerance(expected)


def rounding_tolerance(expected: Array) -> float:
    """What two correct computations of `expected` may differ by, absolute: so many epsilons of its largest."""
    if expected.dtype.name not in ALLOWED_EPSILONS:
        return 0.0
    magnitude = np.abs(expected.astype(np.float64))
    scale = float(np.max(magnitude, initial=0.0, where=np.isfinite(magnitude)))
    return ALLOWED_EPSILONS[expected.dtype.name] * float(np.finfo(expected.dtype).eps) * scale


def torch_outputs(recipe: Recipe, exported: Exported, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What the torch module computes: outputs by the recipe's names."""
    import torch

    with torch.inference_mode():
        returned = exported.module(*(torch.from_numpy(feeds[name]) for name in recipe.inputs))
    tensors = dict(zip(exported.returned, torch.utils._pytree.tree_leaves(returned), strict=True))
    return {name: tensors[name].numpy() for name in recipe.outputs}


def onnx_function(model: ir.Model, outputs: Sequence[Any] = ()) -> Any:
    """A function feeds -> values by name that runs the graph in onnxruntime, unoptimized.

    outputs: intermediate values of the graph to return instead of its own outputs.

    Raises:
        ExportError: onnxruntime refuses the graph. The function raises ParityError where it does not run.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    own_outputs = list(model.graph.outputs)
    try:
        _replace_outputs(model, outputs or own_outputs)
        session = _reference_session(model, options)
    finally:
        _replace_outputs(model, own_outputs)
    names = [str(value.name) for value in outputs or own_outputs]

    def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return dict(zip(names, session.run(names, dict(feeds)), strict=True))
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            shapes = {name: array.shape for name, array in feeds.items()}
            raise ParityError(f"the graph does not run on inputs of shapes {shapes}: {error}") from error

    return run


def _reference_session(model: ir.Model, options: Any) -> Any:
    import onnx_ir as ir
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    try:
        if not exceeds_protobuf(model):
            serialized = ir.to_proto(model).SerializeToString()
            return onnxruntime.InferenceSession(serialized, options, providers=providers)
        with tempfile.TemporaryDirectory(prefix="edgekit-parity-") as folder:
            save_model(model, Path(folder) / "model.onnx")
            return onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"), options, providers=providers)
    except Exception as error:  # as above; a custom operator, say
        raise ExportError(f"onnxruntime, the reference, refuses the graph: {error}") from error


def _replace_outputs(model: ir.Model, outputs: Sequence[Any]) -> None:
    model.graph.outputs.clear()
    model.graph.outputs.extend(outputs)


def first_divergence(exported: Exported, feeds: Mapping[str, Array]) -> Divergence | None:
    """The first node whose output differs from torch's, found by cutting the graph at intermediate values.

    Values are matched by name: the exporter gives a graph value the name of the torch node that it came from. None
    where no value with a namesake differs.
    """
    expected = _torch_intermediates(exported, feeds)
    named: list[Any] = [value for node in exported.model.graph for value in node.outputs if value.name in expected]
    for window in _windows(named):
        got = onnx_function(exported.model, window)(feeds)
        for value in window:
            error, tolerance = deviation(got[value.name], expected[value.name])
            if not error <= tolerance:
                return _divergence(value, got[value.name], expected[value.name])
    return None


def _windows(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), WINDOW):
        yield values[start : start + WINDOW]


def _torch_intermediates(exported: Exported, feeds: Mapping[str, Array]) -> dict[str, Array]:
    import torch

    found: dict[str, Array] = {}

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, node: Any) -> Any:
            result = super().run_node(node)
            if isinstance(result, torch.Tensor):
                found[node.name] = result.detach().numpy()
            return result

    names = [str(value.name) for value in exported.model.graph.inputs]
    with torch.inference_mode():
        returned = Recorder(exported.program.module()).run(*(torch.from_numpy(feeds[name]) for name in names))
    # Outputs bear the recipe's names in place of their nodes'.
    outputs = zip(exported.returned, torch.utils._pytree.tree_leaves(returned), strict=True)
    return found | {name: tensor.numpy() for name, tensor in outputs}


def _divergence(value: Any, got: Array, expected: Array) -> Divergence:
    node = value.producer()
    if got.shape != expected.shape or not got.size:
        return Divergence(node.name, node.op_type, value.name, (), float("nan"), float("nan"))
    difference = np.nan_to_num(np.abs(got.astype(np.float64) - expected.astype(np.float64)), nan=np.inf)
    index = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), got.shape))
    return Divergence(node.name, node.op_type, value.name, index, float(expected[index]), float(got[index]))


def _failure(recipe: Recipe, exported: Exported, check: ParityCheck, feeds: Mapping[str, Array]) -> str:
    at = ", ".join(f"{dim}={size}" for dim, size in check.sizes.items()) or "its fixed shape"
    head = (
        f"{recipe.name!r}: output {check.output!r} at {at} is off from torch by {check.error:.3g}, "
        f"where {check.tolerance:.3g} is allowed"
    )
    found = first_divergence(exported, feeds)
    if found is None:
        return f"{head}. No intermediate value that bears a torch name differs; the last node is the one to look at"
    return (
        f"{head}. The first node that differs is {found.node} ({found.op_type}), output {found.value!r} at index "
        f"{found.index}: torch {found.torch:.9g}, onnx {found.onnx:.9g}"
    )
