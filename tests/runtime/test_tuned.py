"""The choice of a tuning: when a load follows it, and when it keeps to the bundle's order and says why."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgekit
from edgekit import machine
from edgekit.bundle import Bundle
from edgekit.errors import EdgekitError
from edgekit.runtime import tuned
from tests.several_payloads import WRONG, payload, write

onnxruntime = pytest.importorskip("onnxruntime", reason="the payloads run on it")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write(tmp_path / "tiny.edgekit", "first", "second", "third")


@pytest.fixture
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def choose(bundle: Bundle, name: str, *, threads: int = 1, runtime: str = onnxruntime.__version__) -> Path:
    entry = bundle.manifest.targets[0]
    rows = [{"name": name, "runtime": runtime}]
    return tuned.remember(bundle, entry, threads=threads, payloads=rows, measured="2026-01-01T00:00:00+00:00")


def loaded(bundle: Bundle, **options: Any) -> tuple[str, bool]:
    with edgekit.load(bundle.path, **options) as session:
        return session.info.payload, session.info.tuned


@pytest.mark.usefixtures("no_warnings")
def test_load_runs_the_bundles_first_payload_where_nothing_was_tuned(bundle: Bundle) -> None:
    assert loaded(bundle) == ("first", False)


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_load_runs_the_chosen_payload_and_tells(bundle: Bundle, name: str) -> None:
    choose(bundle, name)
    assert loaded(bundle) == (name, True)


@pytest.mark.usefixtures("no_warnings")
def test_choice_holds_for_the_threads_it_was_measured_with(bundle: Bundle) -> None:
    choose(bundle, "second")
    choose(bundle, "third", threads=3)
    assert loaded(bundle, threads=2) == ("first", False)
    assert loaded(bundle, threads=1) == ("second", True)
    assert loaded(bundle, threads=3) == ("third", True)


@pytest.mark.usefixtures("no_warnings")
def test_choice_holds_for_its_bundle_alone(bundle: Bundle, tmp_path: Path) -> None:
    choose(bundle, "second")
    other = write(tmp_path / "other.edgekit", "first", "second")
    assert loaded(other) == ("first", False)
    other.path.write_bytes(bundle.path.read_bytes())
    assert loaded(other) == ("second", True)  # the same bundle under another name


@pytest.mark.usefixtures("no_warnings")
def test_choice_holds_for_its_machine_alone(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(bundle, "second")
    monkeypatch.setattr(machine, "cpu_fact", lambda name: "another CPU")
    assert loaded(bundle) == ("first", False)


@pytest.mark.usefixtures("no_warnings")
def test_load_can_keep_to_the_bundles_order(bundle: Bundle) -> None:
    choose(bundle, "second")
    assert loaded(bundle, tuned=False) == ("first", False)


def test_choice_made_with_another_runtime_is_stale(bundle: Bundle) -> None:
    choose(bundle, "second", threads=3, runtime="0.9")
    found = onnxruntime.__version__
    says = rf"second was measured with version 0\.9 .* now it is {found}\. Tune again: edgekit tune .* --threads 3"
    with pytest.warns(RuntimeWarning, match=says) as caught:
        session = edgekit.load(bundle.path, threads=3)
    assert [warning.filename for warning in caught] == [__file__]
    assert (session.info.payload, session.info.tuned, session.info.skipped) == ("first", False, ())


def test_whether_the_model_came_from_a_cache_is_no_part_of_the_version() -> None:
    assert tuned.runtime_version("2026.4.1-22982, compiled") == tuned.runtime_version("2026.4.1-22982, from cache")


GOOD = {"name": "second", "runtime": onnxruntime.__version__}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({tuned.KEY: 2}, "not a choice of version 1"),
        ({"bundle": "0" * 64}, "it is for bundle '0000"),
        ({"target": "cpu-avx2"}, "it is for target 'cpu-avx2', not 'cpu'"),
        ({"threads": 4}, "it is for threads 4, not 1"),
        ({"payloads": []}, "it names no payload"),
        ({"payloads": None}, "it names no payload"),
        ({"payloads": {"second": GOOD}}, "it names no payload"),
        ({"payloads": [{"name": "second"}]}, "it names no payload"),
        (
            {"payloads": [{**GOOD, "name": "fourth"}]},
            "it names 'fourth' on .* the bundle runs first, second, third here",
        ),
        ({"payloads": [{**GOOD, "name": ["second"]}]}, "it names .'second'. on"),
        ({"payloads": [{**GOOD, "runtime": None}]}, "it names 'second' on None"),
    ],
)
def test_foreign_choice_is_left_out_with_a_warning(bundle: Bundle, changes: dict[str, Any], says: str) -> None:
    file = choose(bundle, "second")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.warns(RuntimeWarning, match=f"tiny.edgekit: .*{says}.*Tune again: edgekit tune") as caught:
        assert loaded(bundle) == ("first", False)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"\0" * 100])
def test_damaged_choice_is_left_out_with_a_warning(bundle: Bundle, content: bytes) -> None:
    choose(bundle, "second").write_bytes(content)
    with pytest.warns(RuntimeWarning, match="left out of account: .* cannot be used"):
        assert loaded(bundle) == ("first", False)


def test_folder_in_the_place_of_the_choice_is_left_out_with_a_warning(bundle: Bundle) -> None:
    file = choose(bundle, "second")
    file.unlink()
    file.mkdir()
    with pytest.warns(RuntimeWarning, match="cannot be used: .*directory"):
        assert loaded(bundle) == ("first", False)
    with pytest.raises(EdgekitError, match="cannot delete .*; delete it by hand"):
        tuned.forget(bundle, bundle.manifest.targets[0], 1)


def test_chosen_payload_that_fails_here_is_passed_over(tmp_path: Path) -> None:
    bundle = write(tmp_path / "tiny.edgekit", "first", payload("second", golden_outputs=WRONG))
    choose(bundle, "second")
    with pytest.warns(RuntimeWarning, match="passed over second: golden sample 0"):
        assert loaded(bundle) == ("first", False)


@pytest.mark.usefixtures("no_warnings")
def test_where_there_is_nothing_to_choose_no_choice_is_read(tmp_path: Path) -> None:
    bundle = write(tmp_path / "one.edgekit", "first")
    choose(bundle, "first").write_bytes(b"damaged")
    assert loaded(bundle) == ("first", False)


@pytest.mark.usefixtures("no_warnings")
def test_load_needs_no_cache_folder(bundle: Bundle, cache: Path) -> None:
    cache.write_text("not a folder")
    assert loaded(bundle) == ("first", False)
    assert not tuned.forget(bundle, bundle.manifest.targets[0], 1)
    with pytest.raises(EdgekitError, match="cannot write"):
        choose(bundle, "second")


def test_forgotten_choice_is_gone(bundle: Bundle) -> None:
    choose(bundle, "second")
    assert tuned.forget(bundle, bundle.manifest.targets[0], 1)
    assert loaded(bundle) == ("first", False)
    assert not tuned.forget(bundle, bundle.manifest.targets[0], 1)
