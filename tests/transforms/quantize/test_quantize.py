"""The static quantizers: QDQ graphs that run, close to float, with the number formats that the kernels expect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from layer_graphs import layer_graph
from models import CONV, exported

from edgekit.errors import BackendError
from edgekit.export import save_model
from edgekit.parity import onnx_function
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.quantize import Calibration, Workpiece, quantize
from edgekit.transforms.quantize.noise import outputs_of

IMAGES = np.concatenate([sample["image"] for sample in list(Calibration(CONV))[:6]])
# The same images in each sample: a quantizer cuts nothing off, whether it takes the samples' extremes or their mean.
SAMPLES = [{"image": np.roll(IMAGES, shift, axis=0)} for shift in range(6)]
WEIGHTS = {"stem": (8, 3, 3, 3), "body": (16, 8, 3, 3), "hidden": (12, 256), "head": (10, 12)}
Quantized = Callable[[str, bool], Path]
STATIC = ["lean-minmax", "joined-minmax", "lean-mse", "ort-minmax", "ort-percentile", "nncf"]
UNCLIPPED = ["lean-minmax", "joined-minmax", "ort-minmax", "nncf"]
OWN = ["lean-minmax", "joined-minmax", "lean-mse"]


def workpiece(source: Path, *, samples: list[dict[str, Array]] = SAMPLES, saturates: bool = False) -> Workpiece:
    return Workpiece(source, Calibration(replace(CONV, calibration=lambda: samples)), saturates)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quantized")


@pytest.fixture(scope="module")
def float_file(folder: Path) -> Path:
    save_model(exported(CONV).model, folder / "float.onnx")
    return folder / "float.onnx"


@pytest.fixture(scope="module")
def quantized(folder: Path, float_file: Path) -> Quantized:
    """A function that gives the file for a method and `saturates`, quantized once."""

    def file(method: str, saturates: bool) -> Path:
        path = folder / f"{method}-{saturates}.onnx"
        if not path.exists():
            quantize(workpiece(float_file, saturates=saturates), path, method=method)
        return path

    return file


def run(path: Path) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    scores: Array = session.run(["scores"], {"image": IMAGES})[0]
    return scores


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def expected_noise(weight_bits: int, activation_range: Callable[[Array], float]) -> float:
    """Relative RMS error of the outputs that rounding alone explains."""
    model = exported(CONV).model
    layers = [node for node in model.graph if node.op_type in ("Conv", "Gemm")]
    inner = [node.inputs[0] for node in layers[1:]]
    activations = [IMAGES, *onnx_function(model, [*inner, model.graph.outputs[0]])({"image": IMAGES}).values()]
    steps_and_values = [(np.array(activation_range(values) / 255), values) for values in activations]
    for node in layers:
        weights = node.inputs[1].const_value.numpy()
        largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
        steps_and_values.append((largest / (2 ** (weight_bits - 1) - 1), weights))
    return noise_of(steps_and_values)


def noise_of(steps_and_values: Iterable[tuple[Array, Array]]) -> float:
    """Relative RMS error of what is computed from tensors of these values, each rounded to its step or steps.

    Rounding to steps of s adds uniform noise of RMS s / sqrt(12) (Bennett, 1948). Relative to the tensor's own RMS this
    noise passes a linear layer unchanged where neither noise nor signal averages out, and ReLU does not enlarge it.
    Independent shares, one for each rounded tensor, add as squares.
    """
    return float(np.linalg.norm([rms(step) / np.sqrt(12) / rms(values) for step, values in steps_and_values]))


def asymmetric(values: Array) -> float:
    """onnxruntime's range, from the least to the largest value, zero included."""
    return float(max(values.max(), 0) - min(values.min(), 0))


def symmetric(values: Array) -> float:
    """NNCF's range: around zero where both signs occur, else from zero on."""
    return float(np.abs(values).max()) * (2 if values.min() < 0 else 1)


RANGES = {"ort-minmax": asymmetric, "nncf": symmetric, "lean-minmax": symmetric, "joined-minmax": symmetric}


@pytest.mark.parametrize("saturates", [False, True])
@pytest.mark.parametrize("method", UNCLIPPED)
def test_quantized_graph_stays_within_what_its_steps_explain(
    quantized: Quantized, float_file: Path, method: str, saturates: bool
) -> None:
    expected = run(float_file)
    error = rms(run(quantized(method, saturates)) - expected) / rms(expected)
    assert 0 < error <= expected_noise(7 if saturates else 8, RANGES[method])


@pytest.mark.parametrize("method", STATIC)
def test_graph_has_pairs_of_quantize_and_dequantize_and_no_fused_integer_operators(
    quantized: Quantized, method: str
) -> None:
    graph = onnx.load(quantized(method, False)).graph
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv", "Gemm"} <= kinds
    assert not [kind for kind in kinds if "Integer" in kind or kind.startswith("QLinear")]
    made_by = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == len(WEIGHTS)
    for layer in layers:
        for name in layer.input[:2]:
            source = made_by[name]
            source = made_by[source.input[0]] if source.op_type == "Reshape" else source  # it moves bytes as they are
            assert source.op_type == "DequantizeLinear", name


@pytest.mark.parametrize("method", STATIC)
def test_inputs_and_outputs_stay_as_they_were(quantized: Quantized, float_file: Path, method: str) -> None:
    before, after = onnx.load(float_file).graph, onnx.load(quantized(method, False)).graph
    for kind in ("input", "output"):
        old, new = getattr(before, kind), getattr(after, kind)
        assert [(v.name, v.type.tensor_type) for v in new] == [(v.name, v.type.tensor_type) for v in old]


def layer_quantization(path: Path) -> dict[str, tuple[Array, Array, Array, int]]:
    """Layer -> its weight as integers, scale, zero point and axis, found through the DequantizeLinear before it."""
    graph = onnx.load(path).graph
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    found = {}
    for name, layer in zip(WEIGHTS, layers, strict=True):
        pair = made_by[layer.input[1]]
        axis = next(onnx.helper.get_attribute_value(a) for a in pair.attribute if a.name == "axis")
        weight, scale, zero_point = (constants[each] for each in pair.input)
        found[name] = (weight, scale, zero_point, axis % weight.ndim)
    return found


@pytest.mark.parametrize("method", STATIC)
def test_weights_are_signed_bytes_with_a_scale_for_each_output_channel(quantized: Quantized, method: str) -> None:
    for name, (weight, scale, zero_point, axis) in layer_quantization(quantized(method, False)).items():
        assert (weight.dtype, weight.shape, axis) == (np.int8, WEIGHTS[name], 0)
        assert scale.shape == zero_point.shape == (WEIGHTS[name][0],)
        assert not zero_point.any()
        assert len(np.unique(scale)) > 1


@pytest.mark.parametrize("method", STATIC)
def test_weights_are_rounded_to_the_nearest_step(quantized: Quantized, float_file: Path, method: str) -> None:
    original = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(float_file).graph.initializer}
    for name, (weight, scale, _, _) in layer_quantization(quantized(method, False)).items():
        steps = scale.reshape(-1, *[1] * (weight.ndim - 1))
        error = np.abs(weight * steps - original[f"{name}.weight"])
        assert (error <= 0.5001 * steps).all(), name


@pytest.mark.parametrize(("saturates", "largest"), [(False, 127), (True, 64)])
@pytest.mark.parametrize("method", STATIC)
def test_saturating_targets_get_weights_of_seven_bits(
    quantized: Quantized, method: str, saturates: bool, largest: int
) -> None:
    """Two products u8 x s8 stay below 2**15 if weights do not pass 64: 2 * 255 * 64 = 32640."""
    for name, (weight, *_) in layer_quantization(quantized(method, saturates)).items():
        assert np.abs(weight.astype(int)).max() == (63 if saturates and method in OWN else largest), name


def activation_dtypes(path: Path) -> dict[str, np.dtype]:
    graph = onnx.load(path).graph
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    return {node.input[0]: constants[node.input[2]].dtype for node in graph.node if node.op_type == "QuantizeLinear"}


@pytest.mark.parametrize("saturates", [False, True])
def test_ort_activations_are_unsigned_bytes(quantized: Quantized, saturates: bool) -> None:
    found = activation_dtypes(quantized("ort-minmax", saturates))
    assert "image" in found
    assert set(found.values()) == {np.dtype("uint8")}


@pytest.mark.parametrize("method", ["nncf", "lean-minmax"])
def test_activations_are_signed_only_where_a_tensor_has_both_signs(quantized: Quantized, method: str) -> None:
    found = activation_dtypes(quantized(method, False))
    assert found["image"] == np.int8
    assert {dtype for name, dtype in found.items() if name.startswith("relu")} == {np.dtype("uint8")}


@pytest.mark.parametrize("method", STATIC)
def test_graph_works_at_every_batch(quantized: Quantized, method: str) -> None:
    session = onnxruntime.InferenceSession(str(quantized(method, False)), providers=["CPUExecutionProvider"])
    whole = session.run(None, {"image": IMAGES[:5]})[0]
    single = np.concatenate([session.run(None, {"image": IMAGES[i : i + 1]})[0] for i in range(5)])
    np.testing.assert_allclose(whole, single, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", STATIC)
def test_results_do_not_change_from_run_to_run(
    quantized: Quantized, float_file: Path, tmp_path: Path, method: str
) -> None:
    quantize(workpiece(float_file), tmp_path / "again.onnx", method=method)
    np.testing.assert_array_equal(run(tmp_path / "again.onnx"), run(quantized(method, False)))


@pytest.mark.parametrize("method", STATIC)
def test_quantizing_prints_nothing(
    float_file: Path, tmp_path: Path, method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    quantize(workpiece(float_file), tmp_path / "q.onnx", method=method)
    assert capfd.readouterr().out == ""  # stdout is for results


@pytest.mark.parametrize("method", ["nncf", "ort-minmax", "dynamic", "weights"])
def test_refusal_is_a_backend_error(float_file: Path, tmp_path: Path, method: str) -> None:
    work = workpiece(float_file)
    assert work.histograms  # watched while the file was sound
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    object.__setattr__(work, "source", tmp_path / "broken.onnx")
    with pytest.raises(BackendError, match="refused the graph"):
        quantize(work, tmp_path / "q.onnx", method=method)
    assert not (tmp_path / "q.onnx").exists()


def test_full_disk_is_not_taken_for_a_refusal_of_the_graph(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime import quantization

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quantization, "quantize_dynamic", full)
    with pytest.raises(OSError, match="No space left on device"):
        quantize(workpiece(float_file), tmp_path / "q.onnx", method="dynamic")


@pytest.mark.parametrize("method", ["lean-mse", "joined-mse", "ort-mse", "nncf"])
def test_a_layer_that_is_kept_in_float_keeps_its_weight(float_file: Path, tmp_path: Path, method: str) -> None:
    names = [node.name for node in onnx.load(float_file).graph.node if node.op_type == "Conv"]
    quantize(workpiece(float_file), tmp_path / "q.onnx", method=method, kept_float=names[:1])
    graph = onnx.load(tmp_path / "q.onnx").graph
    made_by = {output: node for node in graph.node for output in node.output}
    kept, quantized_layer = (node for node in graph.node if node.op_type == "Conv")
    assert kept.input[1] not in made_by
    assert made_by[quantized_layer.input[1]].op_type == "DequantizeLinear"


# A convolution -> its node, the shapes of its data and of its weight, and the axis of output channels.
CONVOLUTIONS = {
    "grouped": ("Conv<group=2>(x, w)", (4, 8, 9, 9), (6, 4, 3, 3), 0),
    "depthwise": ("Conv<group=8>(x, w)", (4, 8, 9, 9), (8, 1, 3, 3), 0),
    "1-d": ("Conv<dilations=[2]>(x, w)", (4, 8, 40), (6, 8, 3), 0),
    "3-d": ("Conv(x, w)", (2, 3, 7, 7, 7), (6, 3, 3, 3, 3), 0),
    "transposed": ("ConvTranspose<strides=[2,2],kernel_shape=[3,3]>(x, w)", (4, 8, 9, 9), (8, 6, 3, 3), 1),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("method", UNCLIPPED)
def test_convolutions_of_every_kind_have_the_noise_that_their_steps_explain(
    method: str, kind: str, tmp_path: Path
) -> None:
    """In onnxruntime as it is run, with its integer kernels where it has them."""
    node, data, shape, axis = CONVOLUTIONS[kind]
    rng = np.random.default_rng(4)
    x, weight = (rng.standard_normal(each).astype(np.float32) for each in (data, shape))
    sizes = ",".join("abcde"[: len(data)])
    graph = layer_graph(f"(float[{','.join(map(str, data))}] x) => (float[{sizes}] y) {{ y = {node} }}", w=weight)
    save_model(graph, tmp_path / "float.onnx")
    inputs = {"x": TensorSpec("float32", data)}
    recipe = Recipe("layer", tmp_path / "float.onnx", inputs, ("y",), calibration=lambda: [{"x": x}] * 2)
    quantize(Workpiece(tmp_path / "float.onnx", Calibration(recipe)), tmp_path / "q.onnx", method=method)
    expected, got = (next(outputs_of(tmp_path / name, [{"x": x}]))["y"] for name in ("float.onnx", "q.onnx"))
    channels = np.moveaxis(weight, axis, 0).reshape(shape[axis], -1)
    rounded = (x, expected) if method == "ort-minmax" else (x,)  # the others leave a float output in float
    steps = [(np.array(RANGES[method](values) / 255), values) for values in rounded]
    explained = noise_of([*steps, (np.abs(channels).max(axis=1) / 127, weight)])
    assert rms(got - expected) / rms(expected) == pytest.approx(explained, rel=0.2)
