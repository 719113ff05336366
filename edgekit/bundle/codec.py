"""The manifest's canonical JSON, and the checks that reading it back makes; each refusal names the key."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.bundle.archive import MANIFEST
from edgekit.bundle.manifest import (
    FORMAT,
    FileRecord,
    Manifest,
    Payload,
    RecipeRecord,
    TargetEntry,
    golden_input_entry,
)
from edgekit.errors import BundleFormatError, BundleIntegrityError, TargetError, TensorError
from edgekit.target import Target, target_from_json, target_to_json
from edgekit.tensors import (
    State,
    TensorSpec,
    check_state,
    spec_from_json,
    spec_to_json,
    state_from_json,
    state_to_json,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    """A JSON-ready form, as docs/bundle-format.md specifies it."""
    state = {"state": state_to_json(manifest.state)} if manifest.state else {}
    return {
        "format": FORMAT,
        "edgekit": manifest.edgekit,
        "created_by": dict(manifest.created_by),
        "recipe": vars(manifest.recipe),
        "inputs": [spec_to_json(spec) for spec in manifest.inputs],
        "outputs": [spec_to_json(spec) for spec in manifest.outputs],
        "source": dict(manifest.source),
        "golden": {"samples": manifest.golden_samples},
        "targets": [_target_entry_to_json(entry) for entry in manifest.targets],
        "files": {name: vars(record) for name, record in manifest.files.items()},
        **state,
    }


def _target_entry_to_json(entry: TargetEntry) -> dict[str, Any]:
    return {
        "target": target_to_json(entry.target),
        "payloads": [vars(payload) for payload in entry.payloads],
        "candidates": list(entry.candidates),
    }


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest's canonical bytes.

    Raises:
        BundleFormatError: a value that JSON cannot carry, such as NaN or an array.
    """
    return _canonical(manifest_to_json(manifest))


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in `data`, every key checked.

    Raises:
        BundleFormatError: not canonical JSON, a newer format, or a key that is missing or of the wrong kind.
        BundleIntegrityError: it refers to an entry that it does not list.
    """
    root = _Node(_parse(data), "")
    if (number := root["format"].whole(1)) > FORMAT:
        raise BundleFormatError(f"made by a newer edgekit (format {number}; this one reads {FORMAT}): upgrade edgekit")
    if data != _canonical(root.value):
        raise BundleFormatError(f"{MANIFEST} is not in canonical form (sorted keys, no spaces): build the bundle again")
    manifest = _manifest(root)
    _check_names(manifest)
    _check_state(manifest)
    _check_references(manifest)
    return manifest


def _canonical(value: Any) -> bytes:
    try:
        text = json.dumps(
            value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_dict
        )
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleFormatError(
            f"{MANIFEST}: {error}; it holds text, finite numbers, lists and objects: convert the value"
        ) from error


def _dict(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleFormatError(f"{MANIFEST} is not JSON ({error}): get the bundle again, or build it again") from error


@dataclass(frozen=True)
class _Node:
    """A value of the manifest and where it stands, so that each refusal names the key."""

    value: Any
    where: str

    def __getitem__(self, key: str) -> _Node:
        where = f"{self.where}.{key}" if self.where else key
        if key not in self.table():
            raise BundleFormatError(f"{MANIFEST}: {where} is missing: build the bundle again")
        return _Node(self.value[key], where)

    def refusal(self, expected: str) -> BundleFormatError:
        shown = repr(self.value) if isinstance(self.value, (str, int, float)) else type(self.value).__name__
        return BundleFormatError(f"{MANIFEST}: {self.where or 'the whole'} is {shown[:80]}; expected {expected}")

    def table(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.refusal("an object")
        return self.value

    def table_or_none(self) -> dict[str, Any] | None:
        return None if self.value is None else self.table()

    def fields(self) -> dict[str, _Node]:
        return {key: self[key] for key in self.table()}

    def rows(self) -> list[_Node]:
        if not isinstance(self.value, list):
            raise self.refusal("a list")
        return [_Node(item, f"{self.where}[{index}]") for index, item in enumerate(self.value)]

    def rows_from_one(self) -> list[_Node]:
        if not (rows := self.rows()):
            raise BundleFormatError(f"{MANIFEST}: {self.where} is empty; expected at least one")
        return rows

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.refusal("text")
        return self.value

    def texts(self) -> dict[str, str]:
        return {key: node.text() for key, node in self.fields().items()}

    def whole(self, low: int) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < low:
            raise self.refusal(f"a whole number from {low}")
        return self.value

    def number(self) -> float:
        if not isinstance(self.value, (int, float)) or isinstance(self.value, bool):
            raise self.refusal("a number")
        if not 0 <= self.value <= sys.float_info.max:
            raise self.refusal("a finite number from 0")
        return float(self.value)


def _manifest(root: _Node) -> Manifest:
    recipe = root["recipe"]
    metric = recipe["metric"]
    return Manifest(
        edgekit=root["edgekit"].text(),
        created_by=root["created_by"].texts(),
        recipe=RecipeRecord(
            recipe["name"].text(),
            None if metric.value is None else metric.text(),
            recipe["max_drop"].number(),
        ),
        inputs=tuple(_spec(node) for node in root["inputs"].rows_from_one()),
        outputs=tuple(_spec(node) for node in root["outputs"].rows_from_one()),
        source=root["source"].texts(),
        golden_samples=root["golden"]["samples"].whole(1),
        targets=tuple(_target_entry(node) for node in root["targets"].rows_from_one()),
        state=_state(root["state"]) if "state" in root.table() else {},
        files={name: _file_record(node) for name, node in root["files"].fields().items()},
    )


def _file_record(node: _Node) -> FileRecord:
    sha256 = node["sha256"]
    if not _SHA256.fullmatch(sha256.text()):
        raise sha256.refusal("64 lower-case hexadecimal digits")
    return FileRecord(sha256.text(), node["size_bytes"].whole(0))


def _spec(node: _Node) -> TensorSpec:
    node["name"].text(), node["dtype"].text()
    for dim in node["shape"].rows():
        if not isinstance(dim.value, str):
            dim.whole(1)
    for bounds in node["ranges"].fields().values():
        if len([bound.whole(1) for bound in bounds.rows()]) != 2:
            raise bounds.refusal("two numbers, the smallest and largest size")
    try:
        return spec_from_json(node.value)
    except TensorError as error:
        raise BundleFormatError(f"{MANIFEST}: {node.where}: {error}") from error


def _state(node: _Node) -> dict[str, State]:
    for held in node.fields().values():
        held["output"].text()
        delay = held["delay"]
        for each in delay.rows_from_one() if isinstance(delay.value, list) else [delay]:
            each.whole(1)
    try:
        return state_from_json(node.value)
    except TensorError as error:
        raise BundleFormatError(f"{MANIFEST}: {node.where}: {error}") from error


def _target_entry(node: _Node) -> TargetEntry:
    return TargetEntry(
        target=_target(node["target"]),
        payloads=tuple(_payload(row) for row in node["payloads"].rows_from_one()),
        candidates=tuple(row.table() for row in node["candidates"].rows()),
    )


def _target(node: _Node) -> Target:
    for key in ("name", "description", "device", "arch"):
        node[key].text()
    for key in ("isa", "precisions", "backends"):
        for word in node[key].rows():
            word.text()
    node["threads"].whole(1), node["memory_bytes"].whole(0)
    for key, item in node["peak"].fields().items():
        item.text() if key == "source" else item.number()
    try:
        return target_from_json(node.value)
    except TargetError as error:
        raise BundleFormatError(f"{MANIFEST}: {node.where}: {error}") from error


def _payload(node: _Node) -> Payload:
    return Payload(
        name=node["name"].text(),
        backend=node["backend"].text(),
        precision=node["precision"].text(),
        method=node["method"].text(),
        files=node["files"].texts(),
        golden_outputs=tuple(row.texts() for row in node["golden_outputs"].rows()),
        golden_tolerance={name: item.number() for name, item in node["golden_tolerance"].fields().items()},
        reason=node["reason"].text(),
        accuracy=node["accuracy"].table_or_none(),
        drop=node["drop"].table_or_none(),
        latency=node["latency"].table_or_none(),
    )


def _check_names(manifest: Manifest) -> None:
    _refuse_twins("inputs", [spec.name for spec in manifest.inputs])
    _refuse_twins("outputs", [spec.name for spec in manifest.outputs])
    _refuse_twins("targets", [entry.target.name for entry in manifest.targets])
    for index, entry in enumerate(manifest.targets):
        _refuse_twins(f"targets[{index}].payloads", [payload.name for payload in entry.payloads])


def _check_state(manifest: Manifest) -> None:
    try:
        check_state(manifest.state, manifest.inputs, outputs=manifest.outputs)
    except TensorError as error:
        raise BundleFormatError(f"{MANIFEST}: {error}") from error


def _refuse_twins(where: str, names: list[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise BundleFormatError(f"{MANIFEST}: {where} has {name!r} twice; names must differ")


def _check_references(manifest: Manifest) -> None:
    for where, payload in _payloads(manifest):
        _check_golden(where, payload, manifest)
    for where, entry in _references(manifest):
        if entry not in manifest.files:
            raise BundleIntegrityError(
                f"{MANIFEST}: {where} is {entry!r}, which the bundle does not hold: build it again"
            )


def _check_golden(where: str, payload: Payload, manifest: Manifest) -> None:
    if not payload.files:
        raise BundleFormatError(f"{MANIFEST}: {where}.files is empty; expected at least one")
    if len(payload.golden_outputs) != manifest.golden_samples:
        raise BundleFormatError(
            f"{MANIFEST}: {where}.golden_outputs has {len(payload.golden_outputs)} samples; "
            f"expected golden.samples, which is {manifest.golden_samples}"
        )
    names = {spec.name for spec in manifest.outputs}
    for part in (payload.golden_tolerance, *payload.golden_outputs):
        if set(part) != names:
            raise BundleFormatError(
                f"{MANIFEST}: {where} gives golden values for {sorted(part)}; expected the outputs, {sorted(names)}"
            )


def _payloads(manifest: Manifest) -> Iterator[tuple[str, Payload]]:
    for i, entry in enumerate(manifest.targets):
        for j, payload in enumerate(entry.payloads):
            yield f"targets[{i}].payloads[{j}]", payload


def _references(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every entry that the manifest refers to, with the place that does."""
    for sample in range(manifest.golden_samples):
        for index in range(len(manifest.inputs)):
            yield f"input {index} of golden sample {sample}", golden_input_entry(sample, index)
    for where, payload in _payloads(manifest):
        for role, entry in payload.files.items():
            yield f"{where}.files.{role}", entry
        for sample, outputs in enumerate(payload.golden_outputs):
            for name, entry in outputs.items():
                yield f"{where}.golden_outputs[{sample}].{name}", entry
