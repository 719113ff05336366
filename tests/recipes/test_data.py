"""Where the data comes from, and that altered, missing and unreadable files are refused."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import sys
import threading
import wave
import zipfile

import numpy as np
import pytest

from edgekit.errors import DataError, MissingDependencyError
from edgekit.recipes import data

LABELS = "t10k-labels-idx1-ubyte.gz"


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A machine with no data: an empty `$EDGEKIT_DATA`, an empty cache, and public homes where nobody answers."""
    for folder in ("mine", "cache"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("EDGEKIT_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "_FASHION_HOME", "http://127.0.0.1:9")
    monkeypatch.setattr(data, "_SPOKEN_HOME", "http://127.0.0.1:9/spoken.zip")
    data.spoken_digits.cache_clear()
    yield tmp_path
    data.spoken_digits.cache_clear()


@pytest.fixture
def public_home(tmp_path, monkeypatch, empty):
    """A folder that is served over HTTP as the public home of Fashion-MNIST."""
    pytest.importorskip("pooch")
    folder = tmp_path / "home"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(data, "_FASHION_HOME", f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()


def _publish(monkeypatch, folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LABELS).write_bytes(content)
    monkeypatch.setitem(data.FASHION_SHA256, LABELS, hashlib.sha256(content).hexdigest())


def test_folder_of_the_user_comes_before_the_cache(empty, monkeypatch):
    for folder in ("mine", "cache/data"):
        _publish(monkeypatch, empty / folder / "fashion-mnist", b"the same")
    assert data.locate(LABELS) == empty / "mine" / "fashion-mnist" / LABELS


def test_cache_is_used_where_the_user_has_no_file(empty, monkeypatch):
    _publish(monkeypatch, empty / "cache/data/fashion-mnist", b"labels")
    assert data.locate(LABELS) == empty / "cache/data/fashion-mnist" / LABELS


def test_missing_file_is_downloaded_once_and_kept(public_home, monkeypatch):
    _publish(monkeypatch, public_home, b"labels")
    path = data.locate(LABELS)
    assert path.read_bytes() == b"labels"
    (public_home / LABELS).unlink()
    assert data.locate(LABELS) == path


def test_download_with_another_checksum_is_refused_and_not_kept(public_home, empty):
    (public_home / LABELS).write_bytes(b"not the published labels")
    with pytest.raises(DataError, match="SHA256 hash of downloaded file"):
        data.locate(LABELS)
    assert not (empty / "cache/data/fashion-mnist" / LABELS).exists()


def test_altered_file_is_refused(empty):
    (empty / "mine/fashion-mnist").mkdir()
    (empty / "mine/fashion-mnist" / LABELS).write_bytes(b"something else")
    with pytest.raises(DataError, match="is not the published data"):
        data.locate(LABELS)


def test_failed_download_says_where_to_put_the_file(empty):
    pytest.importorskip("pooch")
    with pytest.raises(DataError, match=rf"fetch http://127.0.0.1:9/{LABELS} on another machine and copy it to"):
        data.locate(LABELS)
    with pytest.raises(DataError, match=rf"copy it to .*{data.SPOKEN_ARCHIVE}"):
        data.spoken_digits()


def test_download_without_pooch_names_the_extra(empty, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError, match=r"edgekit\[recipes\]"):
        data.locate(LABELS)


def test_unknown_file_suggests_the_nearest():
    with pytest.raises(DataError, match=r"did you mean 't10k-labels-idx1-ubyte\.gz'"):
        data.locate("t10k-labels.gz")


def test_fashion_mnist_has_the_published_sizes(skip_without_data):
    skip_without_data("resnet8")
    images, labels = data.fashion_mnist("test")
    assert (images.shape, images.dtype) == ((10_000, 28, 28), np.uint8)
    assert np.bincount(labels).tolist() == [1000] * 10


def test_fashion_mnist_skips_the_header(empty, monkeypatch):
    images, labels = bytes(range(200)) * 3 + bytes(2 * 784 - 600), bytes([7, 3])
    for name, content, header in (("images-idx3", images, 16), ("labels-idx1", labels, 8)):
        monkeypatch.setattr(data, "FASHION_SHA256", dict(data.FASHION_SHA256))
        path = empty / f"mine/fashion-mnist/t10k-{name}-ubyte.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(bytes(header) + content))
        data.FASHION_SHA256[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    found_images, found_labels = data.fashion_mnist("test")
    assert found_images.tobytes() == images
    assert found_labels.tolist() == [7, 3]


def test_spoken_digits_split_by_take(skip_without_data):
    skip_without_data("ds-cnn")
    recordings = data.spoken_digits()
    (train, train_digits), (test, test_digits) = recordings.split("train"), recordings.split("test")
    assert (len(train), len(test)) == (2700, 300)
    assert np.bincount(train_digits).tolist() == [270] * 10
    assert np.bincount(test_digits).tolist() == [30] * 10
    assert {clip.dtype for clip in recordings.clips} == {np.dtype(np.int16)}


@pytest.fixture
def packed(skip_without_data):
    """The recordings of this machine; ask for it before `empty`."""
    skip_without_data("ds-cnn")
    data.spoken_digits.cache_clear()
    return data.spoken_digits()


def test_published_recordings_give_the_packed_arrays(packed, empty):
    _write_archive(empty / "mine" / data.SPOKEN_ARCHIVE, packed)
    unpacked = data.spoken_digits()
    assert unpacked is not packed
    assert all(np.array_equal(a, b) for a, b in zip(unpacked.clips, packed.clips, strict=True))
    np.testing.assert_array_equal(unpacked.speaker, packed.speaker)


def _write_archive(path, recordings):
    """The recordings as the repository's archive holds them: one wave file each, in any order."""
    with zipfile.ZipFile(path, "w") as archive:
        for index in reversed(range(len(recordings.clips))):
            digit, take = recordings.digit[index], recordings.take[index]
            name = f"{digit}_{data.SPEAKERS[recordings.speaker[index]]}_{take}.wav"
            archive.writestr(f"free-spoken-digit-dataset-1.0.10/recordings/{name}", _wave(recordings.clips[index]))


def _wave(clip):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(clip.tobytes())
    return content.getvalue()


def test_altered_recordings_are_refused(empty):
    arrays = {name: np.zeros(3, dtype) for name, dtype in data.SPOKEN_ARRAYS.items()}
    np.savez(empty / "mine/fsdd.npz", **arrays)
    with pytest.raises(DataError, match="is not the published data"):
        data.spoken_digits()


def test_packed_file_without_an_array_is_refused(empty):
    np.savez(empty / "mine/fsdd.npz", audio=np.zeros(3, np.int16))
    with pytest.raises(DataError, match=r"fsdd\.npz cannot be read: .*offsets"):
        data.spoken_digits()


@pytest.mark.parametrize("name", ["fsdd.npz", data.SPOKEN_ARCHIVE])
def test_broken_archive_is_refused(empty, name):
    (empty / "mine" / name).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="cannot be read"):
        data.spoken_digits()


def test_archive_of_something_else_is_refused(empty):
    with zipfile.ZipFile(empty / "mine" / data.SPOKEN_ARCHIVE, "w") as archive:
        archive.writestr("song.wav", _wave(np.zeros(4, np.int16)))
    with pytest.raises(DataError, match="does not hold recordings named"):
        data.spoken_digits()


def test_digits_split_is_fixed_and_alike_in_every_class():
    pytest.importorskip("sklearn")
    (train, train_labels), (test, test_labels) = data.digits("train"), data.digits("test")
    assert (train.shape, test.shape) == ((1347, 1, 12, 12), (450, 1, 12, 12))
    assert train.dtype == np.float32
    assert np.ptp(np.bincount(test_labels) - np.bincount(train_labels) / 3) < 2
    data.digits.cache_clear()
    np.testing.assert_array_equal(data.digits("test")[0], test)


def test_digits_test_images_are_not_trained_on():
    pytest.importorskip("sklearn")
    seen = {image.tobytes() for image in data.digits("train")[0]}
    assert not any(image.tobytes() in seen for image in data.digits("test")[0])


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    data.digits.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"edgekit\[recipes\]"):
        data.digits("test")
