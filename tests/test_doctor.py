"""The doctor: what is installed with its version, and the command for what is not."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from edgekit import doctor
from edgekit.doctor import Ability, diagnose


def test_missing_package_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ABILITIES", (Ability("fly", ("numpy", "no-such-package"), "wings"),))
    assert diagnose().abilities == (
        ("fly", {"numpy": version("numpy")}, ("no-such-package",), "pip install 'edgekit[wings]'"),
    )


def test_nothing_is_to_be_done_where_all_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ABILITIES", (Ability("count", ("numpy",), "none"),))
    assert diagnose().abilities == (("count", {"numpy": version("numpy")}, (), ""),)


def test_every_extra_that_is_named_exists() -> None:
    from importlib.metadata import metadata

    extras = set(metadata("edgekit").get_all("Provides-Extra") or ())
    assert {extra for ability in doctor.ABILITIES for extra in ability.extra.split(",")} <= extras
