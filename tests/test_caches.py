"""The cache folder: an override wins, then the platform's own place; naming it makes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgekit.caches import cache_dir


def test_override_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "mine"))
    assert cache_dir("data", "digits") == tmp_path / "mine" / "data" / "digits"
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("system", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", Path("edgekit")),
        ("win32", "LOCALAPPDATA", Path("edgekit", "cache")),
    ],
)
def test_platform_variable_is_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, variable: str, expected: Path
) -> None:
    monkeypatch.delenv("EDGEKIT_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_dir() == tmp_path / expected


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("linux", (".cache", "edgekit")),
        ("darwin", ("Library", "Caches", "edgekit")),
        ("win32", ("AppData", "Local", "edgekit", "cache")),
    ],
)
def test_without_variables_it_lies_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, expected: tuple[str, ...]
) -> None:
    for variable in ("EDGEKIT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_dir() == tmp_path.joinpath(*expected)
