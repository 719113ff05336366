"""What is known while a graph is walked: which buffer holds each value, and the calls so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.backends.native.buffers import Buffer, Grid
from edgekit.backends.native.calls import UNLIMITED, Call, Clamp, Conv, Dequantize, Lookup, Quantize
from edgekit.backends.native.calls.call import levels_of
from edgekit.backends.native.calls.floats import CopyFloats
from edgekit.backends.native.graph import NotCoveredError, clamp_of, grid_of, is_turn, only_use
from edgekit.backends.native.plan import PlanTensor
from edgekit.backends.native.records import Space
from edgekit.errors import BackendError
from edgekit.tensors import Array
from edgekit.transforms.state import read_state

if TYPE_CHECKING:
    import onnx_ir as ir

DTYPES = {"FLOAT": "float32", "INT64": "int64", "UINT8": "uint8"}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """How a value of the graph lies in a buffer.

    shape: of the value in the graph, at batch 1. flattened: it is an image of levels whose values follow each other
    channels first in the graph; the buffer holds channels last.
    """

    buffer: Buffer
    shape: Shape
    flattened: bool = False

    @property
    def floats(self) -> bool:
        """Whether it is float32, in the order of the graph."""
        return self.buffer.grid is None

    @property
    def rows(self) -> int:
        """How many vectors along the last axis it has."""
        return math.prod(self.shape[:-1])


@dataclass(frozen=True)
class Tail:
    """What follows a layer that its kernel does too: a clamp, and a grid to round to; quantize: None for float32."""

    value: ir.Value
    clamp: Clamp
    quantize: ir.Node | None


class Walk:
    """The walk over one graph."""

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self.calls: list[Call] = []
        self.done: set[ir.Node] = set()
        self.state = read_state(model)
        self.kept_inside: list[str] = []  # names of inputs whose state an op keeps in the state memory
        self.state_bytes = 0
        self._views: dict[ir.Value, View] = {}
        self.inputs = [_plan_tensor(value) for value in model.graph.inputs]
        self.outputs = [_plan_tensor(value) for value in model.graph.outputs]
        for index, value in enumerate(model.graph.inputs):
            self._add_input(value, index)

    def _add_input(self, value: ir.Value, index: int) -> None:
        if self.inputs[index].dtype == "uint8":
            self._add_levels(value, index)
            return
        shape = self.inputs[index].shape
        self._views[value] = View(floats_at(str(value.name), math.prod(shape), space=Space.IO + index), shape)

    def _add_levels(self, value: ir.Value, index: int) -> None:
        """Levels, which the graph turns from channels last to channels first if they are an image."""
        name, taken = str(value.name), value
        if len(self.inputs[index].shape) > 2:
            turn = only_use(value)
            if turn is None or not is_turn(turn, to_last=False):
                raise BackendError(f"native: input {name!r} is of levels, and is not turned to channels first at once")
            self.done.add(turn)
            taken = turn.outputs[0]
        uses = [use.node for use in taken.uses()]
        grids = {grid_of(use) if use.op_type == "DequantizeLinear" else None for use in uses}
        grid = grids.pop() if len(grids) == 1 else None
        if grid is None:
            raise BackendError(f"native: input {name!r} is of levels, and is not dequantized in one grid")
        rows, columns, channels = (1, 1, *self.inputs[index].shape[1:])[-3:]
        given = Buffer(name, "u8", rows, columns, channels, grid=grid, space=Space.IO + index)
        copy = self.image(f"{name} copy", (rows, columns, channels), grid)  # with a frame, and with slack behind it
        self.calls.append(Lookup(f"input {name}", given, copy))
        shape = (1, channels, *(rows, columns)[4 - len(self.inputs[index].shape) :])
        self._views[value], self._views[taken] = View(given, shape), View(copy, shape)

    def view(self, node: ir.Node, place: int = 0) -> View:
        """The view of input `place` of `node`.

        Raises:
            NotCoveredError: it is a constant, or a value that no kernel gives.
        """
        value = node.inputs[place]
        if value is None or value not in self._views:
            raise NotCoveredError(node, f"its input {value.name if value else place!r} is not a tensor of a plan")
        return self._views[value]

    def levels(self, node: ir.Node, place: int = 0) -> View:
        """As `view`, of a value that is quantized.

        Raises:
            NotCoveredError: it is float32.
        """
        found = self.view(node, place)
        if found.buffer.grid is None:
            raise NotCoveredError(node, f"its input {found.buffer.name!r} is not quantized")
        return found

    def floats(self, node: ir.Node, place: int = 0) -> View:
        """As `view`, of a value in float32; levels are brought to it."""
        found = self.view(node, place)
        if found.buffer.grid is None:
            return found
        target = floats_at(f"{found.buffer.name} float", found.buffer.elements)
        self.calls.append(Dequantize(f"float of {found.buffer.name}", found.buffer, target))
        return View(target, found.shape)

    def io_buffers(self) -> tuple[dict[str, Buffer], dict[str, Buffer]]:
        """The buffers of the plan's inputs and outputs, by name; once all are written."""
        inputs = {str(v.name): self._views[v].buffer for v in self.graph.inputs}
        return inputs, {str(v.name): self._views[v].buffer for v in self.graph.outputs}

    def put(self, value: ir.Value, view: View) -> None:
        """From now on `value` is `view`."""
        self._views[value] = view

    def image(self, name: str, size: tuple[int, int, int], grid: Grid) -> Buffer:
        """A new buffer of levels: (rows, columns, channels)."""
        return Buffer(name, "u8", *size, grid=grid)

    def vector(self, value: ir.Value, count: int) -> Buffer:
        """A new buffer of `count` floats, which is the graph's output if `value` is one."""
        buffer = floats_at(str(value.name), count)
        self.own(value, buffer)
        return buffer

    def own(self, value: ir.Value, buffer: Buffer) -> None:
        """Let `buffer` be the graph's output if `value` is one."""
        outputs = list(self.graph.outputs)
        if value in outputs:
            buffer.space = Space.IO + len(self.inputs) + outputs.index(value)

    def tail(self, value: ir.Value) -> Tail:
        """What follows the layer whose result is `value`, marked as done."""
        clamp = UNLIMITED
        use = only_use(value)
        if use is not None and (found := clamp_of(use)) is not None:
            clamp = found
            self.done.add(use)
            value = use.outputs[0]
        quantizers = [use.node for use in value.uses() if use.node.op_type == "QuantizeLinear"]
        if not quantizers or value.is_graph_output() or len(quantizers) != len(list(value.uses())):
            return Tail(value, clamp, None)
        self.done.add(quantizers[0])
        return Tail(value, clamp, quantizers[0])

    def finish(self, tail: Tail, target: Buffer, shape: tuple[int, ...]) -> None:
        """`target` holds what `tail` ends in; further grids of the same value are looked up from the first."""
        if tail.quantize is None:
            self.put(tail.value, View(target, shape))
            return
        view = View(target, shape)
        self.put(tail.quantize.outputs[0], view)
        self.put(tail.value, view)  # for further pairs, which `quantize` rounds again

    def requantized(self, source: Buffer, grid: Grid, label: str) -> Buffer:
        """`source` in another grid: itself, or what a lookup makes of it."""
        if source.grid == grid:
            return source
        return self.looked_up(source, grid.levels(levels_of(source).values()), grid, label)

    def looked_up(self, source: Buffer, table: Array, grid: Grid, label: str) -> Buffer:
        """A buffer of `table[level]` for every level of `source`."""
        target = self.image(f"{source.name}*", (source.rows, source.columns, source.channels), grid)
        self.calls.append(Lookup(label, source, target, table))
        return target

    def quantize(self, node: ir.Node) -> None:
        """A QuantizeLinear that no layer has taken over: of an input, of float32, or of levels in another grid."""
        view, grid = self.view(node), grid_of(node)
        if view.buffer.grid is not None:
            target = self.requantized(view.buffer, grid, str(node.name))
        else:
            target = self.image(f"{view.buffer.name} levels", as_image(view.shape), grid)
            self.calls.append(Quantize(str(node.name), view.buffer, target))
        self.put(node.outputs[0], View(target, view.shape, view.flattened))

    def conv_before(self, buffer: Buffer) -> Conv | None:
        """The convolution that writes `buffer`, if nothing has read it yet and it has no residual."""
        maker = next((call for call in self.calls if buffer in call.writes), None)
        if not isinstance(maker, Conv) or maker.residual is not None:
            return None
        return None if any(buffer in call.reads for call in self.calls) else maker

    def write_outputs(self) -> None:
        """Bring every output of the graph that is not written yet to its place.

        Raises:
            BackendError: an output that no kernel gives.
        """
        for index, value in enumerate(self.graph.outputs):
            if value not in self._views:
                raise BackendError(f"native: output {value.name!r} is not computed by kernels")
            view, space = self._views[value], Space.IO + len(self.inputs) + index
            if view.buffer.space == space:
                continue
            if view.floats and view.buffer.parent is None and view.buffer.space == Space.ARENA:
                view.buffer.space = space  # its kernel writes the output itself
                continue
            target = floats_at(str(value.name), view.buffer.elements, space=space)
            made = CopyFloats if view.floats else Dequantize
            self.calls.append(made(f"output {value.name}", view.buffer, target))
            self.put(value, View(target, view.shape))


def floats_at(name: str, count: int, *, space: int = Space.ARENA) -> Buffer:
    """A new buffer of `count` float32 values."""
    return Buffer(name, "f32", 1, 1, count, space=space)


def as_image(shape: Shape) -> tuple[int, int, int]:
    """(rows, columns, channels) of one image (1, channels, rows, columns), signal (1, channels, columns), or vector.

    Raises:
        BackendError: it is none of these.
    """
    if not 2 <= len(shape) <= 4 or shape[0] != 1:
        raise BackendError(f"native: a tensor of shape {shape} is no image")
    channels, rows, columns = (*shape[1:2], *((1,) if len(shape) == 3 else ()), *shape[2:], 1, 1)[:3]
    return rows, columns, channels


def _plan_tensor(value: ir.Value) -> PlanTensor:
    """The value at batch 1.

    Raises:
        BackendError: a dtype that plans do not have, or an open dimension that is not the first.
    """
    dtype = DTYPES.get(value.dtype.name if value.dtype else "")
    if dtype is None or value.shape is None:
        raise BackendError(f"native: {value.name!r} is neither float32, int64 nor uint8 of a known shape")
    sizes = [d if isinstance(d, int) else None for d in value.shape]
    if not sizes or None in sizes[1:] or 0 in sizes:
        raise BackendError(
            f"native: {value.name!r} has shape {value.shape}; a plan has no open dimension but the batch"
        )
    return PlanTensor(str(value.name), dtype, tuple(1 if size is None else size for size in sizes))
