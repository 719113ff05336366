"""The full check of a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bundle import Bundle, write_bundle
from edgekit.errors import BundleError
from edgekit.runtime.verify import verify
from edgekit.target import load_target


def test_every_payload_of_a_sound_bundle_passes(built: Bundle) -> None:
    checks = verify(built.path)
    assert [check.status for check in checks] == ["passed"] * len(built.manifest.targets[0].payloads)


def test_payload_for_another_machine_is_not_run_and_says_why(built: Bundle, tmp_path: Path) -> None:
    foreign = replace(built.manifest.targets[0], target=load_target("arm64-neon"))
    contents = {name: built.read(name) for name in built.manifest.files}
    write_bundle(tmp_path / "arm.edgekit", replace(built.manifest, files={}, targets=(foreign,)), contents)
    checks = verify(tmp_path / "arm.edgekit")
    assert {check.status for check in checks} == {"not run"}
    assert "aarch64" in checks[0].detail


def test_a_flipped_byte_is_found(built: Bundle, tmp_path: Path) -> None:
    data = bytearray(built.path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.edgekit").write_bytes(data)
    with pytest.raises(BundleError):
        verify(tmp_path / "flipped.edgekit")
