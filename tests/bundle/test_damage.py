"""Nothing that was touched passes, and nothing but bundle errors is raised on the way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_bundle import GOLDEN, MODEL, Y, assemble, contents, disassemble, manifest, put

from edgekit.bundle import archive, npy_bytes, open_bundle, verify_bundle, write_bundle
from edgekit.errors import BundleError, BundleFormatError, BundleIntegrityError


def read_all(path: Path) -> dict[str, bytes]:
    opened = open_bundle(path)
    return {name: opened.read(name) for name in opened.manifest.files}


def test_every_flipped_byte_is_found(path: Path) -> None:
    sound, content = path.read_bytes(), read_all(path)
    for at, mask in [(at, mask) for at in range(len(sound)) for mask in (0x01, 0x20, 0xFF)]:
        put(path, sound[:at] + bytes([sound[at] ^ mask]) + sound[at + 1 :])
        with pytest.raises(BundleError):
            verify_bundle(path)
        try:
            assert read_all(path) == content, f"byte {at} was flipped with {mask:#x} and other content came back"
        except BundleError:
            continue


def test_every_truncation_is_found(path: Path) -> None:
    sound = path.read_bytes()
    for length in range(len(sound)):
        put(path, sound[:length])
        with pytest.raises(BundleFormatError):
            open_bundle(path)


@pytest.mark.parametrize("tail", [b"\0", b"PK\x05\x06" + bytes(18), b"more" * 100])
def test_appended_bytes_are_found(path: Path, tail: bytes) -> None:
    put(path, path.read_bytes() + tail)
    with pytest.raises(BundleFormatError):
        open_bundle(path)


def test_random_damage_raises_nothing_but_bundle_errors(path: Path) -> None:
    dice, sound = random.Random(7), path.read_bytes()  # noqa: S311 - not for secrets
    for _ in range(3000):
        damaged = bytearray(sound)
        for _ in range(dice.randint(2, 12)):
            near_the_end = dice.random() < 0.5
            at = dice.randrange(len(sound) - 500 if near_the_end else 0, len(sound))
            damaged[at] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        if bytes(damaged) == sound:
            continue
        put(path, damaged)
        with pytest.raises(BundleError):
            verify_bundle(path)


def test_altered_payload_is_found_even_with_a_matching_crc(path: Path) -> None:
    put(path, assemble(disassemble(path) | {MODEL: b"not really a MODEL"}))
    opened = open_bundle(path)
    for access in (opened.read, opened.view, lambda _: verify_bundle(path)):
        with pytest.raises(BundleIntegrityError, match=r"model\.onnx does not match its SHA-256"):
            access(MODEL)
    assert opened.read(GOLDEN) == npy_bytes(Y)


def test_altered_manifest_is_found_by_its_crc(path: Path) -> None:
    put(path, path.read_bytes().replace(b"the only one", b"the best one"))
    with pytest.raises(BundleIntegrityError, match=r"manifest\.json does not match its CRC-32"):
        open_bundle(path)


def test_zip64_damage_raises_nothing_but_bundle_errors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ZIP64_FROM", 1)
    sound = write_bundle(path, manifest(), contents()).path.read_bytes()
    for at in range(len(sound) - 600, len(sound)):
        for mask in (0x01, 0x80, 0xFF):
            put(path, sound[:at] + bytes([sound[at] ^ mask]) + sound[at + 1 :])
            with pytest.raises(BundleError):
                verify_bundle(path)
