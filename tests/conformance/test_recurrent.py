"""What gru_* and lstm_* mean: their references are the ONNX ops, a torch layer comes out, streams are sequences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recurrent_layers import Layer, lay_out, random_layer

import edgekit._native as native
from edgekit.backends.native.records import Ref, Space, pack_record
from edgekit.ops import gru, lstm
from edgekit.ops.recurrent import QuantizedWeights
from edgekit.tensors import Array

OPS = {"gru_i8": (gru, 1), "lstm_i8": (lstm, 2), "gru_f32": (gru, 1), "lstm_f32": (lstm, 2)}
ROWS = [(op, row) for op, row, runs_here in native.kernel_rows() if op in OPS and runs_here]
RESET_LAST = {"gru_i8": {"linear_before_reset": 1}, "gru_f32": {"linear_before_reset": 1}}
SHAPE = (4, 3, 5, 17)


def _layer(op: str, shape: tuple[int, int, int, int] = SHAPE) -> Layer:
    module, states = OPS[op]
    return random_layer(shape, gates=module.GATES, states=states, quantized=op.endswith("i8"))


def _onnxruntime(model: object, feeds: dict[str, Array]) -> list[Array]:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # type: ignore[attr-defined]
    results: list[Array] = session.run(None, feeds)
    return results


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("linear_before_reset", [False, True])
def test_reference_is_the_onnx_gru(linear_before_reset: bool, reverse: bool):
    layer = _layer("gru_f32")
    how = {"bias": layer.bias, "linear_before_reset": linear_before_reset, "reverse": reverse}
    wanted = gru.reference(layer.x, *layer.states, weights=layer.weights, recurrent=layer.recurrent, **how)
    model = gru.onnx_model(layer.weights, layer.recurrent, **how)
    y, last = _onnxruntime(model, {"x": layer.x, "hidden_in": layer.states[0][None]})
    np.testing.assert_allclose(y[:, 0], wanted[0], atol=2e-6)
    np.testing.assert_allclose(last[0], wanted[1], atol=2e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_reference_is_the_onnx_lstm(reverse: bool):
    layer = _layer("lstm_f32")
    how = {"bias": layer.bias, "reverse": reverse}
    wanted = lstm.reference(layer.x, *layer.states, weights=layer.weights, recurrent=layer.recurrent, **how)
    model = lstm.onnx_model(layer.weights, layer.recurrent, **how)
    hidden, cell = layer.states
    found = _onnxruntime(model, {"x": layer.x, "hidden_in": hidden[None], "cell_in": cell[None]})
    for value, reference in zip((found[0][:, 0], found[1][0], found[2][0]), wanted, strict=True):
        np.testing.assert_allclose(value, reference, atol=2e-6)


@pytest.mark.parametrize("op", ["gru_i8", "lstm_i8"])
def test_quantized_reference_stays_near_the_float_one(op: str):
    layer = _layer(op, (6, 2, 40, 48))
    assert isinstance(layer.weights, QuantizedWeights)
    assert isinstance(layer.recurrent, QuantizedWeights)
    how = {name: bool(value) for name, value in RESET_LAST.get(op, {}).items()} | {"bias": layer.bias}
    reference = OPS[op][0].reference
    given = reference(layer.x, *layer.states, weights=layer.weights, recurrent=layer.recurrent, **how)[0]
    exact = {"weights": layer.weights.dequantized(), "recurrent": layer.recurrent.dequantized()}
    wanted = reference(layer.x, *layer.states, **exact, **how)[0]
    assert 0 < np.abs(given - wanted).max() < 0.02


def _run(op: str, row: str, layer: Layer) -> tuple[Array, ...]:
    """What `row` of the kernel gives: outputs (steps, rows, hidden) and the states after."""
    memories, params = lay_out(layer, gates=OPS[op][0].GATES, attributes=RESET_LAST.get(op))
    buffers = memories.buffers()
    native.run_kernel(op, row, pack_record(op, params), buffers, 1)
    shapes = {"output": (*layer.x.shape[:2], layer.states[0].shape[1] + layer.gap)}
    shapes |= {f"{name}_out": state.shape for name, state in zip(("hidden", "cell"), layer.states, strict=False)}
    return tuple(_read(buffers, params[name], shape) for name, shape in shapes.items())


def _read(buffers: dict[int, Array], ref: Ref, shape: tuple[int, ...]) -> Array:
    return np.frombuffer(buffers[ref.space].tobytes(), np.float32, int(np.prod(shape)), ref.offset).reshape(shape)


@pytest.mark.parametrize(("op", "row"), ROWS)
def test_a_sequence_gives_the_bits_of_its_steps(op: str, row: str):
    layer = _layer(op, (21, 1, 9, 33))
    outputs, *states = _run(op, row, layer)
    assert np.abs(outputs).max() > 0.1
    stream = layer.states
    for step in range(len(layer.x)):
        output, *after = _run(op, row, replace(layer, x=layer.x[step : step + 1], states=stream))
        np.testing.assert_array_equal(output[0], outputs[step])
        stream = tuple(after)
    for one, other in zip(stream, states, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("op", "row"), ROWS)
def test_rows_do_not_see_each_other(op: str, row: str):
    layer = _layer(op)
    outputs = _run(op, row, layer)[0]
    for number in range(SHAPE[1]):
        alone = replace(
            layer, x=layer.x[:, number : number + 1], states=tuple(s[number : number + 1] for s in layer.states)
        )
        np.testing.assert_array_equal(_run(op, row, alone)[0][:, 0], outputs[:, number])


@pytest.mark.parametrize(("op", "row"), ROWS)
def test_a_value_that_is_no_number_stays_in_its_row(op: str, row: str):
    layer = _layer(op)
    x = layer.x.copy()
    x[1, 1, 2] = np.nan
    outputs = _run(op, row, replace(layer, x=x))[0]
    assert np.isnan(outputs[1:, 1]).all()
    assert np.isfinite(np.delete(outputs, 1, axis=1)).all()
    assert np.isfinite(outputs[0]).all()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"rows": 0}, "rows"),
        ({"inputs": 65537}, "inputs"),
        ({"hidden": -1}, "hidden"),
        ({"reverse": 2}, "reverse"),
        ({"input_stride": 2}, "strides in whole floats"),
        ({"output_row_stride": -4}, "a stride"),
        ({"steps": 5}, "input"),
        ({"rows": 4}, "input"),
        ({"input_stride": 1 << 28}, "input"),
        ({"output_stride": 1 << 28}, "output"),
        ({"hidden": 40}, "hidden_in"),
        ({"hidden_out": Ref(Space.CONSTANTS, 0)}, "only read"),
        ({"output": Ref(Space.IO, 0)}, "output"),
        ({"scratch": Ref(Space.ARENA, 64)}, "scratch"),
        ({"scratch": Ref(Space.ARENA, 4)}, "scratch"),
        ({"weights": Ref(Space.CONSTANTS, 1 << 20)}, "weights"),
        ({"recurrent_bias": Ref(Space.CONSTANTS, 2)}, "recurrent_bias"),
    ],
)
def test_a_record_that_reaches_outside_is_refused(op: str, change: dict[str, object], message: str):
    memories, params = lay_out(_layer(op), gates=OPS[op][0].GATES, attributes=RESET_LAST.get(op))
    with pytest.raises(native.PlanError, match=message):
        native.run_kernel(op, "scalar", pack_record(op, params | change), memories.buffers(), 1)


@pytest.mark.parametrize("op", ["gru_f32", "lstm_f32"])
def test_a_bidirectional_torch_layer_is_two_calls_into_halves_of_the_output(op: str):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    steps, rows, inputs, hidden = SHAPE
    kind = torch.nn.GRU if op == "gru_f32" else torch.nn.LSTM
    net, x = kind(inputs, hidden, bidirectional=True).eval(), torch.randn(steps, rows, inputs)
    with torch.no_grad():
        wanted = net(x)[0].numpy()
    graph = torch.onnx.export(net, (x,), dynamo=True, verbose=False).model.graph
    (node,) = [node for node in graph if node.op_type == op[: -len("_f32")].upper()]
    weights, recurrent, bias = (value.const_value.numpy() for value in node.inputs[1:4])
    layer = replace(_layer(op), x=x.numpy(), states=tuple(np.zeros((rows, hidden), "f4") for _ in range(OPS[op][1])))
    halves = [
        _run(op, "scalar", replace(layer, weights=w, recurrent=r, bias=b, reverse=reverse, gap=hidden))[0]
        for w, r, b, reverse in zip(weights, recurrent, bias, (False, True), strict=True)
    ]
    found = np.concatenate([half[..., :hidden] for half in halves], axis=2)
    np.testing.assert_allclose(found, wanted, atol=2e-6)
