"""Samples from .npz files: what is converted because nothing is lost, and what is left to whoever knows the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.building.npz import Wanted, labelled_samples, samples
from edgekit.errors import DataError
from edgekit.tensors import Array


def read(folder: Path, array: Array, dtype: str, rank: int | None = 2) -> list[Array]:
    np.savez(folder / "d.npz", x=array)
    return [sample["x"] for sample in samples(folder / "d.npz", [Wanted("x", dtype, rank)])]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([[1, 2], [3, 4]], np.int32), "int64"),
        (np.array([[1, 2], [3, 2**31 - 1]], np.int64), "int32"),
        (np.array([[0, 255], [3, 4]], np.uint8), "int32"),
        (np.array([[1, 2], [3, np.nan]], np.float16), "float32"),
        (np.array([[0.5, -2], [3, np.inf]], np.float64), "float32"),
        (np.array([[0.1, 0.2], [3, 4]], ">f4"), "float32"),
    ],
    ids=["int32", "int64 that fits", "bytes", "float16", "float64 that fits", "the other byte order"],
)
def test_other_dtype_of_the_same_kind_is_taken_where_every_value_stays(
    tmp_path: Path, array: Array, dtype: str
) -> None:
    found = read(tmp_path, array, dtype)
    assert [(sample.dtype.str, sample.shape) for sample in found] == [(np.dtype(dtype).str, (1, 2))] * 2
    np.testing.assert_array_equal(np.concatenate(found), array)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([[0.1, 0.2]]), "float32"),
        (np.array([[1e300, 0]]), "float32"),
        (np.array([[2**31, 0]]), "int32"),
        (np.array([[-1, 0]], np.int8), "uint8"),
    ],
    ids=["digits", "magnitude", "size", "sign"],
)
def test_dtype_that_does_not_hold_the_values_is_refused(tmp_path: Path, array: Array, dtype: str) -> None:
    message = rf"d\.npz: 'x' is {array.dtype}, and the input is {dtype}, which does not hold .*\.astype\('{dtype}'\)"
    with pytest.raises(DataError, match=message):
        read(tmp_path, array, dtype)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((1, 2), np.uint8), "float32"),
        (np.zeros((1, 2), np.float32), "int64"),
        (np.zeros((1, 2), bool), "float32"),
        (np.array([["a", "b"]]), "float32"),
    ],
    ids=["pixels", "whole numbers", "flags", "text"],
)
def test_another_kind_of_dtype_is_refused_with_what_to_do(tmp_path: Path, array: Array, dtype: str) -> None:
    with pytest.raises(
        DataError, match=rf"is not guessed: prepare the data as for training, then \.astype\('{dtype}'\)"
    ):
        read(tmp_path, array, dtype)


@pytest.mark.parametrize(("rank", "shape"), [(2, (1, 3)), (1, (3,)), (None, (1, 3))])
def test_sample_has_the_rank_of_the_input(tmp_path: Path, rank: int | None, shape: tuple[int, ...]) -> None:
    assert [sample.shape for sample in read(tmp_path, np.zeros((4, 3), np.float32), "float32", rank)] == [shape] * 4


def test_other_ranks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'x' has 2 axes; expected 4, or 5 with one for samples"):
        read(tmp_path, np.zeros((4, 3), np.float32), "float32", 4)


@pytest.mark.parametrize(
    ("name", "hint"), [("X_1", r"did you mean 'X_1'\? \(expected x_1\)"), ("data", r"known: data \(expected x_1\)")]
)
def test_missing_array_is_answered_with_the_nearest_name(tmp_path: Path, name: str, hint: str) -> None:
    arrays: dict[str, Any] = {name: np.zeros((1, 2))}
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=rf"d\.npz has no array 'x_1'; {hint}"):
        next(samples(tmp_path / "d.npz", [Wanted("x_1", "float32", 2)]))


def test_targets_come_with_their_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(3, dtype=np.float32)[:, None], target=np.array([[7], [8], [9]]))
    found = list(labelled_samples(tmp_path / "d.npz", [Wanted("x", "float32", 2)]))
    assert [(float(feeds["x"][0, 0]), int(target[0])) for feeds, target in found] == [(0, 7), (1, 8), (2, 9)]
