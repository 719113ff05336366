"""The manifest: refused by name where a key is missing, senseless, or not in the canonical form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_bundle import (
    GOLDEN,
    MODEL,
    TARGET,
    assemble,
    canonical,
    contents,
    disassemble,
    manifest,
    nothing_left_behind,
    payload,
    put,
    refused,
    rewrite_manifest,
)

from edgekit.bundle import TargetEntry, golden_input_entry, open_bundle, verify_bundle, write_bundle
from edgekit.errors import BundleError, BundleFormatError, BundleIntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_newer_format_is_refused_whatever_else_it_holds(path: Path) -> None:
    rewrite_manifest(path, lambda _: {"format": 2, "unheard": "of"})
    refused(path, BundleFormatError, "made by a newer edgekit (format 2; this one reads 1): upgrade edgekit")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"format":1', b"9" * 5000])
def test_manifest_that_is_not_json_is_refused(path: Path, data: bytes) -> None:
    put(path, assemble(disassemble(path) | {"manifest.json": data}))
    with pytest.raises(BundleFormatError):
        open_bundle(path)


@pytest.mark.parametrize("data", [b"[]", b"null", b"1", b'"format"'])
def test_manifest_that_is_no_object_is_refused(path: Path, data: bytes) -> None:
    put(path, assemble(disassemble(path) | {"manifest.json": data}))
    refused(path, BundleFormatError, "expected an object")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format": 1'),
        (b'"format":1', b'"format":1,"format":1'),
        (b'"max_drop":0.01', b'"max_drop":1e-2'),
        (b'"max_drop":0.01', b'"max_drop":NaN'),
        (b'"max_drop":0.01', b'"max_drop":1e999'),
        (b"the only one", b"the \\u006fnly one"),
        (b"the only one", b"\\ud800"),
    ],
)
def test_manifest_that_is_not_canonical_is_refused(path: Path, old: bytes, new: bytes) -> None:
    files = disassemble(path)
    assert old in files["manifest.json"]
    put(path, assemble(files | {"manifest.json": files["manifest.json"].replace(old, new)}))
    with pytest.raises(BundleFormatError):
        open_bundle(path)


def places(value: Any, trail: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index in `value`, as the trail that leads to it."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*trail, step)
        yield from places(inner, (*trail, step))


def holder(document: Any, trail: tuple[Any, ...]) -> Any:
    for step in trail[:-1]:
        document = document[step]
    return document


REQUIRED = """format edgekit created_by recipe inputs outputs source golden targets files
recipe.name recipe.metric recipe.max_drop golden.samples
inputs.0.name inputs.0.dtype inputs.0.shape inputs.0.ranges
targets.0.target targets.0.payloads targets.0.candidates targets.0.target.name targets.0.target.isa
targets.0.payloads.0.name targets.0.payloads.0.backend targets.0.payloads.0.precision
targets.0.payloads.0.method targets.0.payloads.0.files targets.0.payloads.0.golden_outputs
targets.0.payloads.0.golden_tolerance targets.0.payloads.0.reason targets.0.payloads.0.accuracy
targets.0.payloads.0.drop targets.0.payloads.0.latency"""


@pytest.mark.parametrize("key", REQUIRED.split())
def test_missing_and_ill_typed_keys_are_named(path: Path, key: str) -> None:
    trail = tuple(int(step) if step.isdigit() else step for step in key.split("."))
    sound = path.read_bytes()
    shown = key.replace(".0", "[0]")

    rewrite_manifest(path, lambda document: holder(document, trail).pop(trail[-1]) and None)
    refused(path, BundleFormatError, f"{shown} is missing")
    put(path, sound)
    rewrite_manifest(path, lambda document: holder(document, trail).__setitem__(trail[-1], True))
    refused(path, BundleFormatError, f"manifest.json: {shown} is ")


def test_any_value_in_any_place_raises_nothing_but_bundle_errors(path: Path) -> None:
    document = json.loads(disassemble(path)["manifest.json"])
    files = disassemble(path)
    values: list[Any] = [None, True, -1, 0, 2, 10**400, 1e300, "", "x", "\0"]
    values += [[], [[]], [1, 2, 3], ["x"], {}, {"x": 1}]
    for trail in places(document):
        for value in values:
            changed = json.loads(json.dumps(document))
            holder(changed, trail)[trail[-1]] = value
            put(path, assemble(files | {"manifest.json": canonical(changed)}))
            try:
                opened = open_bundle(path)
                opened.golden_inputs(0)
            except BundleError:
                continue
            assert opened.read(MODEL) == contents()[MODEL]


@pytest.mark.parametrize(
    ("trail", "value", "says"),
    [
        (("golden", "samples"), 0, "golden.samples is 0; expected a whole number from 1"),
        (("golden", "samples"), 2, "golden_outputs has 1 samples; expected golden.samples, which is 2"),
        (("targets",), [], "targets is empty"),
        (("targets", 0, "payloads"), [], "targets[0].payloads is empty"),
        (("targets", 0, "payloads", 0, "files"), {}, "targets[0].payloads[0].files is empty"),
        (("targets", 0, "payloads", 0, "golden_tolerance"), {"z": 1.0}, "expected the outputs, ['y']"),
        (("targets", 0, "payloads", 0, "golden_tolerance", "y"), -1, "expected a finite number from 0"),
        (("targets", 0, "target", "arch"), "z80", "targets[0].target"),
        (("inputs", 0, "dtype"), "float8", "unknown dtype 'float8'"),
        (("inputs", 0, "ranges", "batch"), [2, 1], "range 2..1"),
        (("inputs", 0, "ranges", "batch"), [2], "inputs[0].ranges.batch"),
        (("files", MODEL, "sha256"), "A" * 64, "expected 64 lower-case hexadecimal digits"),
    ],
)
def test_senseless_values_are_named(path: Path, trail: tuple[Any, ...], value: Any, says: str) -> None:
    rewrite_manifest(path, lambda document: holder(document, trail).__setitem__(trail[-1], value))
    refused(path, BundleFormatError, says)


def test_twin_names_are_refused_before_anything_is_written(path: Path) -> None:
    twins = {
        "inputs": manifest().inputs * 2,
        "outputs": manifest().outputs * 2,
        "targets": manifest().targets * 2,
    }
    for key, value in twins.items():
        with nothing_left_behind(path), pytest.raises(BundleFormatError, match=f"{key} has '.*' twice"):
            write_bundle(path, manifest(**{key: value}), contents())
    twice = (TargetEntry(TARGET, (payload(), payload())),)
    with nothing_left_behind(path), pytest.raises(BundleFormatError, match="payloads has 'onnxruntime-f32' twice"):
        write_bundle(path, manifest(targets=twice), contents())


def test_unknown_keys_are_let_be(path: Path) -> None:
    rewrite_manifest(path, lambda document: document | {"remark": "from a later edgekit of the same format"})
    assert verify_bundle(path).manifest.recipe.name == "tiny"


@pytest.mark.parametrize("entry", [MODEL, GOLDEN, golden_input_entry(0, 0)])
def test_manifest_that_refers_to_nothing_is_refused(tmp_path: Path, path: Path, entry: str) -> None:
    files = disassemble(path)
    del files[entry]
    put(path, assemble(files))
    rewrite_manifest(path, lambda document: document["files"].pop(entry) and None)
    refused(path, BundleIntegrityError, f"{entry!r}, which the bundle does not hold")
    fewer = {name: data for name, data in contents().items() if name != entry}
    with pytest.raises(BundleIntegrityError, match="which the bundle does not hold"):
        write_bundle(tmp_path / "x", manifest(), fewer)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [float("nan"), np.zeros(2), {1, 2}, "\ud800", nested(100_000)], ids=type)
def test_values_that_json_cannot_carry_are_refused(tmp_path: Path, value: Any) -> None:
    entry = TargetEntry(TARGET, (payload(accuracy={"top1": value}),))
    with pytest.raises(BundleFormatError, match="convert the value"):
        write_bundle(tmp_path / "x", manifest(targets=(entry,)), contents())
    assert not list(tmp_path.iterdir())
