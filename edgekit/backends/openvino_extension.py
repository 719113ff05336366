"""Builds the OpenVINO extension library from the kernels' sources, for the OpenVINO release that is installed here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import edgekit
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.files import make_folder, replacing
from edgekit.runtime.openvino_extension import LIBRARY, RECORD, Extension, extension_folder, find_extension
from edgekit.runtime.telemetry import disable_telemetry

__all__ = ["build_extension", "find_extension", "why_not_buildable"]

KERNELS = Path(edgekit.__file__).parent.parent / "kernels"  # in a checkout or an unpacked sdist; a wheel has none
COMPILERS = ("c++", "g++", "clang++")
SOURCES = (".cpp", ".h", ".inc", ".txt")


def build_extension() -> Path:
    """The library for the installed OpenVINO; built if there is none of these sources yet, which takes a minute.

    Raises:
        MissingDependencyError: openvino is not installed.
        BackendError: no sources, cmake or compiler, or the build failed.
    """
    version, cmake_folder = _openvino()
    if reason := why_not_buildable():
        raise BackendError(f"edgekit's OpenVINO extension cannot be built: {reason}")
    built_for = {"openvino": version, "edgekit": edgekit.__version__, "sources_sha256": _sources_sha256()}
    found = find_extension(version)
    if found.library is None or _record(found) != built_for:
        _install(built_for, cmake_folder)
    return extension_folder(version) / LIBRARY


def why_not_buildable() -> str:
    """What a build lacks on this machine; empty if it has all."""
    if not (KERNELS / "openvino" / "CMakeLists.txt").is_file():
        return f"no kernel sources in {KERNELS}; it takes an editable install, or an unpacked sdist"
    if shutil.which("cmake") is None:
        return "cmake is not installed; run: pip install cmake"
    compilers = (os.environ["CXX"],) if os.environ.get("CXX") else COMPILERS
    if not any(map(shutil.which, compilers)):
        return f"no C++ compiler ({' or '.join(compilers)}); install one, for example g++"
    return ""


def _openvino() -> tuple[str, Path]:
    """The version, and where the wheel keeps what cmake needs."""
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", extra="openvino") from error
    return openvino.__version__, Path(openvino.__file__).parent / "cmake"


def _record(found: Extension) -> object:
    assert found.library is not None  # noqa: S101 - the caller has asked
    return json.loads(found.library.with_name(RECORD).read_text(encoding="utf-8"))


def _install(built_for: dict[str, str], cmake_folder: Path) -> None:
    """Build in a folder of its own; the record goes first and comes last, so that it never tells of another library."""
    target = extension_folder(built_for["openvino"])
    make_folder(target)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        library = _built(Path(folder), cmake_folder)
        (target / RECORD).unlink(missing_ok=True)
        with replacing(target / LIBRARY, error=BackendError) as draft:
            shutil.copyfile(library, draft)
        with replacing(target / RECORD, error=BackendError) as draft:
            draft.write_text(json.dumps(built_for, indent=2), encoding="utf-8")


def _built(folder: Path, cmake_folder: Path) -> Path:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = ["cmake", "-S", str(KERNELS / "openvino"), "-B", str(folder), *generator]
    _run([*configure, "-DCMAKE_BUILD_TYPE=Release", f"-DOpenVINO_DIR={cmake_folder}"])
    _run(["cmake", "--build", str(folder), "--parallel", str(os.cpu_count() or 1)])
    return folder / LIBRARY


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise BackendError(f"edgekit's OpenVINO extension could not be built; `{' '.join(command)}` said:\n{tail}")


def _sources_sha256() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(f"{path.relative_to(KERNELS).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    """What the library is made of, in a fixed order."""
    for path in sorted(KERNELS.rglob("*")):
        folder = path.relative_to(KERNELS).parts[0]
        if path.suffix in SOURCES and folder not in ("bindings", "tests"):
            yield path


if __name__ == "__main__":
    print(build_extension())
