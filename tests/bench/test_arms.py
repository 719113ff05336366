"""Arms: what a kind needs is asked for by name, and JSON brings back the same value."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bench.arms import Arm, arm_from_json, arm_to_json, size_bytes
from edgekit.errors import MeasurementError


def test_an_arm_survives_json(model_arm: Arm) -> None:
    for arm in (model_arm, replace(model_arm, batch=8), replace(model_arm, processing=True, recipe="r", slowdown=0.1)):
        assert arm_from_json(json.loads(json.dumps(arm_to_json(arm)))) == arm


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "onnxruntim"}, "did you mean 'onnxruntime'"),
        ({"kind": "bundle"}, r"needs files\['bundle'\]"),
        ({"kind": "torch"}, "needs recipe"),
        ({"kind": "model", "files": {"model": "/m"}}, "needs backend, inputs, outputs"),
        ({"kind": "openvino", "files": {"model": "m.onnx"}}, "relative path"),
        ({"kind": "openvino", "files": {"model": "/m.onnx"}, "threads": 0}, "threads = 0"),
        ({"kind": "openvino", "files": {"model": "/m.onnx"}, "batch": 0}, "batch = 0; expected at least 1"),
        ({"kind": "openvino", "files": {"model": "/m.onnx"}, "processing": True}, "needs recipe"),
        ({"kind": "torch", "recipe": "r", "processing": True, "batch": 2}, "and 1 where processing is timed"),
    ],
)
def test_an_arm_that_cannot_be_opened_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        Arm(**{"name": "a", "precision": "f32", **fields})


def test_json_with_a_foreign_field_is_refused(model_arm: Arm) -> None:
    with pytest.raises(MeasurementError, match="not an arm"):
        arm_from_json(arm_to_json(model_arm) | {"colour": "red"})


def test_size_counts_folders_and_names_missing_files(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a").write_bytes(b"12345")
    (tmp_path / "model").write_bytes(b"123")
    files = {"model": str(tmp_path / "model"), "data": str(tmp_path / "parts")}
    assert size_bytes(Arm("a", "openvino", "f32", files)) == 8
    assert size_bytes(Arm("t", "torch", "f32", recipe="simple-cnn")) is None
    with pytest.raises(MeasurementError, match="arm 'b': no file at"):
        size_bytes(Arm("b", "openvino", "f32", {"model": str(tmp_path / "gone")}))
