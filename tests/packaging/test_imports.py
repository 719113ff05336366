"""A device pays only for what it uses: what is imported, and what is never imported, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.bundle import Bundle

ROOT = Path(__file__).parents[2]


def modules_after(code: str) -> set[str]:
    """Top-level modules loaded by `code` beyond those of a bare interpreter with numpy."""
    script = (
        "import sys, json, numpy\nbefore = set(sys.modules)\n"
        f"{code}\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in set(sys.modules) - before})))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_what_edgekit_exports_loads_numpy_and_the_standard_library_alone() -> None:
    # _editable_... is the hook of an editable install, not part of edgekit.
    used = "import edgekit\nfor name in edgekit.__all__: getattr(edgekit, name)"
    found = {name for name in modules_after(used) if not name.startswith("_editable_")}
    assert found - set(sys.stdlib_module_names) <= {"edgekit", "numpy"}


NOT_ON_A_DEVICE = {"torch", "onnx", "onnx_ir", "onnxscript", "nncf", "click", "rich", "sklearn", "openvino_telemetry"}


def test_running_a_bundle_loads_its_one_backend_and_no_build_tools(built: Bundle) -> None:
    for payload in built.manifest.targets[0].payloads:
        found = modules_after(
            "import edgekit\n"
            "from edgekit.runtime.session import open_payload\n"
            f"bundle = edgekit.open_bundle({str(built.path)!r})\n"
            f"payload = next(p for p in bundle.manifest.targets[0].payloads if p.name == {payload.name!r})\n"
            "open_payload(bundle, payload, 1).run(bundle.golden_inputs(0))"
        )
        assert not found & NOT_ON_A_DEVICE
        assert found & {"onnxruntime", "openvino"} == {payload.backend} - {"native"}  # which needs neither


def test_every_module_imports_without_the_packages_of_the_build() -> None:
    """In an interpreter where importing them fails, every module still imports: heavy imports sit inside functions."""
    blocked = sorted(NOT_ON_A_DEVICE - {"click"} | {"onnxruntime", "openvino", "matplotlib", "jinja2", "pooch"})
    code = (
        "import sys, importlib, pkgutil\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "import edgekit\n"
        "names = [m.name for m in pkgutil.walk_packages(edgekit.__path__, 'edgekit.')]\n"
        "assert len(names) > 60, names\n"
        "for name in names:\n"
        "    if not name.endswith('__main__'): importlib.import_module(name)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "edgekit").rglob("*.py")), ids=lambda path: path.name)
def test_no_module_opens_with_anything_but_its_purpose(path: Path) -> None:
    first = path.read_text(encoding="utf-8").lstrip()
    assert first.startswith('"""'), f"{path} has no docstring"
