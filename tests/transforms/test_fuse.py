"""WaveNet steps are lifted whole, compute what they computed, and a graph that is nearly one says what it lacks."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from edgekit.backends.native.lower import lower_to_plan
from edgekit.errors import BackendError
from edgekit.tensors import State
from edgekit.transforms.fuse import fuse
from edgekit.transforms.names import name_nodes
from edgekit.transforms.state import write_state

CHANNELS, LAYERS = 16, 3


def step(**replaced: str) -> ir.Model:
    """A WaveNet step of three layers; `replaced` exchanges parts of its text."""
    rng = np.random.default_rng(0)
    lines, weights, x = ["x0 = Gather(table, sample)"], {"table": rng.standard_normal((32, CHANNELS))}, "x0"
    for i in range(LAYERS):
        lines += [
            f"p{i} = Gather<axis = 0>(past, row{i})",
            f"c{i} = Concat<axis = -1>(p{i}, {x})",
            f"g{i} = Gemm<transB = 1>(c{i}, gw{i}, gb{i})",
            f"a{i}, b{i} = Split<axis = 1, num_outputs = 2>(g{i})",
            f"t{i} = Tanh(a{i})",
            f"s{i} = Sigmoid(b{i})",
            f"z{i} = Mul(t{i}, s{i})",
            f"m{i} = Gemm<transB = 1>(z{i}, mw{i}, mb{i})",
            f"r{i}, k{i} = Split<axis = 1, num_outputs = 2>(m{i})",
            f"u{i} = Unsqueeze({x}, zero)",
        ]
        if i + 1 < LAYERS:
            lines.append(f"x{i + 1} = Add({x}, r{i})")
            x = f"x{i + 1}"
        weights |= {
            f"row{i}": np.array(i, np.int64),
            f"gw{i}": rng.standard_normal((2 * CHANNELS, 2 * CHANNELS)) / 4,
            f"gb{i}": rng.standard_normal(2 * CHANNELS) / 4,
            f"mw{i}": rng.standard_normal((2 * CHANNELS, CHANNELS)) / 4,
            f"mb{i}": rng.standard_normal(2 * CHANNELS) / 4,
        }
    lines += [
        "k01 = Add(k0, k1)",
        "k012 = Add(k01, k2)",
        "h0 = Relu(k012)",
        "h1 = Gemm<transB = 1>(h0, hw, hb)",
        "h2 = Relu(h1)",
        "logits = Gemm<transB = 1>(h2, ow, ob)",
        "push = Concat<axis = 0>(u0, u1, u2)",
    ]
    weights |= {
        "hw": rng.standard_normal((32, CHANNELS)) / 4, "hb": rng.standard_normal(32) / 4,
        "ow": rng.standard_normal((32, 32)) / 4, "ob": rng.standard_normal(32) / 4, "zero": np.array([0], np.int64),
    }  # fmt: skip
    body = "\n".join(lines)
    for old, new in replaced.items():
        body = body.replace(old, new)
    text = f"""<ir_version: 10, opset_import: ["" : 20]> wave
        (int64[1] sample, float[{LAYERS},1,{CHANNELS}] past) => (float[1,32] logits, float[{LAYERS},1,{CHANNELS}] push)
        {{ {body} }}"""
    proto = onnx.parser.parse_model(text)
    for name, array in weights.items():
        stored = array if array.dtype == np.int64 else array.astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(stored, name))
    return name_nodes(ir.from_proto(onnx.shape_inference.infer_shapes(proto)))


def outputs(model: ir.Model) -> list[np.ndarray]:
    past = np.random.default_rng(1).standard_normal((LAYERS, 1, CHANNELS)).astype(np.float32)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    return session.run(None, {"sample": np.array([5]), "past": past})


def test_a_wavenet_step_becomes_one_call_that_computes_the_same():
    expected, model = outputs(step()), step()
    (found,) = fuse(model)
    assert (found.applied, found.refusals) == (1, ())
    assert [node.op_type for node in model.graph] == ["WaveNet"]
    onnx.checker.check_model(ir.to_proto(model))
    for got, want in zip(outputs(model), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Tanh", "Sigmoid", "layer 0's filter is taken by Sigmoid; Tanh was expected"),
        ("Concat<axis = -1>(p1, x1)", "Concat<axis = -1>(x1, p1)", "layer 1: the input does not come behind the past"),
        ("(past, row1)", "(past, row2)", "layer 1 takes row 2 of the past"),
        ("Concat<axis = 0>(u0, u1, u2)", "Concat<axis = 0>(u0, u2, u1)", "in another order"),
        ("k012 = Add(k01, k2)", "k012 = Add(k2, k2)", "layer 2's skip is used 2 times"),
    ],
)
def test_what_is_nearly_a_wavenet_says_which_check_failed(old: str, new: str, reason: str):
    model = step(**{old: new})
    (found,) = fuse(model)
    assert found.applied == 0
    assert any(reason in refusal for refusal in found.refusals), found.refusals
    assert "WaveNet" not in {node.op_type for node in model.graph}


def test_a_fused_step_becomes_one_kernel_call_with_its_delay_lines_in_the_state():
    model = step()
    write_state(model, {"past": State("push", (1, 2, 4))})
    fuse(model)
    plan = lower_to_plan(model)
    assert [call.op for call in plan.calls] == ["wavenet_f32"]
    assert plan.state_bytes >= (1 + 2 + 4) * CHANNELS * 4
    assert [(state.input, state.output, state.offset) for state in plan.states] == [("past", "push", None)]


def test_a_step_without_declared_state_is_not_lowered():
    model = step()
    fuse(model)
    with pytest.raises(BackendError, match="not declared as state"):
        lower_to_plan(model)
