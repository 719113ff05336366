"""nn.Module -> ExportedProgram -> onnx_ir.Model, with the dynamic dimensions that the recipe names and no others."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExportError, MissingDependencyError, did_you_mean
from edgekit.feeds import feeds_at, real_feeds
from edgekit.quiet import quiet_logs
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import TensorSpec, dim_ranges

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

OPSET = 20
EXTERNAL_DATA_LIMIT_BYTES = 1_900_000_000  # protobuf refuses messages over 2 GiB; weights beyond lie in a second file

# What torch.export says, and what a user can do about it.
ADVICE = {
    "data-dependent": "the model branches on the value of a tensor: write the branch with torch.where or torch.cond",
    "Could not guard": "the model branches on the value of a tensor: write the branch with torch.where or torch.cond",
    "Constraints violated": "the model fixes a size that the recipe declares dynamic: make that size an int in the "
    "recipe's TensorSpec, or take it from x.shape in the model",
}


@dataclass(frozen=True)
class Exported:
    """A model in both forms, and what parity needs to compare them.

    model: the ONNX graph; inputs and outputs bear the recipe's names, dynamic dimensions too.
    module: the torch module, in eval mode.
    program: the ExportedProgram that the graph was made from; node names are the graph's value names.
    returned: names of all that the module returns, in its own order; the graph keeps those that the recipe declares.
    traced_sizes: the sizes of dynamic dimensions that the model was traced at.
    weights_sha256: digest of names, dtypes, shapes and bytes of the module's state.
    """

    model: ir.Model
    module: torch.nn.Module
    program: torch.export.ExportedProgram
    returned: tuple[str, ...]
    traced_sizes: Mapping[str, int]
    weights_sha256: str


def export(recipe: Recipe) -> Exported:
    """Trace the recipe's model with torch.export and convert it to ONNX.

    Raises:
        MissingDependencyError: torch or onnxscript is not installed.
        ExportError: the model cannot be traced, returns other outputs than declared, or fixed a dynamic dimension.
    """
    if isinstance(recipe.model, Path):
        raise ExportError(f"recipe {recipe.name!r} is the ONNX file {recipe.model} already; there is nothing to export")
    torch = _import_torch()
    module = recipe.load_model()
    _check_argument_order(module, recipe)
    sizes = traced_sizes(recipe.input_specs)
    feeds = feeds_at(recipe.input_specs, real_feeds(recipe, 4), sizes)
    arguments = tuple(torch.from_numpy(feeds[name]) for name in recipe.inputs)
    with _quiet():
        program = _trace(torch, module, arguments, recipe)
        returned = returned_names(recipe, _call(torch, module, arguments))
        converted = _convert(torch, program, recipe, returned=returned)
    _keep_outputs(converted.model, recipe.outputs)
    _free_names(converted.model)
    _name_dimensions(converted.model, recipe.input_specs)
    return Exported(
        model=converted.model,
        module=module,
        program=converted.exported_program,
        returned=returned,
        traced_sizes=sizes,
        weights_sha256=_digest(module.state_dict()),
    )


def traced_sizes(specs: Sequence[TensorSpec]) -> dict[str, int]:
    """The sizes to trace at: torch.export takes 0 and 1 for constants, so 2 where the range allows it."""
    return {dim: min(high, max(low, 2)) for dim, (low, high) in dim_ranges(specs).items()}


def save_model(model: ir.Model, path: Path, *, limit_bytes: int | None = None) -> None:
    """Write the graph to `path`, and its weights to `data_file(path)` if they pass `limit_bytes`; all or nothing.

    limit_bytes: `EXTERNAL_DATA_LIMIT_BYTES` if None.

    Source paths and stack traces that torch recorded in the graph are left out.

    Raises:
        ExportError: the file cannot be written.
    """
    import onnx_ir as ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(model)
    data_name = data_file(path).name if exceeds_protobuf(model, limit_bytes) else None
    moved: list[Path] = []
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            ir.save(model, Path(folder) / path.name, external_data=data_name)
            for name in filter(None, (data_name, path.name)):
                os.replace(Path(folder) / name, path.parent / name)
                moved.append(path.parent / name)
    except OSError as error:
        for part in moved:  # weights whose graph could not follow are of no use
            part.unlink(missing_ok=True)
        raise ExportError(f"cannot write {path}: {error.strerror or error}; nothing was left there") from error


def data_file(path: Path) -> Path:
    """Where the weights of the ONNX file `path` lie if they do not fit into it."""
    return path.with_name(f"{path.name}.data")


def exceeds_protobuf(model: ir.Model, limit_bytes: int | None = None) -> bool:
    """Whether the weights are too large for one protobuf message, or than `limit_bytes`."""
    sizes = (value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    return sum(sizes) > (EXTERNAL_DATA_LIMIT_BYTES if limit_bytes is None else limit_bytes)


def _import_torch() -> Any:
    for package in ("torch", "onnxscript", "onnx_ir"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingDependencyError(package, extra="export") from error
    import torch

    return torch


def _check_argument_order(module: torch.nn.Module, recipe: Recipe) -> None:
    """Inputs go to forward by position; a name that stands elsewhere in forward's signature is surely a mistake."""
    parameters = list(inspect.signature(module.forward).parameters)
    for position, name in enumerate(recipe.inputs):
        if name in parameters and parameters.index(name) != position:
            raise ExportError(
                f"recipe {recipe.name!r}: input {name!r} is number {position + 1} in the recipe but number "
                f"{parameters.index(name) + 1} in forward({', '.join(parameters)}); list the inputs in forward's order"
            )


def _trace(torch: Any, module: Any, arguments: tuple[Any, ...], recipe: Recipe) -> Any:
    try:
        return torch.export.export(module, arguments, dynamic_shapes=_dynamic_shapes(torch, recipe.input_specs))
    except Exception as error:  # torch.export raises many types, most of them private
        raise ExportError(f"torch.export refused {recipe.name!r}: {_explain(error)}") from error


def _dynamic_shapes(torch: Any, specs: Sequence[TensorSpec]) -> tuple[dict[int, Any], ...]:
    ranges = dim_ranges(specs)
    dims = {name: torch.export.Dim(name, min=low, max=high) for name, (low, high) in ranges.items() if low < high}
    return tuple(
        {axis: dims[dim] for axis, dim in enumerate(spec.shape) if isinstance(dim, str) and dim in dims}
        for spec in specs
    )


def _call(torch: Any, module: Any, arguments: tuple[Any, ...]) -> Any:
    with torch.inference_mode():
        return module(*arguments)


def returned_names(recipe: Recipe, returned: Any) -> tuple[str, ...]:
    """A name for each tensor that the module returned, in its own order: a dict's keys, else the recipe's outputs.

    Raises:
        ExportError: a declared output is not among a dict's keys, or the number of tensors is not the number declared.
    """
    if isinstance(returned, Mapping):
        if missing := [name for name in recipe.outputs if name not in returned]:
            raise ExportError(
                f"recipe {recipe.name!r}: the model returns no {missing[0]!r}; {did_you_mean(missing[0], returned)}"
            )
        return tuple(returned)
    count = len(returned) if isinstance(returned, (tuple, list)) else 1
    if count != len(recipe.outputs):
        raise ExportError(
            f"recipe {recipe.name!r} declares outputs {list(recipe.outputs)}, but the model returns {count} tensors; "
            "declare one name for each, in order"
        )
    return recipe.outputs


def _convert(torch: Any, program: Any, recipe: Recipe, *, returned: Sequence[str]) -> Any:
    try:
        converted = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(recipe.inputs),
            output_names=list(returned),
            opset_version=OPSET,
            verbose=False,
        )
    except Exception as error:  # the exporter's own errors derive from several bases
        raise ExportError(f"the ONNX conversion of {recipe.name!r} failed: {_explain(error)}") from error
    if (found := len(converted.model.graph.outputs)) != len(returned):
        raise ExportError(
            f"recipe {recipe.name!r}: the outputs {list(returned)} came out as {found} tensors; "
            "return tensors alone, not lists or dicts of them"
        )
    return converted


def _keep_outputs(model: ir.Model, names: Sequence[str]) -> None:
    """Leave the graph the outputs that the recipe declares, in its order."""
    by_name = {value.name: value for value in model.graph.outputs}
    model.graph.outputs.clear()
    model.graph.outputs.extend(by_name[name] for name in names)


def _free_names(model: ir.Model) -> None:
    """Rename inner values that bear the name of an input or output: torch knows only its own names, and reuses them."""
    outer = [*model.graph.inputs, *model.graph.outputs]
    taken = {value.name for value in outer}
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.name in taken and not any(value is other for other in outer):
                value.name = f"{value.name}__inner"


def _explain(error: Exception) -> str:
    text = str(error)
    message = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    for sign, advice in ADVICE.items():
        if sign in text:
            return f"{advice}{_place(text)}. (torch: {message})"
    return f"{type(error).__name__}: {message}{_place(text)}"


def _place(text: str) -> str:
    """The line of the model that torch names, as ` (at net.py:9, "if y.sum() > 0:")`; empty if it names none."""
    found = re.search(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in \w+\n\s+(?P<code>.+)', text)
    return f' (at {Path(found["file"]).name}:{found["line"]}, "{found["code"].strip()}")' if found else ""


def _name_dimensions(model: ir.Model, specs: Sequence[TensorSpec]) -> None:
    """Give torch's symbols (s77) the recipe's names, everywhere in the graph.

    Raises:
        ExportError: a dimension that the recipe declares dynamic is a constant in the graph.
    """
    import onnx_ir as ir

    names: dict[str, str] = {}
    ranges = dim_ranges(specs)
    for value, spec in zip(model.graph.inputs, specs, strict=True):
        for axis, dim in enumerate(spec.shape):
            if not isinstance(dim, str) or ranges[dim][0] == ranges[dim][1]:
                continue
            symbol = value.shape[axis] if value.shape is not None else None
            if not isinstance(symbol, ir.SymbolicDim) or symbol.value is None:
                raise ExportError(
                    f"input {spec.name!r}: dimension {dim!r} became the constant {symbol} in the exported graph; "
                    "the model fixes it: take the size from x.shape, or declare it as an int"
                )
            names[str(symbol.value)] = dim
    for value in _values(model):
        _rename(value, names)


def _values(model: ir.Model) -> Iterator[Any]:
    yield from model.graph.inputs
    for node in model.graph.all_nodes():
        yield from node.outputs


def _rename(value: Any, names: Mapping[str, str]) -> None:
    import onnx_ir as ir

    if value.shape is None:
        return
    value.shape = ir.Shape(
        [names.get(str(dim.value), dim) if isinstance(dim, ir.SymbolicDim) else dim for dim in value.shape]
    )


def _digest(state: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name].detach().cpu().numpy())
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's deprecations, and the graphs that it prints when it fails, off the user's terminal."""
    stderr = contextlib.redirect_stderr(io.StringIO())
    with quiet_logs(logging.CRITICAL), warnings.catch_warnings(), stderr:  # what goes wrong is raised as well
        warnings.simplefilter("ignore")
        yield
