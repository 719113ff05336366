"""Builds the kernel library's tests in each configuration and runs them; says what ran and what was skipped, and why.

    python kernels/tests/run_all.py build/kernel-tests

| build | what it is for |
|---|---|
| plain | every row that this CPU has; where it is an x86-64, emulated older ones; what the linker might mix up |
| asan | AddressSanitizer and UndefinedBehaviorSanitizer: conformance cases, altered plans |
| tsan | ThreadSanitizer: one plan in many threads |
| aarch64 | cross-compiled; emulated ARM CPUs |
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CROSS_COMPILER = "aarch64-linux-gnu-g++"
HINT = "ci/install-cross-tools.sh installs it"


@dataclass(frozen=True)
class Build:
    """A build folder below the output folder, and how it is configured."""

    name: str
    options: tuple[str, ...] = ()
    compiler: str | None = None

    def missing(self) -> str | None:
        """Why this machine cannot build it."""
        if self.compiler and not shutil.which(self.compiler):
            return f"no {self.compiler}: {HINT}"
        return None


@dataclass(frozen=True)
class Run:
    """One program of a build. emulator: its command with the CPU that it stands for."""

    build: Build
    program: str
    arguments: tuple[str, ...]
    emulator: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.build.name, self.program, *(self.emulator[-1:])])

    def missing(self) -> str | None:
        """Why this machine cannot run it."""
        reason = self.build.missing()
        if reason is None and self.emulator and not shutil.which(self.emulator[0]):
            return f"no {self.emulator[0]}: {HINT}"
        return reason


@dataclass(frozen=True)
class Outcome:
    """How a run or a build ended. output: what it printed; skipped: why it was not started."""

    what: str
    seconds: float = 0.0
    failed: bool = False
    output: str = ""
    skipped: str | None = None


STATIC = "-DCMAKE_EXE_LINKER_FLAGS=-static"  # an emulator then needs no libraries of the other machine
PLAIN = Build("plain", (STATIC,))
ASAN = Build("asan", ("-DEDGEKIT_SANITIZE=address,undefined",))
TSAN = Build("tsan", ("-DEDGEKIT_SANITIZE=thread",))
AARCH64 = Build(
    "aarch64",
    (STATIC, "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={CROSS_COMPILER}"),
    CROSS_COMPILER,
)
# The rows that must run on each emulated CPU, no more and no less.
X86_CPUS = {"Haswell": "scalar,avx2", "Nehalem": "scalar"}
ARM_CPUS = {"max": "scalar,neon", "cortex-a57": "scalar", "cortex-a76": "scalar,neon", "neoverse-n1": "scalar,neon"}


def runs(cases: Path, plans: Sequence[Path]) -> Iterator[Run]:
    """Everything there is to run, the longest first."""
    files = tuple(map(str, plans))
    half = len(files) // 2
    yield Run(ASAN, "fuzz", files[:half])
    yield Run(ASAN, "fuzz", files[half:])
    yield Run(ASAN, "replay", (str(cases),))
    yield Run(PLAIN, "replay", (str(cases),))
    yield Run(TSAN, "threads", files)
    for cpu, rows in X86_CPUS.items():
        yield Run(PLAIN, "replay", (str(cases), rows), ("qemu-x86_64-static", "-cpu", cpu))
    for cpu, rows in ARM_CPUS.items():
        yield Run(AARCH64, "replay", (str(cases), rows), ("qemu-aarch64-static", "-cpu", cpu))


def build(wanted: Build, out: Path) -> Outcome:
    """Configure and build one configuration, or say why not."""
    what = f"{wanted.name} build"
    if reason := wanted.missing():
        return Outcome(what, skipped=reason)
    folder = str(out / wanted.name)
    options = ("-DEDGEKIT_TESTS=ON", "-DCMAKE_BUILD_TYPE=None", *wanted.options)
    configured = _finished(what, [_cmake(), "-S", str(ROOT / "kernels"), "-B", folder, *options])
    if configured.failed:
        return configured
    return _finished(what, [_cmake(), "--build", folder, "--parallel", str(os.cpu_count() or 1)])


def run(wanted: Run, out: Path) -> Outcome:
    """Run one program, or say why not."""
    if reason := wanted.missing() or _other_machine(wanted):
        return Outcome(str(wanted), skipped=reason)
    program = out / wanted.build.name / "tests" / wanted.program
    return _finished(str(wanted), [*wanted.emulator, str(program), *wanted.arguments])


def _other_machine(wanted: Run) -> str | None:
    if wanted.build == PLAIN and wanted.emulator and platform.machine() not in ("x86_64", "AMD64"):
        return f"it emulates an x86-64, and the plain build is for {platform.machine()}"
    return None


def _cmake() -> str:
    beside = Path(sys.executable).with_name("cmake")  # of the same environment
    return str(beside) if beside.exists() else "cmake"


def _finished(what: str, command: Sequence[str]) -> Outcome:
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Outcome(what, time.monotonic() - start, failed=done.returncode != 0, output=done.stdout)


def weak_symbols(folder: Path) -> Outcome:
    """Objects of rows must define no function that the linker could take for another object's: that one would run on
    CPUs without the row's instructions. Nor must they run anything when the program starts."""
    found = []
    for path in sorted(folder.glob("CMakeFiles/edgekit_kernels.dir/*/*.o")):
        if not path.name.startswith(("avx", "neon")):
            continue
        done = subprocess.run(["nm", "-C", "--defined-only", str(path)], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            kind, name = line.split(maxsplit=2)[1:]
            if (kind in "WwVu" and not name.startswith("DW.ref.")) or name.startswith("_GLOBAL__sub_I_"):
                found.append(f"{path.parent.name}/{path.name}: {kind} {name}")
    return Outcome(f"{folder.name} symbols of rows", failed=bool(found), output="\n".join(found))


def write_inputs(out: Path) -> tuple[Path, list[Path]]:
    """The file of cases and the plans, written by the scripts that know them."""
    cases, plans = out / "cases.bin", out / "plans"
    shutil.rmtree(plans, ignore_errors=True)
    for script, target in (("dump_cases.py", cases), ("dump_plans.py", plans)):
        subprocess.run([sys.executable, str(ROOT / "tests" / "conformance" / script), str(target)], check=True)
    return cases, sorted(plans.glob("*.plan"))


def report(outcome: Outcome) -> None:
    """One line; all that it printed where it failed."""
    if outcome.skipped:
        print(f"SKIPPED {outcome.what}: {outcome.skipped}", flush=True)
        return
    lines = [line.split() for line in outcome.output.splitlines()]
    parts = [f"{outcome.seconds:.0f} s"]
    if passed := sum(line[:1] == ["ok"] for line in lines):
        parts.append(f"{passed} ok")
    if rows := sorted({line[2] for line in lines if line[:1] == ["skipped"]}):
        parts.append(f"rows that this CPU has not: {' '.join(rows)}")
    print(f"{'FAILED ' if outcome.failed else 'ok     '} {outcome.what}: {', '.join(parts)}", flush=True)
    if outcome.failed:
        print(outcome.output, flush=True)


def test_all(out: Path) -> bool:
    """Build and run everything; whether nothing failed."""
    out.mkdir(parents=True, exist_ok=True)
    cases, plans = write_inputs(out)
    outcomes = []

    def note(outcome: Outcome) -> None:
        report(outcome)
        outcomes.append(outcome)

    for configuration in (PLAIN, ASAN, TSAN, AARCH64):
        note(build(configuration, out))
        if not outcomes[-1].skipped and configuration != TSAN:
            note(weak_symbols(out / configuration.name))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcome in pool.map(lambda each: run(each, out), runs(cases, plans)):
            note(outcome)
    failed, skipped = (sum(bool(getattr(o, kind)) for o in outcomes) for kind in ("failed", "skipped"))
    print(f"kernel tests: {len(outcomes) - failed - skipped} ok, {failed} failed, {skipped} skipped")
    return not failed


if __name__ == "__main__":
    sys.exit(0 if test_all(Path(sys.argv[1])) else 1)
