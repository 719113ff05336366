"""Samples on disk: what was written comes back mapped, and an unfinished folder is refused."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.samples import read_samples, write_samples
from edgekit.errors import MeasurementError
from edgekit.tensors import DTYPES


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
        assert all(got[name].shape == expected[name].shape for name in expected)
    assert isinstance(read[-1]["ids/0"].base, mmap.mmap)
    assert not read[-1]["ids/0"].flags.writeable
    assert [len(sample["ids/0"]) for sample in read[1:]] == [3, 5]
    with pytest.raises(IndexError):
        read[3]


def test_each_tensor_has_one_file_however_many_samples(tmp_path: Path) -> None:
    write_samples(tmp_path, ({"a": np.full((1, 3), n, np.float32), "b": np.array(n)} for n in range(500)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.bin", "1.bin", "samples.json"]
    assert (tmp_path / "samples.json").stat().st_size < 300
    read = read_samples(tmp_path)
    assert [sample["a"].sum() for sample in read] == [3 * n for n in range(500)]
    assert all(sample["a"].ctypes.data % 64 == 0 for sample in read)


@pytest.mark.parametrize("dtype", [*DTYPES, "complex64", ">f4", "<U3", "datetime64[ms]"])
def test_every_dtype_comes_back_bit_by_bit(dtype: str, tmp_path: Path) -> None:
    values = np.array([[0, 1, 1], [1, 0, 2]]).astype(dtype)
    write_samples(tmp_path, [{"x": array} for array in (values, values.T, values[:, ::2], values[0, 1:2].reshape(()))])
    whole, turned, stepped, scalar = (sample["x"] for sample in read_samples(tmp_path))
    assert {array.dtype for array in (whole, turned, stepped, scalar)} == {np.dtype(dtype)}
    assert whole.tobytes() == values.tobytes()
    assert np.array_equal(turned, values.T)
    assert np.array_equal(stepped, values[:, ::2])
    assert (scalar.shape, scalar.tolist()) == ((), values.tolist()[0][1])


def test_samples_of_one_tensor_may_differ_in_dtype(tmp_path: Path) -> None:
    arrays = [np.arange(3, dtype=np.uint8), np.arange(2, dtype=np.float64), np.arange(3, dtype=np.uint8) + 1]
    write_samples(tmp_path, [{"raw": array} for array in arrays])
    for got, expected in zip(read_samples(tmp_path), arrays, strict=True):
        assert got["raw"].dtype == expected.dtype
        assert np.array_equal(got["raw"], expected)


@pytest.mark.parametrize("lengths", [(0,), (0, 0), (0, 2, 0, 1), (3, 0)])
def test_empty_arrays_come_back(lengths: tuple[int, ...], tmp_path: Path) -> None:
    write_samples(tmp_path, [{"boxes": np.ones((n, 4), np.float32)} for n in lengths])
    read = [sample["boxes"] for sample in read_samples(tmp_path)]
    assert [array.shape for array in read] == [(n, 4) for n in lengths]
    assert all((array == 1).all() for array in read)


def mapped_bytes(path: Path) -> int:
    """Bytes of `path` that this process has mapped, each as often as it is."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()]
    ranges = [line[0].split("-") for line in lines if line[-1] == str(path)]
    return sum(int(end, 16) - int(begin, 16) for begin, end in ranges)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what is mapped from Linux's /proc")
def test_what_was_read_and_let_go_leaves_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = 4 * mmap.ALLOCATIONGRANULARITY
    monkeypatch.setattr("edgekit.bench.samples.WINDOW_BYTES", window)
    sizes = [1000 * (1 + n % 5) for n in range(200)]
    sizes[70] = 3 * window
    write_samples(tmp_path, ({"x": np.full(size, n % 251, np.uint8)} for n, size in enumerate(sizes)))
    read, file = read_samples(tmp_path), tmp_path / "0.bin"
    for number, sample in enumerate(read):
        assert sample["x"].tobytes() == bytes([number % 251]) * sizes[number]
        if number % 10 == 0:
            assert 0 < mapped_bytes(file) <= 2 * (window + 3 * window + mmap.PAGESIZE)
    del sample
    kept = [read[number]["x"] for number in np.random.default_rng(0).permutation(200)]
    assert mapped_bytes(file) <= (file.stat().st_size // window + 1) * (window + 3 * window + mmap.PAGESIZE)
    assert sum(array.size for array in kept) == sum(sizes)
    del kept, read
    assert mapped_bytes(file) == 0


def test_no_samples_and_mixed_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no samples to write"):
        write_samples(tmp_path, [])
    with pytest.raises(MeasurementError, match=r"sample 1 has the tensors \['b'\]; expected \['a'\]"):
        write_samples(tmp_path, [{"a": np.zeros(1)}, {"b": np.zeros(1)}])


@pytest.mark.parametrize("array", [np.array([None]), np.zeros(2, [("a", "f4"), ("b", "i2")])])
def test_what_has_no_plain_form_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="sample 1: 'x' is of dtype .* which has no plain form"):
        write_samples(tmp_path, [{"x": np.zeros(1)}, {"x": array}])


def test_a_folder_whose_writing_broke_off_is_refused(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"a": np.zeros(1)}])

    def breaking() -> Iterator[dict[str, np.ndarray]]:
        yield {"a": np.zeros(1)}
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_samples(tmp_path, breaking())
    with pytest.raises(MeasurementError, match="no finished samples"):
        read_samples(tmp_path)


def test_writing_anew_leaves_what_is_mapped_as_it_was(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"a": np.arange(5000)}])
    before = read_samples(tmp_path)[0]["a"]
    write_samples(tmp_path, [{"a": np.zeros(2)}])
    assert np.array_equal(before, np.arange(5000))
    assert np.array_equal(read_samples(tmp_path)[0]["a"], np.zeros(2))


def test_a_damaged_index_or_file_is_named(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"a": np.zeros(3)}])
    (tmp_path / "0.bin").write_bytes(b"too little")
    with pytest.raises(MeasurementError, match=r"0\.bin has 10 bytes; 64 are expected by its index: write"):
        read_samples(tmp_path)[0]
    (tmp_path / "0.bin").unlink()
    with pytest.raises(MeasurementError, match=r"0\.bin cannot be read as samples: .*No such file"):
        read_samples(tmp_path)[0]
    (tmp_path / "samples.json").write_text("[]", encoding="utf-8")
    with pytest.raises(MeasurementError, match="not an index"):
        read_samples(tmp_path)


def test_an_index_that_does_not_fit_its_count_is_refused(tmp_path: Path) -> None:
    write_samples(tmp_path, [{"a": np.zeros(n)} for n in (1, 2)])
    index = json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))
    (tmp_path / "samples.json").write_text(json.dumps(index | {"count": 3}), encoding="utf-8")
    with pytest.raises(MeasurementError, match="not an index of samples: 2 layouts of 3 samples"):
        read_samples(tmp_path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    old = {"edgekit_samples": 1, "names": ["a"], "count": 1}
    (tmp_path / "samples.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(MeasurementError, match="samples of version 1; this edgekit reads version 2: write them anew"):
        read_samples(tmp_path)
