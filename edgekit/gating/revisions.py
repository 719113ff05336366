"""A revision of the project under test: checked out beside it, so that its model can be built there and compared."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import MeasurementError
from edgekit.gating.subjects import SUFFIXES
from edgekit.progress import Progress

LAST_LINES = 12


@contextmanager
def checked_out(revision: str, *, inside: Path) -> Iterator[Path]:
    """The folder that corresponds to `inside`, in a worktree of `revision` that is gone when the block ends.

    Raises:
        MeasurementError: `inside` is in no git checkout, or has no such revision.
    """
    top = Path(_git("rev-parse", "--show-toplevel", cwd=inside))
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", cwd=inside, what=revision)
    with tempfile.TemporaryDirectory(prefix="edgekit-revision-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--detach", "--quiet", str(tree), commit, cwd=top)
        try:
            yield tree / inside.resolve().relative_to(top.resolve())
        finally:
            _git("worktree", "remove", "--force", str(tree), cwd=top)


def made_at(
    root: Path,
    subject: str,
    *,
    output: Path,
    command: str | None = None,
    only: Sequence[str] = (),
    progress: Progress,
) -> str:
    """What `subject` is in the tree at `root`: the path of its file or folder there, or of the bundle of its recipe.

    command: a shell command that is run in `root` first, such as one that exports the model.

    A recipe is built by a process of its own that starts in `root`, so that the code that it imports is that tree's.

    Raises:
        MeasurementError: the command or the build failed.
    """
    if command:
        _run(["sh", "-c", command], root, f"the build command {command!r}", progress)
    path = root / subject
    if path.is_dir() or path.suffix in SUFFIXES:
        return str(path)
    words = [word for name in only for word in ("--only", name)]
    build = [sys.executable, "-m", "edgekit", "build", subject, "-o", str(output), *words]
    _run(build, root, f"building {subject!r}", progress)
    return str(output)


def _run(command: Sequence[str], root: Path, what: str, progress: Progress) -> None:
    step = f"{what} in {root}"
    progress(step, 0, 1)
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise MeasurementError(f"{what} failed in {root} with exit code {done.returncode}:\n{words}")
    progress(step, 1, 1)


def _git(*arguments: str, cwd: Path, what: str = "") -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise MeasurementError("git is not installed; install it, or build both sides and name their files") from error
    except subprocess.CalledProcessError as error:
        if what:
            raise MeasurementError(
                f"no revision {what!r} in {cwd}; fetch it first (a CI checkout often holds one commit: fetch-depth: 0)"
            ) from error
        raise MeasurementError(f"git {arguments[0]} failed in {cwd}: {error.stderr.strip()}") from error
    return done.stdout.strip()
