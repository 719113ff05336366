"""Times the rows of one op at one shape, and the layer that other runtimes compute in its place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from shapes import Shape
from work import WORK

import edgekit._native as native
from edgekit.backends import compile_model
from edgekit.backends.execution import ExecutedLayer, read_execution
from edgekit.backends.native.lower import lower_to_plan
from edgekit.backends.native.plan import NativePlan, PlanCall
from edgekit.backends.native.records import SLACK, Space, pack_record
from edgekit.errors import EdgekitError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, Feeds, TensorSpec
from edgekit.transforms.names import name_nodes
from edgekit.transforms.quantize import METHODS, Calibration, Workpiece, quantize, why_not_applicable

if TYPE_CHECKING:
    import onnx_ir as ir

SAMPLES = 8
BATCH_NS = 200_000  # what is shorter than a slice of the scheduler finds some moment that is undisturbed
ROW_NS = 60_000_000
MOST_REPEATS, LEAST_REPEATS = 300, 5
PEER_READS, PEER_CALLS = 5, 60
LEAST_TOLD_US = 2.0  # both profilers count whole microseconds
PEERS = ("openvino", "onnxruntime")
LAYERS = ("conv2d_u8", "depthwise_u8", "dense_u8", "dense_f32", "gru_f32", "lstm_f32")  # what peers have a layer for


@dataclass(frozen=True)
class Graph:
    """A form of a shape's graph that has the op in its plan. precision: what a peer is told that it is in."""

    file: Path
    plan: NativePlan
    recipe: Recipe
    precision: str


def measure(op: str, shape: Shape, rows: list[str]) -> dict[str, Any]:
    """Times in nanoseconds by row, and by peer where it has a layer of its own for it; and the work of a call.

    Raises:
        BackendError: no form of the graph has a call of `op` in its plan.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph = find_graph(op, shape, Path(folder))
        call = _call_of(op, graph.plan)
        times = {row: time_row(graph.plan, call, row) for row in rows}
        layers = [peer_layer(backend, graph) if op in LAYERS else None for backend in PEERS]
    numbers = {name: value for name, value in call.params.items() if isinstance(value, int | float)}
    macs, moved = WORK[op](numbers) if op in WORK else (None, None)
    peers = {backend: layer for backend, layer in zip(PEERS, layers, strict=True) if layer}
    return {"op": op, "shape": shape.name, "macs": macs, "bytes": moved, "rows_ns": times, "peers": peers}


def find_graph(op: str, shape: Shape, folder: Path) -> Graph:
    """The float graph, or the first quantized form of it, whose plan calls `op`."""
    import onnx_ir as ir

    model = graph_of(shape)
    source = folder / "float.onnx"
    ir.save(model, source)
    recipe = _recipe(model, source)
    reasons = []
    for file, precision in forms(recipe, source, folder):
        try:
            plan = lower_to_plan(ir.load(file))
        except EdgekitError as error:
            reasons.append(str(error))
            continue
        if any(call.op == op for call in plan.calls):
            return Graph(file, plan, recipe, precision)
        reasons.append(f"{file.name}: its plan has {', '.join(sorted({call.op for call in plan.calls}))}")
    raise EdgekitError("; ".join(reasons))


def forms(recipe: Recipe, source: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """The float graph, then what each family of quantizers for the native backend makes of it."""
    yield source, "f32"
    work = Workpiece(source, Calibration(recipe))
    families: set[str] = set()
    for name, method in METHODS.items():
        family = method.family or name
        if "native" not in method.backends or family in families or why_not_applicable(name, work.model):
            continue
        families.add(family)
        file = folder / f"{name}.onnx"
        quantize(work, file, method=name)
        yield file, method.precision


def graph_of(shape: Shape) -> ir.Model:
    """The shape's graph with its constants, named nodes, and the shapes of all values."""
    import onnx
    import onnx.parser
    import onnx_ir as ir

    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 24]> shape {shape.text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in shape.arrays().items())
    return name_nodes(ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True)))


def _recipe(model: ir.Model, path: Path) -> Recipe:
    inputs = {str(value.name): TensorSpec("float32", tuple(value.shape)) for value in model.graph.inputs}  # type: ignore[arg-type]

    def samples() -> Iterator[Feeds]:
        rng = np.random.default_rng(0)  # not negative, as what follows a ReLU is
        for _ in range(SAMPLES):
            yield {name: rng.random(spec.shape_at({}), np.float32) for name, spec in inputs.items()}

    outputs = tuple(str(value.name) for value in model.graph.outputs)
    return Recipe(name="shape", model=path, inputs=inputs, outputs=outputs, calibration=samples)


def _call_of(op: str, plan: NativePlan) -> PlanCall:
    """The call of `op` that moves most: the one that the graph was made for."""
    calls = [call for call in plan.calls if call.op == op]
    if op not in WORK:
        return calls[0]
    return max(
        calls, key=lambda call: WORK[op]({k: v for k, v in call.params.items() if isinstance(v, int | float)})[1]
    )


def time_row(plan: NativePlan, call: PlanCall, row: str) -> float:
    """The least mean time of a call, on what the calls before it have left in memory."""
    record, buffers, inputs = pack_record(call.op, call.params), memory_before(plan, call), len(plan.inputs)
    once = max(1.0, native.time_kernel(call.op, row, record, buffers, inputs, 1, 3))
    calls = max(1, int(BATCH_NS / once))
    repeats = int(np.clip(ROW_NS / (once * calls), LEAST_REPEATS, MOST_REPEATS))
    return float(native.time_kernel(call.op, row, record, buffers, inputs, calls, repeats))


def memory_before(plan: NativePlan, call: PlanCall) -> dict[int, Array]:
    """The plan's memories with random inputs, once the calls before `call` have run."""
    rng = np.random.default_rng(1)
    sizes = {Space.ARENA: plan.arena_bytes, Space.STATE: plan.state_bytes}
    buffers = {int(space): np.zeros(size + SLACK, np.uint8) for space, size in sizes.items()}
    buffers[Space.CONSTANTS] = np.frombuffer(bytes(plan.constants) + bytes(SLACK), np.uint8).copy()
    for number, tensor in enumerate([*plan.inputs, *plan.outputs]):
        values = rng.standard_normal(tensor.shape).astype(tensor.dtype)
        buffers[Space.IO + number] = values.reshape(-1).view(np.uint8)
    fastest = {op: row for op, row, runs_here in native.kernel_rows() if runs_here}
    for earlier in plan.calls:
        if earlier is call:
            break
        record = pack_record(earlier.op, earlier.params)
        native.run_kernel(earlier.op, fastest[earlier.op], record, buffers, len(plan.inputs))
    return buffers


def peer_layer(backend: str, graph: Graph) -> dict[str, Any] | None:
    """The slowest layer that another runtime computes of the graph: its kernel, precision and least mean time."""
    place = graph.file.parent / backend
    place.mkdir()
    found: list[ExecutedLayer] = []
    try:
        files = compile_model(backend, graph.file, place)
        for _ in range(PEER_READS):
            found += filter(None, [_slowest_layer(backend, files, graph)])
    except EdgekitError:
        return None
    if not found:
        return None
    layer = min(found, key=lambda layer: layer.time_us or 0.0)
    return {"kernel": layer.kernel or layer.op, "precision": layer.precision, "ns": 1e3 * (layer.time_us or 0.0)}


def _slowest_layer(backend: str, files: Mapping[str, Path], graph: Graph) -> ExecutedLayer | None:
    recipe = graph.recipe
    executed = read_execution(
        backend,
        files,
        inputs=recipe.input_specs,
        outputs=[TensorSpec("float32", (), name=name) for name in recipe.outputs],
        precision=graph.precision,
        feeds=list(recipe.calibration_feeds()),
        calls=PEER_CALLS,
    )
    layers = [layer for layer in executed.layers if layer.kind == "layer" and (layer.time_us or 0.0) >= LEAST_TOLD_US]
    return max(layers, key=lambda layer: layer.time_us or 0.0, default=None)
