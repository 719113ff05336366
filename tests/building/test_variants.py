"""What may be tried for a target: all that its profile, the backends and the graph allow, or what `--only` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir
import pytest
from models import CONV, exported

from edgekit.backends import COMPILERS
from edgekit.building import variants as module
from edgekit.building.variants import CPU_FLOATS, PRECISION_ORDER, REFERENCE, Candidate, Variant, candidates, tried
from edgekit.errors import TargetError
from edgekit.target import Target, load_target, target_names
from edgekit.transforms.quantize import METHODS
from edgekit.transforms.quantize.ranges import CALIBRATORS

VNNI = load_target("cpu-avx512-vnni")
BF16 = replace(VNNI, precisions=("f32", "bf16", "int8", "int4"))


@pytest.fixture(autouse=True)
def any_target_is_measurable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "why_not_measurable", lambda target: None)


@pytest.fixture(scope="module")
def conv_net() -> ir.Model:
    return exported(CONV).model


def found(target: Target, model: ir.Model, only: Sequence[str] = ()) -> list[str]:
    return [variant.name for variant in tried(candidates(target, model, only))]


def test_float_variants_come_first(conv_net: ir.Model) -> None:
    names = found(BF16, conv_net)
    assert names[:3] == ["openvino-f32", "onnxruntime-f32", "openvino-bf16"]
    assert not {"f32", "bf16"} & {name.split("-")[1] for name in names[3:] if "bf16-" not in name}


def test_every_calibrator_of_every_placement_is_a_candidate(conv_net: ir.Model) -> None:
    names = found(VNNI, conv_net)
    assert {f"openvino-int8-lean-{calibrator}" for calibrator in CALIBRATORS} <= set(names)
    assert {f"onnxruntime-int8-ort-{calibrator}" for calibrator in CALIBRATORS} <= set(names)


def test_bf16_is_tried_only_where_the_profile_allows_it(conv_net: ir.Model) -> None:
    assert "openvino-int8-bf16-lean-mse" in found(BF16, conv_net)
    assert not [name for name in found(VNNI, conv_net) if "bf16" in name]


def test_int8_is_tried_only_where_the_profile_allows_it(conv_net: ir.Model) -> None:
    assert found(replace(VNNI, precisions=("f32",)), conv_net) == ["openvino-f32", "onnxruntime-f32"]


def test_backends_come_from_the_profile(conv_net: ir.Model) -> None:
    assert {name.split("-")[0] for name in found(replace(BF16, backends=("onnxruntime",)), conv_net)} == {"onnxruntime"}


def test_what_the_graph_has_no_layers_for_is_listed_with_the_reason(conv_net: ir.Model) -> None:
    listed = {candidate.variant.name: candidate for candidate in candidates(VNNI, conv_net)}
    assert listed["openvino-int8-weights"].excluded == "the graph has no MatMul with a constant weight"
    assert listed["openvino-int8-lean-mse"].excluded == ""
    assert all(candidate.what for candidate in listed.values())


def test_where_nothing_can_be_measured_only_f32_is_tried(conv_net: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "why_not_measurable", lambda target: "this is another CPU")
    listed = candidates(BF16, conv_net)
    assert [variant.name for variant in tried(listed)] == ["openvino-f32", "onnxruntime-f32"]
    int8 = next(candidate for candidate in listed if candidate.variant.precision == "int8")
    assert int8.excluded == "this is another CPU, so nothing could be shown to be faster"


def test_the_reference_is_always_tried() -> None:
    assert tried([Candidate(REFERENCE, "", "not named"), Candidate(Variant("openvino", "f32"), "")])[0] == REFERENCE
    assert REFERENCE.name == "onnxruntime-f32"


def test_a_name_says_backend_precision_method_and_layers_in_float() -> None:
    variant = Variant("openvino", "int8+bf16", "lean-mse", ("a", "b"))
    assert variant.name == "openvino-int8-bf16-lean-mse-less2"


def test_variants_of_a_family_differ_in_their_ranges_alone() -> None:
    one = Variant("openvino", "int8", "lean-mse")
    assert replace(one, method="lean-minmax").family == one.family
    for other in (replace(one, method="joined-mse"), replace(one, precision="int8+bf16"), replace(one, method="nncf")):
        assert other.family != one.family


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).device == "cpu"])
def test_every_candidate_of_a_cpu_profile_can_be_compiled(name: str, conv_net: ir.Model) -> None:
    target = load_target(name)
    for candidate in candidates(target, conv_net):
        variant = candidate.variant
        assert variant.backend in COMPILERS
        assert variant.precision in PRECISION_ORDER
        assert set(variant.precision.split("+")) <= set(target.precisions)
        assert variant.method in METHODS or variant.precision in CPU_FLOATS[variant.backend]


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).device == "cuda"])
def test_gpu_targets_are_refused(name: str, conv_net: ir.Model) -> None:
    with pytest.raises(TargetError, match=f"'{name}' needs tensorrt.*does not compile for; build for a CPU target"):
        candidates(load_target(name), conv_net)


def test_cpu_profile_without_a_backend_of_ours_is_refused(conv_net: ir.Model) -> None:
    with pytest.raises(TargetError, match="needs tensorrt, which this release does not compile for"):
        candidates(replace(VNNI, backends=("tensorrt",)), conv_net)


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (["f32"], ["openvino-f32", "onnxruntime-f32"]),
        (["nncf"], ["onnxruntime-f32", "openvino-int8-nncf", "openvino-int8-bf16-nncf"]),
        (["lean-mse"], ["onnxruntime-f32", "openvino-int8-lean-mse", "openvino-int8-bf16-lean-mse"]),
        (["onnxruntime-int8-dynamic"], ["onnxruntime-f32", "onnxruntime-int8-dynamic"]),
    ],
)
def test_only_keeps_what_its_words_name_and_the_reference(conv_net: ir.Model, only: list[str], kept: list[str]) -> None:
    assert found(BF16, conv_net, only) == kept


@pytest.mark.parametrize(
    ("target", "only", "message"),
    [
        (BF16, ["int9"], "no variant fits --only 'int9'; did you mean 'int"),
        (BF16, ["openvino-int8"], "no variant fits --only 'openvino-int8'; did you mean 'openvino-int"),
        (VNNI, ["f32", "bf16"], "no variant fits --only 'bf16'"),
    ],
    ids=["misspelt", "half a name", "not on this target"],
)
def test_only_refuses_a_word_that_fits_nothing(
    conv_net: ir.Model, target: Target, only: list[str], message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        candidates(target, conv_net, only)
