"""What is tried for a target: all that its profile and the backends allow, or what `--only` names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.backends import COMPILERS
from edgekit.building.variants import CPU_PRECISIONS, PRECISION_ORDER, REFERENCE, Variant, variants
from edgekit.errors import TargetError
from edgekit.target import load_target, target_names

VNNI = load_target("cpu-avx512-vnni")
BF16 = replace(VNNI, precisions=("f32", "bf16", "int8"))
ALL = [
    "openvino-f32",
    "onnxruntime-f32",
    "openvino-bf16",
    "openvino-int8-ort",
    "openvino-int8-nncf",
    "onnxruntime-int8-ort",
    "onnxruntime-int8-nncf",
]


def names(found: tuple[Variant, ...]) -> list[str]:
    return [variant.name for variant in found]


def test_everything_the_profile_allows_is_tried_float_first() -> None:
    assert names(variants(BF16)) == ALL


def test_bf16_is_tried_only_where_the_profile_allows_it() -> None:
    assert names(variants(VNNI)) == [name for name in ALL if "bf16" not in name]


def test_int8_is_tried_only_where_the_profile_allows_it() -> None:
    assert names(variants(replace(VNNI, precisions=("f32",)))) == ["openvino-f32", "onnxruntime-f32"]


def test_backends_come_from_the_profile() -> None:
    assert names(variants(replace(BF16, backends=("onnxruntime",)))) == [n for n in ALL if n.startswith("onnxruntime")]


def test_this_machine_tries_the_reference() -> None:
    assert REFERENCE in variants(load_target("cpu"))
    assert REFERENCE.name == "onnxruntime-f32"


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).device == "cpu"])
def test_every_variant_of_a_cpu_profile_can_be_compiled(name: str) -> None:
    target = load_target(name)
    for variant in variants(target):
        assert variant.backend in COMPILERS
        assert variant.precision in target.precisions
        assert variant.precision in PRECISION_ORDER
        assert variant.precision in CPU_PRECISIONS[variant.backend]


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).device == "cuda"])
def test_gpu_targets_are_refused(name: str) -> None:
    with pytest.raises(TargetError, match=f"'{name}' needs tensorrt.*does not compile for; build for a CPU target"):
        variants(load_target(name))


def test_cpu_profile_without_a_backend_of_ours_is_refused() -> None:
    with pytest.raises(TargetError, match="needs tensorrt, which this release does not compile for"):
        variants(replace(VNNI, backends=("tensorrt",)))


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (["f32"], ["openvino-f32", "onnxruntime-f32"]),
        (["bf16"], ["openvino-bf16"]),
        (["openvino"], [name for name in ALL if name.startswith("openvino")]),
        (["nncf"], ["openvino-int8-nncf", "onnxruntime-int8-nncf"]),
        (["onnxruntime-int8-ort"], ["onnxruntime-int8-ort"]),
        (["bf16", "onnxruntime-int8-ort"], ["openvino-bf16", "onnxruntime-int8-ort"]),
    ],
)
def test_only_keeps_what_its_words_name(only: list[str], kept: list[str]) -> None:
    assert names(variants(BF16, only)) == kept


@pytest.mark.parametrize(
    ("target", "only", "message"),
    [
        (BF16, ["int9"], "no variant fits --only 'int9'; did you mean 'int8'"),
        (BF16, ["openvino-int8"], "no variant fits --only 'openvino-int8'; did you mean 'openvino-int8-"),
        (VNNI, ["f32", "bf16"], "no variant fits --only 'bf16'"),
    ],
    ids=["misspelt", "half a name", "not on this target"],
)
def test_only_refuses_a_word_that_fits_nothing(target: object, only: list[str], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        variants(target, only)  # type: ignore[arg-type]
