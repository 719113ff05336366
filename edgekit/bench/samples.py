"""Samples on disk: a list of `{name: array}` as a folder of .npy files, read by memory map."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from edgekit.errors import MeasurementError
from edgekit.tensors import Array, Feeds

INDEX = "samples.json"


def write_samples(folder: Path, samples: Iterable[Feeds]) -> int:
    """Write each sample's arrays under `folder`; how many samples there were. Shapes may differ.

    The index is written last: a folder whose writing was cut short is refused by `read_samples`.

    Raises:
        MeasurementError: no samples, or one that does not have the names of the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    names: list[str] = []
    count = 0
    for sample in samples:
        names = names or list(sample)
        if set(sample) != set(names) or not names:
            raise MeasurementError(
                f"sample {count} has the tensors {sorted(sample)}; expected {sorted(names)}, as the first"
            )
        for position, name in enumerate(names):
            np.save(_file(folder, count, position), sample[name], allow_pickle=False)
        count += 1
    if not count:
        raise MeasurementError(f"there are no samples to write to {folder}; at least one is needed")
    (folder / INDEX).write_text(json.dumps({"edgekit_samples": 1, "names": names, "count": count}), encoding="utf-8")
    return count


def read_samples(folder: Path) -> Samples:
    """The samples that `write_samples` left in `folder`.

    Raises:
        MeasurementError: there is no such folder, or its writing was not finished.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return Samples(folder, tuple(index["names"]), int(index["count"]))
    except FileNotFoundError as error:
        raise MeasurementError(
            f"{folder} holds no finished samples (no {INDEX}); write them with write_samples"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise MeasurementError(f"{folder / INDEX} is not an index of samples: {error}") from error


class Samples(Sequence[dict[str, Array]]):
    """The samples of a folder; each access maps that sample's files anew, so thousands cost no memory."""

    def __init__(self, folder: Path, names: tuple[str, ...], count: int) -> None:
        self.folder = folder
        self.names = names
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, position: int) -> dict[str, Array]: ...
    @overload
    def __getitem__(self, position: slice) -> list[dict[str, Array]]: ...
    def __getitem__(self, position: int | slice) -> dict[str, Array] | list[dict[str, Array]]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        return {name: self._array(position % len(self), i) for i, name in enumerate(self.names)}

    def _array(self, sample: int, position: int) -> Array:
        path = _file(self.folder, sample, position)
        try:
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise MeasurementError(f"{path} cannot be read as an array: {error}") from error
        return array


def _file(folder: Path, sample: int, position: int) -> Path:
    """Files are numbered, not named: a tensor's name may hold characters that a file name cannot."""
    return folder / f"{sample:06d}.{position}.npy"
