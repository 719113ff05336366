"""Plans of streaming models: state kept in the plan gives the bits of state carried by hand, in every stream."""

from __future__ import annotations

import threading

import numpy as np
import onnx_ir as ir
import pytest
from small_graphs import graph_of, open_plan, run_onnx

from edgekit.runtime.stream import Carried
from edgekit.tensors import State
from edgekit.transforms.state import write_state

RNG = np.random.default_rng(3)
HIDDEN, INPUTS = 20, 12
LAYER = """(float[1,1,12] x, float[1,1,20] h) => (float[1,1,20] y, float[1,1,20] h_out) {
    all, h_out = GRU<hidden_size=20, linear_before_reset=1>(x, w, r, b, , h)
    y = Relu(h_out)
}"""


def gru(state: bool = True) -> ir.Model:
    weights = {
        "w": RNG.standard_normal((1, 3 * HIDDEN, INPUTS)).astype(np.float32) / 4,
        "r": RNG.standard_normal((1, 3 * HIDDEN, HIDDEN)).astype(np.float32) / 4,
        "b": RNG.standard_normal((1, 6 * HIDDEN)).astype(np.float32) / 4,
    }
    model = graph_of(LAYER, **weights)
    if state:
        write_state(model, {"h": State("h_out")})
    return model


def steps(count: int = 12):
    return [{"x": RNG.standard_normal((1, 1, INPUTS)).astype(np.float32)} for _ in range(count)]


@pytest.fixture
def runner(tmp_path):
    return open_plan(gru(), tmp_path)


def carried(runner):
    return Carried(runner.run, runner_inputs(), {"h": State("h_out")})


def runner_inputs():
    from edgekit.tensors import TensorSpec

    return [
        TensorSpec("float32", (1, 1, INPUTS), name="x"),
        TensorSpec("float32", (1, 1, HIDDEN), name="h"),
    ]


def test_a_step_is_what_onnxruntime_computes(runner, tmp_path):
    model = gru()
    plan = open_plan(model, tmp_path)
    feeds = {**steps(1)[0], "h": RNG.standard_normal((1, 1, HIDDEN)).astype(np.float32)}
    outputs = plan.run(feeds)
    for value, expected in zip(("y", "h_out"), run_onnx(model, feeds), strict=True):
        np.testing.assert_allclose(outputs[value], expected, atol=1e-6)


def test_a_stream_gives_the_bits_of_state_carried_by_hand(runner):
    by_plan, by_hand = runner.stream(), carried(runner)
    for feeds in steps():
        np.testing.assert_array_equal(by_plan.run(feeds)["y"], by_hand.run(feeds)["y"])


def test_streams_do_not_see_each_other_and_reset_begins_anew(runner):
    first, second = runner.stream(), runner.stream()
    feeds = steps(5)
    alone = [first.run(each)["y"] for each in feeds]
    for each in steps(3):
        second.run(each)
    first.reset()
    again = []
    for each in feeds:
        again.append(first.run(each)["y"])
        second.run(each)
    np.testing.assert_array_equal(alone, again)


def test_state_that_would_be_overwritten_too_early_is_not_kept_by_the_plan(tmp_path):
    model = graph_of(
        "(float[1,8] x, float[1,8] h) => (float[1,8] y, float[1,8] h_out) { h_out = Add(x, h) y = Mul(h_out, h) }"
    )
    write_state(model, {"h": State("h_out")})
    assert open_plan(model, tmp_path).stream() is None


def test_a_graph_without_state_has_no_stream(tmp_path):
    assert open_plan(gru(state=False), tmp_path).stream() is None


def test_many_threads_run_one_plan(runner):
    feeds = [{**each, "h": np.zeros((1, 1, HIDDEN), np.float32)} for each in steps(64)]
    expected = [runner.run(each)["y"] for each in feeds]
    got: list = [None] * len(feeds)

    def work(index: int) -> None:
        for _ in range(20):
            got[index] = runner.run(feeds[index])["y"]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(feeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(got, expected)


def test_outputs_that_are_other_shapes_or_parts_of_tensors_are_written(tmp_path):
    model = graph_of(
        "(float[1,2,6] x) => (float[1,12] flat, float[1,1,6] part, float[1,2,6] same)"
        " { r = Relu(x) flat = Reshape(r, shape) part = Slice(x, one, two, one) same = Reshape(x, back) }",
        shape=np.array([1, 12]),
        one=np.array([1]),
        two=np.array([2]),
        back=np.array([1, 2, 6]),
    )
    feeds = {"x": RNG.standard_normal((1, 2, 6)).astype(np.float32)}
    outputs = open_plan(model, tmp_path).run(feeds)
    for name, expected in zip(("flat", "part", "same"), run_onnx(model, feeds), strict=True):
        np.testing.assert_array_equal(outputs[name], expected)
