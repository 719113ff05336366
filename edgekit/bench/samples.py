"""Samples on disk: the values of each tensor lie one sample after another in one file, which is read by memory map."""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, overload
from weakref import WeakValueDictionary

import numpy as np

from edgekit.errors import MeasurementError
from edgekit.tensors import Array, Feeds

INDEX = "samples.json"
VERSION = 2
ALIGNMENT_BYTES = 64  # where a sample's values may begin: what aligned vector loads need
WINDOW_BYTES = 16 << 20  # mapped at once: what was read and let go leaves memory again, and few files are held open
BUFFER_BYTES = 1 << 20

Layout = tuple[np.dtype[Any], tuple[int, ...]]
"""Dtype and shape of a tensor in a sample."""


def write_samples(folder: Path, samples: Iterable[Feeds]) -> int:
    """Write each sample's arrays under `folder`; how many samples there were. Shapes and dtypes may differ.

    The index is written last: a folder whose writing was cut short is refused by `read_samples`.

    Raises:
        MeasurementError: no samples, one that does not have the names of the first, or an array of something else
            than numbers, booleans, times or characters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    names: list[str] = []
    tensors: list[_Written] = []
    count = 0
    with ExitStack() as files:
        for sample in samples:
            names = names or list(sample)
            if set(sample) != set(names) or not names:
                raise MeasurementError(
                    f"sample {count} has the tensors {sorted(sample)}; expected {sorted(names)}, as the first"
                )
            tensors = tensors or [
                _Written(name, files.enter_context(_new_file(_file(folder, position))))
                for position, name in enumerate(names)
            ]
            for tensor in tensors:
                tensor.append(count, sample[tensor.name])
            count += 1
    if not count:
        raise MeasurementError(f"there are no samples to write to {folder}; at least one is needed")
    index = {"edgekit_samples": VERSION, "count": count, "tensors": [tensor.index() for tensor in tensors]}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    return count


def read_samples(folder: Path) -> Samples:
    """The samples that `write_samples` left in `folder`.

    Raises:
        MeasurementError: there is no such folder, its writing was not finished, or it is of another version.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if (version := index["edgekit_samples"]) != VERSION:
            raise MeasurementError(
                f"{folder} holds samples of version {version}; this edgekit reads version {VERSION}: write them anew"
            )
        count = int(index["count"])
        tensors = {
            str(tensor["name"]): _Mapped(_file(folder, position), tensor, count)
            for position, tensor in enumerate(index["tensors"])
        }
    except FileNotFoundError as error:
        raise MeasurementError(
            f"{folder} holds no finished samples (no {INDEX}); write them with write_samples"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MeasurementError(f"{folder / INDEX} is not an index of samples: {error}") from error
    return Samples(folder, tensors, count)


class Samples(Sequence[dict[str, Array]]):
    """The samples of a folder, as read-only arrays of a memory map, so thousands cost no memory."""

    def __init__(self, folder: Path, tensors: Mapping[str, _Mapped], count: int) -> None:
        self.folder = folder
        self.names = tuple(tensors)
        self._tensors = tensors
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
        return {name: tensor.array(position % len(self)) for name, tensor in self._tensors.items()}


class _Written:
    """A tensor's file while samples are added to it."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self.name = name
        self._file = file
        self._layouts: dict[Layout, int] = {}
        self._order: list[int] = []

    def append(self, sample: int, values: Array) -> None:
        array = np.asarray(values, order="C")  # ascontiguousarray would make a scalar one-dimensional
        layout = array.dtype, array.shape
        if layout not in self._layouts:
            self._refuse_unwritable(sample, array.dtype)
            self._layouts[layout] = len(self._layouts)
        self._order.append(self._layouts[layout])
        self._file.write(array.reshape(-1).view(np.uint8).data if array.nbytes else b"")
        self._file.write(bytes(-array.nbytes % ALIGNMENT_BYTES))

    def index(self) -> dict[str, Any]:
        """What `_Mapped` needs to know; `order` says which layout each sample has, None if there is only one."""
        layouts = [{"dtype": dtype.str, "shape": shape} for dtype, shape in self._layouts]
        return {"name": self.name, "layouts": layouts, "order": self._order if len(layouts) > 1 else None}

    def _refuse_unwritable(self, sample: int, dtype: np.dtype[Any]) -> None:
        if dtype.hasobject or np.dtype(dtype.str) != dtype:  # Python objects, records, types from other packages
            raise MeasurementError(
                f"sample {sample}: {self.name!r} is of dtype {dtype}, which has no plain form on disk; "
                "convert it to numbers with .astype"
            )


class _Mapped:
    """A tensor's file, of which the part that is being read is mapped.

    index: what `_Written.index` gave.

    Raises:
        ValueError, KeyError, TypeError, IndexError: `index` is not such a thing.
    """

    def __init__(self, path: Path, index: Mapping[str, Any], count: int) -> None:
        self._path = path
        self._layouts: list[Layout] = [(np.dtype(part["dtype"]), tuple(part["shape"])) for part in index["layouts"]]
        self._order = np.zeros(count, np.intp) if index["order"] is None else np.array(index["order"], np.intp)
        if self._order.shape != (count,):
            raise ValueError(f"{self._order.size} layouts of {count} samples")
        room = np.array([_room_bytes(layout) for layout in self._layouts])
        self._ends = np.cumsum(room[self._order])
        self._begins = self._ends - room[self._order]
        self._largest_bytes = int(room.max())
        self._windows: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()
        self._latest: mmap.mmap | None = None

    def array(self, sample: int) -> Array:
        dtype, shape = self._layouts[self._order[sample]]
        begin = int(self._begins[sample])
        if begin == self._ends[sample]:
            return np.empty(shape, dtype)  # of no bytes no map can be made
        number, offset = divmod(begin, WINDOW_BYTES)
        return np.ndarray(shape, dtype, buffer=self._window(number), offset=offset)

    def _window(self, number: int) -> mmap.mmap:
        """The part of the file where samples begin from `number` times `WINDOW_BYTES`; arrays keep it mapped."""
        window = self._windows.get(number)
        if window is None:
            self._windows[number] = window = self._map(number * WINDOW_BYTES)
        self._latest = window
        return window

    def _map(self, begin: int) -> mmap.mmap:
        size = int(self._ends[-1])
        length = min(WINDOW_BYTES + self._largest_bytes, size - begin)
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno()).st_size
                if found == size:
                    return mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=begin)
        except (OSError, ValueError) as error:
            raise MeasurementError(f"{self._path} cannot be read as samples: {error}; write them anew") from error
        raise MeasurementError(f"{self._path} has {found} bytes; {size} are expected by its index: write it anew")


def _room_bytes(layout: Layout) -> int:
    dtype, shape = layout
    return math.ceil(math.prod(shape) * dtype.itemsize / ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _new_file(path: Path) -> IO[bytes]:
    path.unlink(missing_ok=True)  # an older file stays whole for whoever has mapped it
    return path.open("xb", buffering=BUFFER_BYTES)


def _file(folder: Path, position: int) -> Path:
    """Files are numbered, not named: a tensor's name may hold characters that a file name cannot."""
    return folder / f"{position}.bin"
