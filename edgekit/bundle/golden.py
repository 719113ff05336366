"""Golden arrays as entries of a bundle: numpy's `.npy` form, with no pickles and no surprises in it."""

from __future__ import annotations

import io

import numpy as np

from edgekit.errors import BundleFormatError, TensorError
from edgekit.tensors import Array, TensorSpec, check_array


def npy_bytes(array: Array) -> bytes:
    """`array` as an `.npy` file, version 1.0, little-endian, C order: the same array gives the same bytes.

    Raises:
        TensorError: the array holds Python objects.
    """
    if array.dtype.hasobject:
        raise TensorError("an array of Python objects cannot go into a bundle; convert it to numbers")
    stream = io.BytesIO()
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    np.lib.format.write_array(stream, plain, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def read_golden(entry: str, data: bytes, *, spec: TensorSpec) -> Array:
    """The array in `data`, the bytes of `entry`, in this machine's byte order.

    Raises:
        BundleFormatError: `data` is no `.npy` file, holds Python objects, or is not what `spec` says.
    """
    stream = io.BytesIO(data)
    try:
        found = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # numpy documents ValueError; its header parser lets others through
        raise BundleFormatError(f"{entry} is not a plain .npy file: {error}; build the bundle again") from error
    if stream.read(1):
        raise BundleFormatError(f"{entry} goes on after its array ends; build the bundle again")
    array: Array = np.array(found, dtype=found.dtype.newbyteorder("="), order="C")
    try:
        check_array(spec, array)
    except TensorError as error:
        raise BundleFormatError(f"{entry} is not what the manifest declares: {error}") from error
    return array
