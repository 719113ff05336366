"""Reads the samples of a model that brings no code of its own from .npz files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import DataError, did_you_mean
from edgekit.recipes.recipe import Sample
from edgekit.tensors import Array

TARGET = "target"  # the array of an evaluation file that holds what each sample should give
KINDS = {"f": "float", "i": "integer", "u": "integer", "b": "bool"}  # numpy's kinds, between which nothing is converted


@dataclass(frozen=True)
class Wanted:
    """An array that a file must hold: samples of a tensor of this name, dtype and rank.

    rank: None where the graph does not say; the data's own is taken then.
    """

    name: str
    dtype: str
    rank: int | None


def samples(path: Path, wanted: Sequence[Wanted]) -> Iterator[dict[str, Array]]:
    """The samples of the file `path`, one by one: {name: array}, with a batch of 1 where the tensor has a batch.

    Raises:
        DataError: the file cannot be read, lacks an array, or holds another rank or dtype than the tensor has.
    """
    yield from _samples(path, wanted, _read(path, [each.name for each in wanted]))


def labelled_samples(path: Path, wanted: Sequence[Wanted]) -> Iterator[Sample]:
    """The same, each with what it should give, from the array `target`."""
    arrays = _read(path, [*(each.name for each in wanted), TARGET])
    yield from zip(_samples(path, wanted, arrays), arrays[TARGET], strict=True)


def _samples(path: Path, wanted: Sequence[Wanted], arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    checked = {each: _as_wanted(path, each, arrays[each.name]) for each in wanted}
    for index in range(len(checked[wanted[0]])):
        yield {each.name: _sample(each, array, index) for each, array in checked.items()}


def _sample(wanted: Wanted, array: Array, index: int) -> Array:
    has_own_axis = wanted.rank is not None and array.ndim == wanted.rank + 1
    return array[index] if has_own_axis else array[index : index + 1]


def _as_wanted(path: Path, wanted: Wanted, array: Array) -> Array:
    rank = array.ndim if wanted.rank is None else wanted.rank
    if array.ndim not in (rank, rank + 1):
        raise DataError(
            f"{path}: {wanted.name!r} has {array.ndim} axes; expected {rank}, or {rank + 1} with one for samples"
        )
    return array if array.dtype == wanted.dtype else _converted(path, wanted, array)


def _converted(path: Path, wanted: Wanted, array: Array) -> Array:
    """`array` in the dtype that is wanted, where no value changes: token ids often come in the other integer type."""
    head = f"{path}: {wanted.name!r} is {array.dtype}, and the input is {wanted.dtype}"
    dtype = np.dtype(wanted.dtype)
    if KINDS.get(array.dtype.kind) != KINDS[dtype.kind]:
        raise DataError(
            f"{head}; how one becomes the other is not guessed: prepare the data as for training, then "
            f".astype('{dtype}')"
        )
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if not np.array_equal(converted, array, equal_nan=dtype.kind == "f"):
        raise DataError(f"{head}, which does not hold all its values; if that is meant, give .astype('{dtype}')")
    return converted


def _read(path: Path, names: list[str]) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:  # a .npy file gives an array: TypeError, in 3.10 AttributeError
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as .npz: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"{path} has no array {missing[0]!r}; {did_you_mean(missing[0], found)} (expected {', '.join(names)})"
        )
    if scalars := [name for name in names if found[name].ndim == 0]:
        raise DataError(f"{path}: {scalars[0]!r} is a single value; its first axis must count samples")
    counts = {name: len(found[name]) for name in names}
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: the arrays hold different numbers of samples: {counts}")
    if 0 in counts.values():
        raise DataError(f"{path}: the arrays hold no samples: {counts}")
    return {name: found[name] for name in names}
