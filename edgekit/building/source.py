"""Where a build starts: one float ONNX graph with named tensors, whether it came from torch or from a file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.building.onnx_in import plain_graph, read_float_onnx, with_shapes
from edgekit.building.refusals import reference_function
from edgekit.errors import ExportError, ParityError
from edgekit.export import export, traced_sizes
from edgekit.feeds import feeds_at, real_feeds
from edgekit.parity import WINDOW, ParityCheck, check_parity, deviation, onnx_function, parity_sizes
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, Dim, TensorSpec, check_state, dim_ranges
from edgekit.transforms.branches import own_outputs
from edgekit.transforms.lower import lower
from edgekit.transforms.names import name_nodes
from edgekit.transforms.simplify import simplify
from edgekit.transforms.state import write_state
from edgekit.transforms.upgrade import LEAST_OPSET, upgrade

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class FloatModel:
    """The float graph of a build, its tensors, and the proof that it is the model it claims to be.

    weights_sha256: digest of the torch module's state, or of the ONNX graph's weights.
    parity: what was compared with torch; empty for a model that came as ONNX.
    """

    model: ir.Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights_sha256: str
    parity: tuple[ParityCheck, ...]


def float_model(recipe: Recipe) -> FloatModel:
    """Export the recipe's torch model and check parity, or read its ONNX file; then simplify the graph.

    Raises:
        ExportError: the model cannot be exported or read.
        ParityError: the graph, before or after simplification, does not compute what torch computes.
        TensorError: state of another dtype or shape than the output that it comes from.
    """
    source = _from_onnx(recipe, recipe.model) if isinstance(recipe.model, Path) else _from_torch(recipe)
    check_state(recipe.state, source.inputs, outputs=source.outputs)
    write_state(source.model, recipe.state)
    return source


def _from_torch(recipe: Recipe) -> FloatModel:
    exported = export(recipe)
    exported = replace(exported, model=_simplified(exported.model))
    parity = check_parity(recipe, exported)
    return FloatModel(
        model=exported.model,
        inputs=recipe.input_specs,
        outputs=output_specs(recipe, exported.model),
        weights_sha256=exported.weights_sha256,
        parity=parity,
    )


def _simplified(model: ir.Model) -> ir.Model:
    return name_nodes(lower(own_outputs(simplify(model))))


def _from_onnx(recipe: Recipe, path: Path) -> FloatModel:
    original = read_float_onnx(path)
    _check_declared(recipe, original)
    reference = reference_function(original, path)
    outputs = reference(real_feeds(recipe, 1)[0])
    plain = plain_graph(original, recipe.input_specs, outputs, path)
    digest = _digest(plain)
    simplified = _simplified(with_shapes(_upgraded(recipe, plain, reference)))
    _check_unchanged(recipe, reference, simplified, step="simplifying the graph")
    return FloatModel(
        model=simplified,
        inputs=recipe.input_specs,
        outputs=output_specs(recipe, simplified),
        weights_sha256=digest,
        parity=(),
    )


def _upgraded(recipe: Recipe, plain: ir.Model, reference: Any) -> ir.Model:
    """`plain` at the opset of our own exports, or as it is where that does not work and is not needed."""
    opset = plain.opset_imports.get("", LEAST_OPSET)
    try:
        upgraded = upgrade(plain)
        if upgraded is not plain:
            _check_unchanged(recipe, reference, upgraded, step=f"the upgrade from opset {opset}")
    except ExportError as error:
        if opset < LEAST_OPSET:
            raise
        warnings.warn(f"the graph stays at opset {opset}: {error}", RuntimeWarning, stacklevel=2)
        return plain
    return upgraded


def _check_declared(recipe: Recipe, model: ir.Model) -> None:
    declared = [str(value.name) for value in model.graph.outputs]
    if missing := [name for name in recipe.outputs if name not in declared]:
        raise ExportError(f"{recipe.name!r}: no output named {missing[0]!r} in the graph; it has {sorted(declared)}")
    inputs = [str(value.name) for value in model.graph.inputs]
    if sorted(recipe.inputs) != sorted(inputs):
        raise ExportError(
            f"{recipe.name!r} declares the inputs {sorted(recipe.inputs)}; the graph has {sorted(inputs)}"
        )


def _digest(model: ir.Model) -> str:
    """Of names, dtypes, shapes and bytes of the weights, wherever the file kept them."""
    digest = hashlib.sha256()
    for name, value in sorted(model.graph.initializers.items()):
        array = value.const_value.numpy() if value.const_value is not None else np.empty(0)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _check_unchanged(recipe: Recipe, reference: Any, changed: ir.Model, *, step: str) -> None:
    """`step` must not change what the graph computes, at the sizes that parity is checked at."""
    samples, run = real_feeds(recipe, 4), onnx_function(changed)
    for sizes in parity_sizes(recipe.input_specs, traced_sizes(recipe.input_specs)):
        feeds = feeds_at(recipe.input_specs, samples, sizes)
        expected, got = reference(feeds), run(feeds)
        for name in recipe.outputs:
            error, tolerance = deviation(got[name], expected[name])
            if not error <= tolerance:
                raise ParityError(
                    f"{recipe.name!r}: {step} changed output {name!r} by {error:.3g} at {dict(sizes)}, "
                    f"where {tolerance:.3g} is allowed{_first_change(recipe, changed, feeds)}"
                )


def _first_change(recipe: Recipe, changed: ir.Model, feeds: Mapping[str, Array]) -> str:
    """The first node of the file whose value, found again by its name, is another in `changed`; for a message."""
    assert isinstance(recipe.model, Path)  # noqa: S101 - only such models come here
    original = lower(read_float_onnx(recipe.model))
    others = {value.name: value for node in changed.graph for value in node.outputs}
    named = [value for node in original.graph for value in node.outputs if value.name and value.name in others]
    for start in range(0, len(named), WINDOW):
        window = named[start : start + WINDOW]
        expected = onnx_function(original, window)(feeds)
        got = onnx_function(changed, [others[value.name] for value in window])(feeds)
        for value in window:
            error, tolerance = deviation(got[value.name], expected[value.name])
            if not error <= tolerance:
                node = value.producer()
                return f"; the first node that differs is {node.name!r} ({node.op_type})" if node else ""
    return ""


def output_specs(recipe: Recipe, model: ir.Model) -> tuple[TensorSpec, ...]:
    """The outputs' specifications, dtypes and sizes as computed on real inputs at the smallest and largest sizes."""
    samples, run = real_feeds(recipe, 4), onnx_function(model)
    ranges = dim_ranges(recipe.input_specs)
    low, high = (
        run(feeds_at(recipe.input_specs, samples, {dim: bounds[end] for dim, bounds in ranges.items()}))
        for end in (0, 1)
    )
    declared = {str(value.name): value for value in model.graph.outputs}
    return tuple(_output_spec(declared[name], low[name], high[name], ranges) for name in recipe.outputs)


def _output_spec(value: Any, low: Array, high: Array, ranges: Mapping[str, tuple[int, int]]) -> TensorSpec:
    symbols = [_symbol(dim) for dim in value.shape] if value.shape is not None else [None] * low.ndim
    dims: list[Dim] = []
    found: dict[str, tuple[int, int]] = {}
    for axis, (smallest, largest) in enumerate(zip(low.shape, high.shape, strict=True)):
        symbol = symbols[axis]
        if smallest == largest and symbol not in ranges:
            dims.append(smallest)
            continue
        name = symbol if symbol is not None and symbol in ranges else f"{value.name}_dim{axis}"
        dims.append(name)
        found[name] = ranges.get(name, (min(smallest, largest), max(smallest, largest)))
    return TensorSpec(low.dtype.name, tuple(dims), ranges=found, name=value.name)


def _symbol(dim: Any) -> str | None:
    return None if isinstance(dim, int) else str(dim.value)


def onnx_inputs(model: ir.Model, samples: Sequence[Mapping[str, Array]]) -> dict[str, TensorSpec]:
    """Specifications of an ONNX graph's inputs; a dynamic dimension ranges over the sizes seen in `samples`."""
    return {str(value.name): _input_spec(value, samples) for value in model.graph.inputs}


def _input_spec(value: Any, samples: Sequence[Mapping[str, Array]]) -> TensorSpec:
    dims: list[Dim] = []
    ranges: dict[str, tuple[int, int]] = {}
    for axis, dim in enumerate(value.shape):
        if isinstance(dim, int):
            dims.append(dim)
            continue
        name = str(dim.value) if dim.value else f"{value.name}_dim{axis}"
        sizes = [sample[value.name].shape[axis] for sample in samples]
        dims.append(name)
        ranges[name] = (min(sizes), max(sizes))
    return TensorSpec(value.dtype.numpy().name, tuple(dims), ranges=ranges, name=value.name)
