"""The store of a build: a thing is made once for what it is made from, whole or not at all, and the oldest goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.building.store import Store, code_digest, open_store


def test_the_same_source_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []
    for _ in range(3):
        assert Store(tmp_path).value({"graph": "a"}, make=lambda: made.append(1) or [1.5]) == [1.5]
    assert made == [1]


def test_another_source_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert [store.value({"seed": seed}, make=lambda seed=seed: seed) for seed in (1, 2, 1)] == [1, 2, 1]


def test_a_file_keeps_what_was_written_beside_it(tmp_path: Path) -> None:
    def make(path: Path) -> None:
        path.write_text("graph")
        path.with_name("graph.data").write_text("weights")

    path = Store(tmp_path).file("x", "graph", make=make)
    assert (path.read_text(), path.with_name("graph.data").read_text()) == ("graph", "weights")


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Store(tmp_path).file("x", "graph", make=fail)
    assert list(tmp_path.iterdir()) == []


def test_infinite_values_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.value("x", make=lambda: float("-inf")) == store.value("x", make=lambda: 0.0) == float("-inf")


def test_what_was_used_longest_ago_is_trimmed_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    places = [store.file(name, "f", make=lambda path: path.write_bytes(bytes(100))).parent for name in "abc"]
    for age, place in zip((30, 10, 20), places, strict=True):
        os.utime(place, (1e9 - age, 1e9 - age))
    store.trim(largest_bytes=250)
    assert [place.exists() for place in places] == [False, True, True]


def test_a_fresh_store_starts_empty_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    kept = open_store()
    kept.value("x", make=lambda: 1)
    fresh = open_store(fresh=True)
    place = fresh.file("x", "f", make=lambda path: path.write_text("2"))
    assert fresh.value("y", make=lambda: 3) == 3
    fresh.close()
    assert not place.exists()
    assert open_store().value("x", make=lambda: 9) == 1


def test_a_cache_that_cannot_be_made_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    assert open_store().value("x", make=lambda: 1) == 1


def test_the_digest_of_code_is_that_of_its_sources() -> None:
    assert code_digest("edgekit.transforms.quantize") == code_digest("edgekit.transforms.quantize")
    assert code_digest("edgekit.transforms.quantize") != code_digest("edgekit.transforms")
