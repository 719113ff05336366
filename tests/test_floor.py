"""Floors: multiply-accumulates as derived by hand and as torch counts them, and the time that a peak rate leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edgekit.export import export
from edgekit.floor import Work, count_work, floor_ns
from edgekit.recipes import SHIPPED, load_recipe
from edgekit.target import Peak
from edgekit.tensors import TensorSpec
from edgekit.transforms.lower import lower
from edgekit.transforms.simplify import simplify

PEAK = Peak(f32_gmacs=50.0, int8_gmacs=200.0, dram_gb_per_s=20.0, source="made up for a test")


def graph(text: str) -> ir.Model:
    """The model of opset 20 whose graph is written in ONNX's textual form."""
    header = '<ir_version: 9, opset_import: ["" : 20, "com.microsoft" : 1]>'
    return ir.from_proto(onnx.parser.parse_model(f"{header} net {text}"))


def macs(model: ir.Model, **sizes: int) -> int | None:
    return count_work(model, sizes).macs


def shipped(name: str) -> ir.Model:
    """The simplified graph of a shipped recipe, with random weights: its data and training are not needed."""
    recipe = load_recipe(name)
    ((tensor, spec),) = recipe.inputs.items()
    zeros = np.zeros(spec.shape_at(dict.fromkeys(spec.dynamic_dims, 1)), np.float32)
    untrained = models.seeded(import_module(SHIPPED[name]).untrained)
    return lower(simplify(export(replace(recipe, model=untrained, calibration=lambda: [{tensor: zeros}])).model))


def simple_cnn_macs() -> int:
    convolution = 12 * 12 * 16 * (3 * 3)
    return convolution + (16 * 6 * 6) * 32 + 32 * 10


def ds_cnn_macs() -> int:
    """Rows (49 + 2 * 5 - 10) // 2 + 1 = 25, columns (10 + 2 * 1 - 4) // 2 + 1 = 5, and so in all of the four blocks."""
    stem = 25 * 5 * 64 * (10 * 4)
    depthwise, pointwise = 25 * 5 * 64 * (3 * 3), 25 * 5 * 64 * 64
    return stem + 4 * (depthwise + pointwise) + 64 * 10


def resnet8_macs() -> int:
    """28 x 28, then 14 x 14 and 7 x 7; the last two stacks have a 1x1 convolution on the shortcut."""
    stem = 28 * 28 * 16 * (3 * 3)
    stacks = (
        28 * 28 * 16 * (3 * 3 * 16 + 3 * 3 * 16),
        14 * 14 * 32 * (3 * 3 * 16 + 3 * 3 * 32 + 16),
        7 * 7 * 64 * (3 * 3 * 32 + 3 * 3 * 64 + 32),
    )
    return stem + sum(stacks) + 64 * 10


@pytest.mark.parametrize(
    ("name", "by_hand"), [("simple-cnn", simple_cnn_macs()), ("ds-cnn", ds_cnn_macs()), ("resnet8", resnet8_macs())]
)
def test_shipped_networks_have_the_macs_derived_by_hand_times_the_batch(name: str, by_hand: int) -> None:
    model = shipped(name)
    assert macs(model, batch=1) == by_hand
    assert macs(model, batch=7) == 7 * by_hand


def test_ds_cnn_differs_from_the_published_figure_by_its_number_of_classes() -> None:
    """MLPerf Tiny's keyword network, 2.66 million, tells twelve words apart; ours ten digits."""
    assert ds_cnn_macs() + 64 * 2 == 2_656_768


class Mixed(nn.Module):
    """(batch, 8, 9, 9) -> (batch, 6, 6): strided, grouped and transposed convolutions, linear, a product of batches."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(12, 6, 3, stride=2, padding=1, groups=2)
        self.linear = nn.Linear(81, 5)

    def forward(self, image: Tensor) -> Tensor:
        rows = self.linear(torch.relu(self.up(self.grouped(image))).flatten(2))
        return rows @ rows.transpose(1, 2)


@pytest.mark.parametrize("batch", [1, 3])
def test_counts_are_half_the_operations_that_torch_counts(batch: int) -> None:
    spec = TensorSpec("float32", ("batch", 8, 9, 9), models.BATCH)
    recipe = models.recipe_of(Mixed, {"image": spec}, ("products",))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        recipe.load_model()(torch.zeros(batch, 8, 9, 9))
    assert counter.get_total_flops() > 0
    assert macs(simplify(export(recipe).model), batch=batch) == counter.get_total_flops() / 2


def test_several_dynamic_dimensions_each_have_their_size() -> None:
    assert macs(models.exported(models.SEQUENCE).model, batch=3, time=11) == 3 * 11 * 4 * 5


def test_padding_stride_dilation_and_groups_of_a_convolution_are_those_of_its_output() -> None:
    model = graph("""(float[batch, 8, 20, 30] x, float[12, 2, 3, 5] w) => (float[batch, 12, rows, columns] y)
        { y = Conv <group = 4, strides = [2, 1], pads = [1, 2, 1, 2], dilations = [1, 2]> (x, w) }""")
    rows, columns = (20 + 2 - 3) // 2 + 1, 30 + 4 - 9 + 1
    assert macs(model, batch=2) == 2 * 12 * rows * columns * (2 * 3 * 5)


def test_matrix_products_are_counted_in_every_batch() -> None:
    model = graph("""(float[batch, 1, 7, 16] a, float[4, 16, 9] b) => (float[batch, 4, 7, 9] y)
        { y = MatMul (a, b) }""")
    assert macs(model, batch=3) == 3 * 4 * 7 * 16 * 9


@pytest.mark.parametrize(("flags", "stored"), [("", "7, 16"), ("<transA = 1>", "16, 7")])
def test_transposed_gemm_counts_the_same(flags: str, stored: str) -> None:
    model = graph(
        f"(float[{stored}] a, float[16, 9] b, float[9] c) => (float[7, 9] y) {{ y = Gemm {flags} (a, b, c) }}"
    )
    assert macs(model) == 7 * 16 * 9


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_count_both_products_of_each_step_and_direction(operator: str, gates: int) -> None:
    model = graph(f"""(float[time, batch, 6] x, float[2, {gates * 5}, 6] w, float[2, {gates * 5}, 5] r)
        => (float[time, 2, batch, 5] y)
        {{ y = {operator} <hidden_size = 5, direction = "bidirectional"> (x, w, r) }}""")
    assert macs(model, time=11, batch=3) == 11 * 3 * 2 * gates * 5 * (6 + 5)


def test_sizes_reach_layers_behind_a_computed_shape() -> None:
    model = graph("""(float[batch, time, 6] x, float[6, 4] w) => (float[rows, 4] y)
        <int64[1] inner = {6}> {
            shape = Shape (x)
            minus = Constant <value = int64[1] {-1}> ()
            wanted = Concat <axis = 0> (minus, inner)
            flat = Reshape (x, wanted)
            y = Gemm (flat, w)
        }""")
    assert macs(model, batch=3, time=11) == 3 * 11 * 6 * 4


def test_shape_that_the_exporter_wrote_serves_where_none_can_be_inferred() -> None:
    model = graph("""(float[size] x, int64[2] wanted, float[6, 4] w) => (float[batch, 4] y)
        <float[batch, 6] rows> { rows = Reshape (x, wanted) y = MatMul (rows, w) }""")
    assert macs(model, batch=5) == 5 * 6 * 4


def test_dimension_without_a_name_goes_by_tensor_and_axis() -> None:
    model = graph("(float[?, 6] x, float[6, 4] w) => (float[?, 4] y) { y = MatMul (x, w) }")
    assert macs(model, x_dim0=5) == 5 * 6 * 4


UNKNOWN = {
    "a size that is not given": "(float[batch, 6] x, float[6, 4] w) => (float[batch, 4] y) { y = MatMul (x, w) }",
    "a shape that depends on data": """(float[6] x, float[1, 4] w) => (float[n, 4] y)
        { found = NonZero (x) rows = Transpose (found) f = Cast <to = 1> (rows) y = MatMul (f, w) }""",
    "an operator that is not counted": """(float[5, 6] x, float[6, 4] w) => (float[5, 4] y)
        { y = Einsum <equation = "ij,jk->ik"> (x, w) }""",
    "another domain": """(float[5, 6] x, float[6, 4] w) => (float[5, 4] y)
        { y = com.microsoft.FusedMatMul (x, w) }""",
    "control flow": """(bool c, float[5, 6] x, float[6, 4] w) => (float[5, 4] y) { y = If (c) <
        then_branch = a () => (float[5, 4] p) { p = MatMul (x, w) },
        else_branch = b () => (float[5, 4] q) { t = MatMul (x, w) q = Neg (t) }> }""",
    "lengths that the data give": """(float[9, 2, 6] x, float[1, 5, 6] w, float[1, 5, 5] r, int32[2] lengths)
        => (float[9, 1, 2, 5] y) { y = RNN <hidden_size = 5> (x, w, r, , lengths) }""",
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_not_known_is_not_guessed(text: str) -> None:
    assert macs(graph(text)) is None


def test_weights_are_counted_in_bytes_even_where_macs_are_not_known() -> None:
    model = graph("""(float[batch, 2] x) => (float[batch, 3] y)
        <float[2, 3] w = {1, 2, 3, 4, 5, 6}, float16[3] b = {1, 2, 3}>
        { p = MatMul (x, w) c = Cast <to = 1> (b) y = Add (p, c) }""")
    assert count_work(model, {}) == Work(macs=None, weight_bytes=6 * 4 + 3 * 2)
    assert count_work(model, {"batch": 2}) == Work(macs=12, weight_bytes=30)


def weights_beyond_a_kilobyte() -> ir.Model:
    return shipped("simple-cnn")


@pytest.mark.parametrize("make", [weights_beyond_a_kilobyte, lambda: models.exported(models.SEQUENCE).model])
def test_counting_leaves_the_graph_as_it_was(make: Callable[[], ir.Model]) -> None:
    model = make()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    count_work(model, {"batch": 3, "time": 11})
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_floor_is_macs_over_the_rate_of_the_precision_and_the_threads() -> None:
    work = Work(macs=1_000_000, weight_bytes=0)
    assert floor_ns(work, PEAK, precision="f32", threads=1) == 20_000.0
    assert floor_ns(work, PEAK, precision="f32", threads=2) == 10_000.0
    assert floor_ns(work, PEAK, precision="int8", threads=1) == 5_000.0


@pytest.mark.parametrize("precision", ["bf16", "f16", "int4", "f8"])
def test_no_floor_without_a_rate_of_that_precision(precision: str) -> None:
    assert floor_ns(Work(macs=1_000_000, weight_bytes=0), PEAK, precision=precision, threads=1) is None


def test_no_floor_without_known_macs() -> None:
    assert floor_ns(Work(macs=None, weight_bytes=4), PEAK, precision="f32", threads=1) is None
