"""The real data that the shipped recipes are trained and judged on: where it is found, checked and read.

Each file is looked for in `$EDGEKIT_DATA`, then in the user's cache, then downloaded from its public home
into the cache. Wherever it comes from, it is compared with a SHA-256 that is pinned here.

Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, 2017; MIT. 70,000 grey images of clothing, 28 x 28.
Free Spoken Digit Dataset v1.0.10: Z. Jackson and others; CC BY-SA 4.0. 3,000 recordings, 8 kHz, six speakers.
Digits: the test set of UCI's "Optical Recognition of Handwritten Digits", with scikit-learn; CC BY 4.0.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import wave
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgekit.caches import cache_dir
from edgekit.errors import DataError, MissingDependencyError, did_you_mean
from edgekit.processing.image import ImageInput, prepare_images

if TYPE_CHECKING:
    from edgekit.tensors import Array

Split = Literal["train", "test"]

_FASHION_HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_SPOKEN_HOME = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
SPOKEN_ARCHIVE = "free-spoken-digit-dataset-1.0.10.zip"

# Of the files as published.
FASHION_SHA256 = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
# Of the arrays of `SPOKEN_ARRAYS`, in that order: archives of the same recordings differ in their bytes.
SPOKEN_SHA256 = "fa0d124a285d12f78a20e0d8af6a9cc23d35abff3c54da4d6c6ad423e57f9b93"
SPOKEN_ARRAYS = {"audio": "int16", "offsets": "int64", "digit": "uint8", "speaker": "uint8", "take": "uint8"}
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")

DIGITS_INPUT = ImageInput(height=12, width=12, peak=16.0, mean=0.305, std=0.322)  # of the training images


@dataclass(frozen=True)
class SpokenDigits:
    """3,000 recordings, 8 kHz mono.

    clips: each (samples,) int16. digit, speaker, take: (3000,) uint8; `speaker` indexes `SPEAKERS`.
    Takes 0 to 4 are the official test split.
    """

    clips: tuple[Array, ...]
    digit: Array
    speaker: Array
    take: Array

    def split(self, name: Split) -> tuple[tuple[Array, ...], Array]:
        """Clips and digits of the official split."""
        chosen = np.flatnonzero((self.take < 5) == (name == "test"))
        return tuple(self.clips[index] for index in chosen), self.digit[chosen]


def locate(name: str) -> Path:
    """The Fashion-MNIST file `name`, checked: from `$EDGEKIT_DATA`, the cache, or its public home.

    name: a key of `FASHION_SHA256`; the file lies in a folder `fashion-mnist`.

    Raises:
        DataError: unknown name, a file that was altered, or one that is not here and cannot be downloaded.
        MissingDependencyError: it has to be downloaded, and pooch is not installed.
    """
    if name not in FASHION_SHA256:
        raise DataError(f"unknown data file {name!r}; {did_you_mean(name, FASHION_SHA256)}")
    place, expected = f"fashion-mnist/{name}", FASHION_SHA256[name]
    path = _find(place)
    if path is None:
        return _download(f"{_FASHION_HOME}/{name}", cache_dir("data", place), sha256=expected)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise _altered(path, found, expected=expected)
    return path


def fashion_mnist(split: Split) -> tuple[Array, Array]:
    """Images (n, 28, 28) uint8 and labels (n,) uint8; n is 60,000 for "train" and 10,000 for "test".

    Raises:
        DataError: as `locate`.
    """
    prefix = {"train": "train", "test": "t10k"}[split]
    images = _read_idx(locate(f"{prefix}-images-idx3-ubyte.gz"), header_bytes=16)
    labels = _read_idx(locate(f"{prefix}-labels-idx1-ubyte.gz"), header_bytes=8)
    return images.reshape(-1, 28, 28), labels


@lru_cache(maxsize=1)
def spoken_digits() -> SpokenDigits:
    """The Free Spoken Digit Dataset, from `fsdd.npz` or else from `SPOKEN_ARCHIVE` as published.

    `fsdd.npz` holds `SPOKEN_ARRAYS`, recordings in the order of their file names. It is looked for in
    `$EDGEKIT_DATA` and the cache; the archive there too, and then it is downloaded.

    Raises:
        DataError: altered, or not here and not to be downloaded.
        MissingDependencyError: it has to be downloaded, and pooch is not installed.
    """
    path = _find("fsdd.npz") or _find(SPOKEN_ARCHIVE)
    path = path or _download(_SPOKEN_HOME, cache_dir("data", SPOKEN_ARCHIVE), sha256=None)
    arrays = _read_archive(path) if path.name == SPOKEN_ARCHIVE else _read_packed(path)
    found = _spoken_digest(arrays)
    if found != SPOKEN_SHA256:
        raise _altered(path, found, expected=SPOKEN_SHA256)
    clips = np.split(arrays["audio"], arrays["offsets"][1:-1])
    return SpokenDigits(tuple(clips), arrays["digit"], arrays["speaker"], arrays["take"])


@lru_cache(maxsize=2)
def digits(split: Split) -> tuple[Array, Array]:
    """Handwritten digits at 12 x 12: images (n, 1, 12, 12) float32 and labels (n,) int64.

    1,797 images of 8 x 8, resized and normalised. The test split is a fixed quarter (450) of every class.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    pixels, labels = digit_pixels(split)
    return prepare_images(pixels, DIGITS_INPUT), labels


def digit_pixels(split: Split) -> tuple[Array, Array]:
    """The images behind `digits`: (n, 8, 8) float64 of whole numbers from 0 to 16, and labels (n,) int64.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise MissingDependencyError("scikit-learn", extra="recipes") from error
    bunch = load_digits()
    rows = np.arange(len(bunch.target))
    train, test = train_test_split(rows, test_size=0.25, random_state=0, stratify=bunch.target)
    chosen = train if split == "train" else test
    return bunch.images[chosen], bunch.target[chosen]


def _find(name: str) -> Path | None:
    """The file in `$EDGEKIT_DATA` or else in the cache; None where neither has it."""
    folders = [Path(folder) for folder in (os.environ.get("EDGEKIT_DATA"),) if folder]
    candidates = [folder / name for folder in (*folders, cache_dir("data"))]
    return next((path for path in candidates if path.is_file()), None)


def _download(url: str, path: Path, *, sha256: str | None) -> Path:
    """Fetch `url` to `path`; pooch compares the SHA-256, if given, and moves only a whole file into place."""
    try:
        import pooch
    except ImportError as error:
        raise MissingDependencyError("pooch", extra="recipes") from error
    try:
        found = pooch.retrieve(url, known_hash=sha256 and f"sha256:{sha256}", fname=path.name, path=path.parent)
    except (OSError, ValueError) as error:  # no network, no space; a wrong checksum
        raise DataError(
            f"{path.name} is neither in $EDGEKIT_DATA nor in the cache, and it cannot be downloaded: {error}; "
            f"fetch {url} on another machine and copy it to {path}"
        ) from error
    return Path(found)


def _altered(path: Path, found: str, *, expected: str) -> DataError:
    return DataError(
        f"{path} is not the published data: its SHA-256 is {found}, expected {expected}; "
        "delete it, and it is fetched again"
    )


def _read_idx(path: Path, *, header_bytes: int) -> Array:
    """The bytes after the header of an idx file (http://yann.lecun.com/exdb/mnist): (n,) uint8."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header_bytes)


def _read_packed(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name].astype(dtype, copy=False) for name, dtype in SPOKEN_ARRAYS.items()}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}; delete it, and it is fetched again") from error


def _spoken_digest(arrays: dict[str, Array]) -> str:
    digest = hashlib.sha256()
    for name, dtype in SPOKEN_ARRAYS.items():
        digest.update(arrays[name].astype(np.dtype(dtype).newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _read_archive(archive: Path) -> dict[str, Array]:
    """`SPOKEN_ARRAYS` from a zip of the data set's repository: recordings in the order of their file names.

    Raises:
        DataError: not such an archive.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            waves = {Path(name).stem: members.read(name) for name in members.namelist() if name.endswith(".wav")}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be read: {error}; delete it, and it is fetched again") from error
    clips = [_read_wave(waves[name]) for name in sorted(waves)]
    labels = [name.split("_") for name in sorted(waves)]  # digit_speaker_take
    if not clips or any(len(parts) != 3 or parts[1] not in SPEAKERS for parts in labels):
        raise DataError(
            f"{archive} does not hold recordings named <digit>_<speaker>_<take>.wav; delete it and try again"
        )
    return {
        "audio": np.concatenate(clips),
        "offsets": np.cumsum([0, *map(len, clips)], dtype=np.int64),
        "digit": np.array([int(digit) for digit, _, _ in labels], np.uint8),
        "speaker": np.array([SPEAKERS.index(speaker) for _, speaker, _ in labels], np.uint8),
        "take": np.array([int(take) for _, _, take in labels], np.uint8),
    }


def _read_wave(content: bytes) -> Array:
    with wave.open(io.BytesIO(content)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")
