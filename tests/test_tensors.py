"""Tensor specifications: what they refuse and say, what survives JSON, and which feeds pass."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import EdgekitError, TensorError
from edgekit.tensors import (
    DTYPES,
    TensorSpec,
    check_array,
    check_feeds,
    dim_ranges,
    max_deviation,
    smallest_sizes,
    spec_from_json,
    spec_to_json,
)

AUDIO = TensorSpec("float32", ("batch", "time", 4), {"batch": (1, 8), "time": (2, 100)}, name="audio")
MASK = TensorSpec("bool", ("batch", "time"), {"batch": (1, 8), "time": (2, 100)}, name="mask")


def feeds(batch: int = 1, time: int = 5) -> dict[str, Any]:
    return {"audio": np.zeros((batch, time, 4), np.float32), "mask": np.ones((batch, time), bool)}


@pytest.mark.parametrize(
    ("dtype", "shape", "ranges", "message"),
    [
        ("float23", (3,), {}, "tensor 'x': unknown dtype 'float23'; did you mean 'float32'"),
        ("complex64", (3,), {}, "tensor 'x': unknown dtype 'complex64'; known: .*float32"),
        ("float32", (3, 0), {}, "tensor 'x': size 0 in shape .*; sizes start at 1"),
        ("float32", (-1, 3), {}, "tensor 'x': size -1 in shape .*; sizes start at 1"),
        ("float32", ("batch", 3), {}, r"tensor 'x': dynamic dimension 'batch' has no range; add ranges=\{'batch'"),
        ("float32", ("batch",), {"batch": (0, 4)}, r"tensor 'x': range 0\.\.4 of 'batch'; expected 1 <= low <= high"),
        ("float32", ("batch",), {"batch": (5, 4)}, r"tensor 'x': range 5\.\.4 of 'batch'; expected 1 <= low <= high"),
        ("float32", (3,), {"time": (1, 2)}, r"tensor 'x': ranges for \['time'\], which are not in shape \(3,\)"),
    ],
)
def test_unsound_specification_is_refused_by_name_and_remedy(
    dtype: str, shape: tuple[int | str, ...], ranges: dict[str, tuple[int, int]], message: str
) -> None:
    with pytest.raises(TensorError, match=message):
        TensorSpec(dtype, shape, ranges, name="x")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_listed_dtype_accepts_an_array_of_that_dtype(dtype: str) -> None:
    spec = TensorSpec(dtype, (2,), name="x")
    check_array(spec, np.zeros(2, dtype))


def test_tensor_errors_are_both_edgekit_and_value_errors() -> None:
    assert issubclass(TensorError, EdgekitError)
    assert issubclass(TensorError, ValueError)


def test_specification_survives_json() -> None:
    for spec in (AUDIO, MASK, TensorSpec("int64", (1, 2), name="ids")):
        assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec


def test_specification_read_from_json_is_checked_again() -> None:
    data = spec_to_json(AUDIO) | {"dtype": "float23"}
    with pytest.raises(TensorError, match="tensor 'audio': unknown dtype"):
        spec_from_json(data)


def test_specification_prints_its_ranges() -> None:
    assert str(AUDIO) == "audio: float32[batch=1..8, time=2..100, 4]"


def test_dynamic_dims_come_once_in_order_of_appearance() -> None:
    square = TensorSpec("float32", ("n", 3, "m", "n"), {"m": (1, 2), "n": (1, 4)})
    assert square.dynamic_dims == ("n", "m")
    assert square.shape_at({"n": 4, "m": 2}) == (4, 3, 2, 4)


def test_shared_dimension_ranges_over_what_both_allow() -> None:
    other = TensorSpec("float32", ("batch",), {"batch": (4, 20)}, name="other")
    assert dim_ranges([AUDIO, other]) == {"batch": (4, 8), "time": (2, 100)}
    assert smallest_sizes([AUDIO, other]) == {"batch": 4, "time": 2}


def test_shared_dimension_without_a_common_size_is_refused() -> None:
    other = TensorSpec("float32", ("batch",), {"batch": (9, 20)}, name="other")
    with pytest.raises(TensorError, match=r"dimension 'batch': ranges 9\.\.20 and 1\.\.8 do not meet"):
        dim_ranges([AUDIO, other])


@pytest.mark.parametrize(("batch", "time"), [(1, 2), (8, 100), (3, 7)])
def test_feeds_within_range_pass_unchanged(batch: int, time: int) -> None:
    given = feeds(batch, time)
    checked = check_feeds([AUDIO, MASK], given)
    assert all(checked[name] is given[name] for name in given)  # contiguous arrays are not copied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audoi": np.zeros(1)}, "unknown input 'audoi'; did you mean 'audio'"),
        ({"audio": np.zeros((1, 5, 4))}, r"tensor 'audio' is float64; expected float32: .*\.astype\('float32'\)"),
        ({"audio": np.zeros((5, 4), np.float32)}, r"tensor 'audio' has shape \(5, 4\); expected 3 dimensions"),
        ({"audio": np.zeros((1, 5, 3), np.float32)}, "tensor 'audio': size 3 where 4 was expected"),
        ({"audio": np.zeros((9, 5, 4), np.float32)}, r"tensor 'audio': batch=9 is outside 1\.\.8"),
        ({"audio": np.zeros((1, 1, 4), np.float32)}, r"tensor 'audio': time=1 is outside 2\.\.100"),
        ({"audio": np.zeros((0, 5, 4), np.float32)}, r"tensor 'audio': batch=0 is outside 1\.\.8"),
        ({"mask": np.ones((1, 6), bool)}, "tensor 'mask': time=6, but another tensor has time=5"),
        ({"audio": [[1.0]]}, "input 'audio' is a list; expected a numpy array or an object with __dlpack__"),
    ],
)
def test_wrong_feed_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TensorError, match=message):
        check_feeds([AUDIO, MASK], feeds() | change)


def test_missing_feed_says_what_was_expected() -> None:
    with pytest.raises(TensorError, match=r"input 'mask' is missing; expected .*mask: bool\[batch=1\.\.8"):
        check_feeds([AUDIO, MASK], {"audio": feeds()["audio"]})


def test_a_dimension_used_twice_in_one_tensor_must_agree() -> None:
    square = TensorSpec("float32", ("n", "n"), {"n": (1, 4)}, name="square")
    with pytest.raises(TensorError, match="n=3, but another tensor has n=2"):
        check_feeds([square], {"square": np.zeros((2, 3), np.float32)})


def test_torch_tensor_is_taken_through_dlpack_without_a_copy() -> None:
    tensor = torch.arange(20, dtype=torch.float32).reshape(1, 5, 4)
    checked = check_feeds([AUDIO], {"audio": tensor})["audio"]
    tensor[0, 0, 0] = 77
    assert isinstance(checked, np.ndarray)
    assert checked[0, 0, 0] == 77


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_strided_input_becomes_contiguous_and_keeps_its_values(kind: str) -> None:
    base = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    view = base.transpose(0, 2, 1) if kind == "numpy" else torch.from_numpy(base).permute(0, 2, 1)
    checked = check_feeds([AUDIO], {"audio": view})["audio"]
    assert checked.flags.c_contiguous
    np.testing.assert_array_equal(checked, base.transpose(0, 2, 1))


def test_scalar_input_keeps_its_rank() -> None:
    threshold = TensorSpec("float32", (), name="threshold")
    checked = check_feeds([threshold], {"threshold": np.array(0.5, np.float32)})
    assert checked["threshold"].shape == ()


def test_foreign_byte_order_is_refused() -> None:
    """Its dtype has the same name, but a runtime that takes the bytes as they are computes nonsense."""
    values = np.zeros((1, 5, 4), np.dtype("float32").newbyteorder())
    with pytest.raises(TensorError, match=r"tensor 'audio' is [<>]f4; expected float32: .*\.astype\('float32'\)"):
        check_feeds([AUDIO], {"audio": values})


@pytest.mark.parametrize(
    ("got", "expected", "deviation"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan], [np.nan], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [np.inf], 0.0),
        ([np.inf], [-np.inf], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_max_deviation(got: list, expected: list, deviation: float) -> None:
    assert max_deviation(np.array(got, np.float32), np.array(expected, np.float32)) == deviation


def test_max_deviation_of_integers_neither_wraps_around_nor_rounds() -> None:
    assert max_deviation(np.array([0], np.uint8), np.array([255], np.uint8)) == 255.0
    assert max_deviation(np.array([2**60]), np.array([2**60 + 1])) == 1.0


def test_tensor_that_numpy_cannot_take_is_a_tensor_error() -> None:
    torch = pytest.importorskip("torch", reason="a torch tensor stands for anything with __dlpack__")
    spec = TensorSpec("float32", (2,), name="x")
    with pytest.raises(TensorError, match="input 'x': numpy cannot take this Tensor"):
        check_feeds([spec], {"x": torch.zeros(2, requires_grad=True)})
