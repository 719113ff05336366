"""Samples on disk: what was written comes back mapped, and an unfinished folder is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.samples import read_samples, write_samples
from edgekit.errors import MeasurementError


def test_ragged_samples_come_back_in_order_and_mapped(tmp_path: Path) -> None:
    written = [{"ids/0": np.arange(n, dtype=np.int64), "flag": np.array(n > 2)} for n in (1, 3, 5)]
    assert write_samples(tmp_path / "s", iter(written)) == 3
    read = read_samples(tmp_path / "s")
    assert len(read) == 3
    assert read.names == ("ids/0", "flag")
    for got, expected in zip(read, written, strict=True):
        assert got.keys() == expected.keys()
        assert all(np.array_equal(got[name], expected[name]) for name in expected)
        assert all(got[name].dtype == expected[name].dtype for name in expected)
    assert isinstance(read[-1]["ids/0"], np.memmap)
    assert [len(sample["ids/0"]) for sample in read[1:]] == [3, 5]


def test_an_empty_array_comes_back(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"boxes": np.zeros((0, 4), np.float32)}])
    assert read_samples(tmp_path)[0]["boxes"].shape == (0, 4)


def test_no_samples_and_mixed_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no samples to write"):
        write_samples(tmp_path, [])
    with pytest.raises(MeasurementError, match=r"sample 1 has the tensors \['b'\]; expected \['a'\]"):
        write_samples(tmp_path, [{"a": np.zeros(1)}, {"b": np.zeros(1)}])


def test_a_folder_whose_writing_broke_off_is_refused(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"a": np.zeros(1)}])

    def breaking() -> Iterator[dict[str, np.ndarray]]:
        yield {"a": np.zeros(1)}
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_samples(tmp_path, breaking())
    with pytest.raises(MeasurementError, match="no finished samples"):
        read_samples(tmp_path)


def test_a_damaged_index_or_array_is_named(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"a": np.zeros(3)}])
    (tmp_path / "000000.0.npy").write_bytes(b"not an array")
    with pytest.raises(MeasurementError, match=r"000000\.0\.npy cannot be read"):
        read_samples(tmp_path)[0]
    (tmp_path / "samples.json").write_text("[]", encoding="utf-8")
    with pytest.raises(MeasurementError, match="not an index"):
        read_samples(tmp_path)
