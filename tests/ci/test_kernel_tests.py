"""`make kernel-tests` skips aloud, and finds symbols that could bring a row's instructions to CPUs without them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "kernels" / "tests" / "run_all.py"
spec = importlib.util.spec_from_file_location("kernels_run_all", SCRIPT)
run_all = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = run_all
spec.loader.exec_module(run_all)


def test_what_cannot_be_built_is_skipped_with_a_reason(tmp_path: Path, capsys):
    build = run_all.Build("odd", compiler="no-such-compiler")
    run = run_all.Run(build, "replay", ())
    for outcome in (run_all.build(build, tmp_path), run_all.run(run, tmp_path)):
        run_all.report(outcome)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["SKIPPED odd build", "SKIPPED odd replay"]
    assert all("no no-such-compiler: ci/install-cross-tools.sh installs it" in line for line in printed)


def test_missing_emulator_is_skipped_with_a_reason(tmp_path: Path):
    run = run_all.Run(run_all.PLAIN, "replay", (), ("no-such-emulator", "-cpu", "Old"))
    outcome = run_all.run(run, tmp_path)
    assert outcome.what == "plain replay Old"
    assert "no no-such-emulator" in outcome.skipped


def test_failed_program_is_printed_in_full(tmp_path: Path, capsys):
    program = tmp_path / "plain" / "tests" / "replay"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho FAILED dense_u8\nexit 1\n")
    program.chmod(0o755)
    outcome = run_all.run(run_all.Run(run_all.PLAIN, "replay", ()), tmp_path)
    run_all.report(outcome)
    assert outcome.failed
    assert capsys.readouterr().out.splitlines()[:2] == ["FAILED  plain replay: 0 s", "FAILED dense_u8"]


@pytest.mark.skipif(not (shutil.which("g++") and shutil.which("nm")), reason="takes g++ and nm")
@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("inline int shared(int x) { return x + 1; } int (*row)(int) = shared;", "W shared"),
        ("static inline int own(int x) { return x + 1; } int (*row)(int) = own;", ""),
        ("int now(); static int early = now(); int row() { return early; }", "_GLOBAL__sub_I_"),
    ],
    ids=["shared", "static", "at start"],
)
def test_functions_that_others_could_be_given_are_found(tmp_path: Path, source: str, found: str):
    folder = tmp_path / "CMakeFiles" / "edgekit_kernels.dir" / "some_op"
    folder.mkdir(parents=True)
    (folder / "avx2.cpp").write_text(source)
    subprocess.run(["g++", "-c", "-O0", "avx2.cpp", "-o", "avx2.cpp.o"], cwd=folder, check=True)
    outcome = run_all.weak_symbols(tmp_path)
    assert outcome.failed == bool(found)
    assert found in outcome.output
