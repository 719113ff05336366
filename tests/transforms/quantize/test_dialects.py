"""QDQ dialects: one calibration, written for each backend, computes the same but for what its grids explain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from models import CONV, exported
from qdq_graphs import (
    IMAGES,
    METHODS,
    Quantized,
    array,
    graph_of,
    nodes,
    quantized_conv,
    quantized_with,
    run,
    serialized,
)

from edgekit.building.source import float_model
from edgekit.caches import cache_dir
from edgekit.export import save_model
from edgekit.parity import onnx_function
from edgekit.recipes import load_recipe
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array
from edgekit.transforms.quantize import Calibration
from edgekit.transforms.quantize.dialects import check_dialect, to_dialect

NEEDS = {
    "simple-cnn": (),
    "resnet8": ("fashion-mnist/train-images-idx3-ubyte.gz", "fashion-mnist/t10k-images-idx3-ubyte.gz"),
    "ds-cnn": ("fsdd.npz",),
}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    return quantized_conv(tmp_path_factory.mktemp("conv"))


@pytest.fixture(scope="module", params=NEEDS)
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A shipped recipe and a folder with its float graph; skipped where its data would have to be downloaded."""
    folders = [Path(os.environ.get("EDGEKIT_DATA", "")), cache_dir("data")]
    for name in NEEDS[request.param]:
        if not any((folder / name).is_file() for folder in folders):
            pytest.skip(f"{name} is neither in $EDGEKIT_DATA nor in the cache")
    recipe, folder = load_recipe(request.param), tmp_path_factory.mktemp(request.param)
    save_model(float_model(recipe).model, folder / "float.onnx")
    return recipe, folder


def off(found: Array, expected: Array) -> float:
    """Relative RMS."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def read_uint8_as_int8(model: ir.Model) -> ir.Model:
    """The graph as TensorRT takes it, with a warning alone: UINT8 becomes INT8, and the scale stays."""
    copy = ir.from_proto(ir.to_proto(model))
    for name, value in copy.graph.initializers.items():
        if value.dtype == ir.DataType.UINT8:
            assert not array(value).any(), "other zero points are refused aloud"
            value.const_value = ir.tensor(array(value).astype(np.int8), name=name)
            value.dtype = ir.DataType.INT8
    for node in nodes(copy, "QuantizeLinear"):
        node.outputs[0].dtype = ir.DataType.INT8
    return copy


def test_uint8_from_zero_on_is_rescaled_since_tensorrt_reads_it_as_int8(shipped: tuple[Recipe, Path]) -> None:
    """NNCF writes it behind every ReLU."""
    recipe, folder = shipped
    general, feeds = quantized_with(recipe, folder)("nncf"), evaluation_feeds(recipe)
    expected = run(general, **feeds)
    assert off(run(read_uint8_as_int8(general), **feeds), expected) > 0.2
    assert off(run(read_uint8_as_int8(to_dialect(general, "tensorrt")), **feeds), expected) < 0.02


def test_relu_that_a_uint8_grid_did_the_work_of_is_put_back(quantized: Quantized) -> None:
    general = quantized("ort-minmax")
    assert not nodes(general, "Relu")  # onnxruntime's quantizer dropped them
    written = to_dialect(general, "tensorrt")
    expected = run(exported(CONV).model, image=IMAGES)
    assert off(run(written, image=IMAGES), expected) < 0.03
    for node in nodes(written, "Relu"):
        node.outputs[0].replace_all_uses_with(node.inputs[0])
    assert off(run(written, image=IMAGES), expected) > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_shipped_recipes_differ_between_dialects_by_what_the_lost_bit_explains(
    shipped: tuple[Recipe, Path], method: str
) -> None:
    """The noise of 8 bits, n, becomes at most 2 n with 7 bits; two such noises differ by sqrt(1 + 4) n."""
    recipe, folder = shipped
    feeds, general = evaluation_feeds(recipe), quantized_with(recipe, folder)(method)
    before, after = run(general, **feeds), run(to_dialect(general, "tensorrt"), **feeds)
    noise = off(before, run(ir.load(folder / "float.onnx"), **feeds))
    assert off(after, before) < np.sqrt(5) * noise


def test_shipped_recipes_calibrated_symmetrically_give_equal_outputs_in_both_dialects(
    shipped: tuple[Recipe, Path],
) -> None:
    recipe, folder = shipped
    general = quantized_symmetrically(recipe, folder)
    zero_points = {int(array(node.inputs[2])) for node in nodes(general, "QuantizeLinear")}
    assert zero_points == {128}
    written, feeds = to_dialect(general, "tensorrt"), evaluation_feeds(recipe)
    np.testing.assert_array_equal(run(written, **feeds), run(general, **feeds))
    assert off(run_optimized(written, feeds), run_optimized(general, feeds)) < 0.01


def evaluation_feeds(recipe: Recipe) -> dict[str, Array]:
    samples = [feeds for feeds, _ in islice(recipe.evaluation_samples(), 128)]
    return {name: np.concatenate([feeds[name] for feeds in samples]) for name in samples[0]}


def quantized_symmetrically(recipe: Recipe, folder: Path) -> ir.Model:
    """u8 activations with zero point 128."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples = iter(Calibration(recipe))

        def get_next(self) -> dict[str, Array] | None:
            return next(self._samples, None)

    onnx.shape_inference.infer_shapes_path(str(folder / "float.onnx"), str(folder / "shapes.onnx"))
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    options = {"ActivationSymmetric": True}
    path = folder / "symmetric.onnx"
    quantize_static(folder / "shapes.onnx", path, Reader(), per_channel=True, extra_options=options, **types)
    return ir.load(path)


def run_optimized(model: ir.Model, feeds: dict[str, Array]) -> Array:
    session = onnxruntime.InferenceSession(serialized(model), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, feeds)[0]
    return found


PAIR = """(float[N, 3, 4] x) => (float[N, 3, 4] y) <{parameters}> {{
    q = QuantizeLinear<axis = 1>(x, s{zero})
    y = DequantizeLinear<axis = 1>(q, s{zero})
}}"""


def pair(dtype: str, scale: float, zero_point: int) -> ir.Model:
    parameters = f"float s = {{{scale:.9g}}}, {dtype} z = {{{zero_point}}}"
    return graph_of(PAIR.format(parameters=parameters, zero=", z"))


def random_pairs() -> Iterator[tuple[str, float, int]]:
    rng = np.random.default_rng(11)
    for dtype in ("uint8", "int8"):
        ends = np.iinfo(dtype)
        for zero_point in (ends.min, ends.max, *rng.integers(ends.min, ends.max + 1, 12).tolist()):
            yield dtype, float(np.float32(10 ** rng.uniform(-4, 2))), int(zero_point)


@pytest.mark.parametrize(("dtype", "scale", "zero_point"), random_pairs())
def test_any_pair_rounds_and_cuts_off_as_before(dtype: str, scale: float, zero_point: int) -> None:
    """Each grid is off by half a step at most, within the range and beyond it."""
    general = pair(dtype, scale, zero_point)
    written = to_dialect(general, "tensorrt")
    x = np.linspace(-400 * scale, 400 * scale, 12 * 5001, dtype=np.float32).reshape(-1, 3, 4)
    before, after = run(general, x=x), run(written, x=x)
    step = float(array(nodes(written, "DequantizeLinear")[0].inputs[1]))
    assert step <= scale * 255 / 127 * 1.0001
    assert np.abs(after - before).max() <= (scale + step) / 2 * 1.001
    assert serialized(to_dialect(written, "tensorrt")) == serialized(written)


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 128), ("int8", 0)])
def test_symmetric_pair_keeps_its_grid_exactly(dtype: str, zero_point: int) -> None:
    general = pair(dtype, 0.0371, zero_point)
    written = to_dialect(general, "tensorrt")
    x = np.linspace(-9, 9, 12 * 501, dtype=np.float32).reshape(-1, 3, 4)
    np.testing.assert_array_equal(run(written, x=x), run(general, x=x))
    assert [node.op_type for node in written.graph] == ["QuantizeLinear", "DequantizeLinear"]


def test_pair_without_zero_point_counts_as_uint8_from_zero_on() -> None:
    general = graph_of(PAIR.format(parameters="float s = {0.5}", zero=""))
    written = to_dialect(general, "tensorrt")
    assert array(nodes(written, "QuantizeLinear")[0].inputs[2]).dtype == np.int8
    x = np.linspace(-200, 200, 12 * 101, dtype=np.float32).reshape(-1, 3, 4)
    assert np.abs(run(written, x=x) - run(general, x=x)).max() <= (0.5 + 0.5 * 255 / 127) / 2 * 1.001


def test_activation_with_a_scale_for_each_channel_gets_the_widest_one() -> None:
    parameters = "float[3] s = {0.1, 0.4, 0.2}, uint8[3] z = {0, 0, 0}"
    written = to_dialect(graph_of(PAIR.format(parameters=parameters, zero=", z")), "tensorrt")
    scale = array(nodes(written, "QuantizeLinear")[0].inputs[1])
    assert scale.shape == ()
    np.testing.assert_allclose(scale, 0.4 * 255 / 127, rtol=1e-6)


WEIGHT = """(float[N, 4] x) => (float[N, 2] y) <{dtype}[2, 4] w = {{{values}}}, float{shape} s = {scale}, {zero}> {{
    d = DequantizeLinear<axis = 0>(w, s, z)
    y = Gemm<transB = 1>(x, d)
}}"""


def weight(values: Array, scale: Array, zero_point: Array) -> ir.Model:
    def literal(numbers: Array) -> str:
        return "{" + ", ".join(f"{number:.9g}" for number in numbers.reshape(-1).tolist()) + "}"

    shape = f"[{scale.size}]" if scale.ndim else ""
    zero = f"{values.dtype}{shape} z = {literal(zero_point)}"
    text = WEIGHT.format(dtype=values.dtype, values=literal(values)[1:-1], shape=shape, scale=literal(scale), zero=zero)
    return graph_of(text)


@pytest.mark.parametrize("channels", [(), (2,)])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("seed", range(6))
def test_weights_become_s8_exactly_where_they_fit_and_to_half_a_step_elsewhere(
    dtype: str, channels: tuple[int, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ends, spread = np.iinfo(dtype), (100, 250)[seed % 2]
    zero_point = rng.integers(ends.min, ends.max + 1, channels).astype(dtype)
    around = zero_point.astype(int).reshape(-1, 1) + rng.integers(-spread, spread, (2, 4))
    values = np.clip(around, ends.min, ends.max).astype(dtype)
    scale = rng.uniform(0.01, 0.1, channels).astype(np.float32)
    written = to_dialect(weight(values, scale, zero_point), "tensorrt")
    stored, new_scale = (array(nodes(written, "DequantizeLinear")[0].inputs[place]) for place in (0, 1))
    assert (stored.dtype, new_scale.shape) == (np.int8, channels)
    steps = values.astype(int) - zero_point.astype(int).reshape(-1, 1)
    error = np.abs(stored * new_scale.reshape(-1, 1) - steps * scale.reshape(-1, 1))
    fits = ((steps >= -128) & (steps <= 127)).all(axis=1 if channels else None).reshape(-1, 1)
    assert (error <= np.where(fits, 1e-6, 0.5001 * new_scale.reshape(-1, 1))).all()


def test_channel_of_zeros_gets_a_scale_that_tensorrt_takes() -> None:
    values = np.array([[5, -3, 0, 1], [7, 7, 7, 7]], np.int8)
    general = weight(values, np.array([0.1, 0.0], np.float32), np.zeros(2, np.int8))
    written = to_dialect(general, "tensorrt")
    x = np.eye(4, dtype=np.float32)
    np.testing.assert_array_equal(run(written, x=x), run(general, x=x))
    assert (array(nodes(written, "DequantizeLinear")[0].inputs[1]) > 0).all()


SHARED = """(float[N, 4] x) => (float[N, 4] y, float[N, 4] raw)
<float s = {0.05}, uint8 zu = {0}, int8 zs = {0}, float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}> {
    q = QuantizeLinear(x, s, zu)
    d = DequantizeLinear(q, s, zu)
    p = QuantizeLinear(x, s, zs)
    e = DequantizeLinear(p, s, zs)
    wq = QuantizeLinear(w, s, zs)
    wd = DequantizeLinear(wq, s, zs)
    left = MatMul(d, wd)
    right = MatMul(e, wd)
    sum = Add(left, right)
    y = Add(sum, d)
    raw = Mul(x, s)
}"""


def test_initializer_that_others_share_keeps_its_value() -> None:
    general = graph_of(SHARED)
    x = np.linspace(-6, 6, 64, dtype=np.float32).reshape(-1, 4)
    before, after = onnx_function(general)({"x": x}), onnx_function(to_dialect(general, "tensorrt"))({"x": x})
    np.testing.assert_array_equal(after["raw"], before["raw"])
    half_steps = 0.05 * (1 + 255 / 127) / 2 * 1.001
    weights = np.abs(array(general.graph.initializers["w"]))
    assert np.abs(after["y"] - before["y"]).max() <= half_steps * (weights.sum(axis=0).max() + 1)


def random_graph(seed: int) -> ir.Model:
    """(N, 4, 6, 6) float32 -> the same, through layers that share scales, zero points, values and pairs at random."""
    rng = np.random.default_rng(seed)
    parts: list[onnx.NodeProto] = []
    constants: dict[str, Array] = {f"s{i}": np.float32(scale) for i, scale in enumerate((0.02, 0.03, 0.05))}

    def node(kind: str, *inputs: str, **attributes: object) -> str:
        parts.append(onnx.helper.make_node(kind, inputs, [f"v{len(parts)}"], name=f"n{len(parts)}", **attributes))
        return str(parts[-1].output[0])

    def constant(value: Array) -> str:
        constants[name := f"c{len(constants)}"] = value
        return name

    def paired(value: str) -> str:
        dtype = rng.choice(["uint8", "int8"])
        zero = constant(np.array(rng.integers(np.iinfo(dtype).min + 40, np.iinfo(dtype).max - 40), dtype))
        scale = f"s{rng.integers(3)}"
        return node("DequantizeLinear", node("QuantizeLinear", value, scale, zero), scale, zero)

    def stored(shape: tuple[int, ...], dtype: str, step: float) -> str:
        scale = constant(rng.uniform(step / 2, step, shape[0]).astype(np.float32))
        zero = (
            np.zeros(shape[0]) if dtype == "int32" else rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape[0])
        )
        middle = zero.reshape(-1, *[1] * (len(shape) - 1))
        values = np.clip(middle + rng.integers(-127, 128, shape), np.iinfo(dtype).min, np.iinfo(dtype).max)
        inputs = (constant(values.astype(dtype)), scale, constant(zero.astype(dtype)))
        return node("DequantizeLinear", *inputs, axis=0)

    values = ["x"]
    for _ in range(rng.integers(3, 7)):
        taken = values[-1] if rng.random() < 0.3 else paired(values[-1])
        kind = rng.choice(["Conv", "Relu", "Add"])
        if kind == "Conv":
            weight = stored((4, 4, 3, 3), str(rng.choice(["uint8", "int8"])), 0.003)
            values.append(node("Conv", taken, weight, stored((4,), "int32", 0.003), pads=[1] * 4))
        elif kind == "Add":
            values.append(node("Add", taken, str(rng.choice([*values, taken]))))
        else:
            values.append(node("Relu", taken))
    node("DequantizeLinear" if parts[-1].op_type == "QuantizeLinear" else "Identity", values[-1])
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["N", 4, 6, 6]) for name in ("x", parts[-1].output[0])]
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(parts, "random", ends[:1], ends[1:], tensors)
    opset = [onnx.helper.make_opsetid("", 21)]
    return ir.from_proto(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10))


@pytest.mark.parametrize("seed", range(24))
def test_random_graph_computes_the_same_in_both_dialects(seed: int) -> None:
    general = random_graph(seed)
    written = to_dialect(general, "tensorrt")
    onnx.checker.check_model(ir.to_proto(written), full_check=True)
    assert check_dialect(written, "tensorrt") == ()
    assert serialized(to_dialect(written, "tensorrt")) == serialized(written)
    x = np.random.default_rng(5).standard_normal((8, 4, 6, 6)).astype(np.float32)
    assert off(run(written, x=x), run(general, x=x)) < 0.1
