"""The extension is used only where it was built for what is installed; elsewhere the plain graph runs, and says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.backends import compile_model
from edgekit.building.source import FloatModel, float_model
from edgekit.export import save_model
from edgekit.runtime import open_runner
from edgekit.runtime.openvino_extension import LIBRARY, RECORD, extension_folder, find_extension
from tests.conftest import tiny_recipe

VERSION = "2026.4.1-22982-e213a147257-releases/2026/4"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))


def put_library(folder: Path, *, record: Any, library: bytes | None = b"\x7fELF") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text(record if isinstance(record, str) else json.dumps(record))
    if library is not None:
        (folder / LIBRARY).write_bytes(library)
    return folder / LIBRARY


def fitting(version: str = VERSION) -> dict[str, str]:
    return {"openvino": version, "edgekit": edgekit.__version__}


def test_library_of_the_installed_versions_is_found() -> None:
    library = put_library(extension_folder(VERSION), record=fitting())
    found = find_extension(VERSION)
    assert (found.library, found.reason) == (library, "")


def test_where_nothing_is_built_it_says_what_to_run() -> None:
    found = find_extension(VERSION)
    assert found.library is None
    assert found.reason == "edgekit's extension is not built; run: make openvino-extension"


def test_library_for_another_openvino_is_named_and_not_used() -> None:
    put_library(extension_folder("2025.1.0-1-abc"), record=fitting("2025.1.0-1-abc"))
    found = find_extension(VERSION)
    assert found.library is None
    assert "was built for openvino 2025.1.0-1-abc, and 2026.4.1" in found.reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"openvino": VERSION, "edgekit": "0.0.1"}, "was built for edgekit 0.0.1"),
        ({"openvino": VERSION[:-1] + "5", "edgekit": edgekit.__version__}, "was built for openvino"),
        ({"edgekit": edgekit.__version__}, "was built for openvino None"),
        ([], "was built for openvino None"),
        ("{", "unreadable"),
    ],
)
def test_record_that_does_not_fit_exactly_is_refused_with_the_reason(record: Any, reason: str) -> None:
    put_library(extension_folder(VERSION), record=record)
    found = find_extension(VERSION)
    assert found.library is None
    assert reason in found.reason


def test_record_without_its_library_is_refused() -> None:
    put_library(extension_folder(VERSION), record=fitting(), library=None)
    assert "is not in" in find_extension(VERSION).reason


@pytest.fixture(scope="module")
def source() -> FloatModel:
    return float_model(tiny_recipe())


@pytest.fixture(scope="module")
def files(source: FloatModel, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A payload whose fused graph is the plain one: `origin` tells which of them runs."""
    folder = tmp_path_factory.mktemp("compiled")
    save_model(source.model, folder / "float.onnx")
    plain = compile_model("openvino", folder / "float.onnx", folder)
    return {**plain, "fused": plain["model"], "fused_weights": plain["weights"]}


def opened(files: Mapping[str, Path], source: FloatModel) -> Any:
    return open_runner("openvino", files, inputs=source.inputs, outputs=source.outputs, precision="f32")


FEEDS = {"image": np.ones((1, 3, 8, 8), np.float32)}


def test_runner_without_extension_runs_the_plain_graph_and_says_why(files: Mapping, source: FloatModel) -> None:
    runner = opened(files, source)
    assert "plain graph, since edgekit's extension is not built" in runner.origin
    plain = opened({role: files[role] for role in ("model", "weights")}, source)
    assert "graph" not in plain.origin
    np.testing.assert_array_equal(runner.run(FEEDS)["scores"], plain.run(FEEDS)["scores"])


def test_runner_passes_over_a_library_that_openvino_cannot_load(files: Mapping, source: FloatModel) -> None:
    import openvino

    put_library(extension_folder(openvino.__version__), record=fitting(openvino.__version__), library=b"no library")
    runner = opened(files, source)
    assert "plain graph, since edgekit's extension failed" in runner.origin
    assert runner.run(FEEDS)["scores"].shape == (1, 4)


def test_fused_graph_that_is_broken_does_not_stop_the_plain_one(
    files: Mapping, source: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    put_library(extension_folder(openvino.__version__), record=fitting(openvino.__version__))
    monkeypatch.setattr(openvino.Core, "add_extension", lambda *_: None)
    (tmp_path / "broken.xml").write_text("<net>")
    runner = opened({**files, "fused": tmp_path / "broken.xml"}, source)
    assert "plain graph, since edgekit's extension failed" in runner.origin


def test_fused_graph_runs_where_the_extension_fits(
    files: Mapping, source: FloatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    put_library(extension_folder(openvino.__version__), record=fitting(openvino.__version__))
    loaded: list[str] = []
    monkeypatch.setattr(openvino.Core, "add_extension", lambda _, path: loaded.append(path))
    runner = opened(files, source)
    assert "fused graph" in runner.origin
    assert loaded == [str(extension_folder(openvino.__version__) / LIBRARY)]
