"""Golden arrays come back by name, and no other .npy content is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundle import X, Y, contents, manifest

from edgekit.bundle import golden_input_entry, npy_bytes, open_bundle, write_bundle
from edgekit.errors import BundleError, BundleFormatError, TensorError


def test_golden_arrays_come_back_by_name(path: Path) -> None:
    opened = open_bundle(path)
    (inputs, outputs) = (
        opened.golden_inputs(0),
        opened.golden_outputs(opened.manifest.targets[0].payloads[0], 0),
    )
    assert inputs.keys() == {"x"}
    assert outputs.keys() == {"y"}
    np.testing.assert_array_equal(inputs["x"], X)
    np.testing.assert_array_equal(outputs["y"], Y)
    assert inputs["x"].dtype == np.float32


@pytest.mark.parametrize("sample", [-1, 1])
def test_golden_sample_that_is_not_there_is_refused(path: Path, sample: int) -> None:
    opened = open_bundle(path)
    with pytest.raises(BundleError, match=f"no golden sample {sample}"):
        opened.golden_inputs(sample)
    with pytest.raises(BundleError, match=f"no golden sample {sample}"):
        opened.golden_outputs(opened.manifest.targets[0].payloads[0], sample)


class Bomb:
    def __reduce__(self) -> Any:
        return print, ("a pickle was run",)


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pickled(), "not a plain .npy file"),
        (b"", "not a plain .npy file"),
        (npy_bytes(X)[:-1], "not a plain .npy file"),
        (npy_bytes(X).replace(b"(1, 4)", b"(1, 4"), "not a plain .npy file"),
        (npy_bytes(X).replace(b"(1, 4), }    ", b"(1, 4000000000)"), "not a plain .npy file"),
        (npy_bytes(X) + b"x", "goes on after its array ends"),
        (npy_bytes(X.astype(np.float64)), "not what the manifest declares"),
        (npy_bytes(X[0]), "not what the manifest declares"),
    ],
)
def test_golden_entry_that_is_not_the_declared_array_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, says: str
) -> None:
    opened = write_bundle(tmp_path / "x", manifest(), contents() | {golden_input_entry(0, 0): data})
    with pytest.raises(BundleFormatError, match=says):
        opened.golden_inputs(0)
    assert "a pickle was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3.5),
        np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
        np.zeros((0, 2), np.int8),
        X.astype(">f4"),
    ],
)
def test_arrays_of_every_layout_keep_their_values(array: Any) -> None:
    array = np.asarray(array)
    back = np.load(io.BytesIO(npy_bytes(array)))
    np.testing.assert_array_equal(back, array)
    assert back.shape == array.shape
    assert back.dtype.str[0] in "<|"


def test_array_of_objects_cannot_be_written() -> None:
    with pytest.raises(TensorError, match="Python objects"):
        npy_bytes(np.array([Bomb()], dtype=object))
