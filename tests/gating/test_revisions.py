"""Revisions: the base is built from the tree of its own commit, and nothing of it stays behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.bench.gate.verdict import Outcome
from edgekit.errors import MeasurementError
from edgekit.gate import Making, Side, gate
from edgekit.gating.revisions import checked_out, made_at
from edgekit.progress import silent
from tests.gating.conftest import QUICK


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose first commit holds a small model, and whose working tree a larger one; it is the work folder."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    git("init", "--quiet", "--initial-branch", "main", cwd=folder)
    make_model("project/models/kws.onnx")
    git("add", ".", cwd=folder)
    git("commit", "--quiet", "-m", "first", cwd=folder)
    make_model("project/models/kws.onnx", doc="a larger file")
    monkeypatch.chdir(folder)
    return folder


def test_the_base_is_what_the_revision_holds(project: Path) -> None:
    report = gate(Side("models/kws.onnx", "main"), Side("models/kws.onnx"), QUICK)
    sizes = {verdict.metric: (verdict.base, verdict.head) for verdict in report.verdicts}
    base, head = sizes["size"]
    assert base is not None
    assert head == base + 15  # the text with its field's two bytes
    assert head is not None
    assert report.base == "main:models/kws.onnx"
    assert git("worktree", "list", cwd=project).count("\n") == 0


def test_a_build_command_runs_in_each_tree(project: Path) -> None:
    command = "mkdir -p out && cp models/kws.onnx out/kws.onnx"
    report = gate(Side("out", "main"), Side("out"), QUICK, making=Making(command))
    assert {verdict.model for verdict in report.verdicts} == {"kws"}
    assert report.outcome in (Outcome.PASS, Outcome.FAIL)


def test_a_subfolder_of_the_project_is_looked_for_in_the_revision_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "models")
    with checked_out("main", inside=Path.cwd()) as place:
        assert (place / "kws.onnx").is_file()
    assert not place.exists()


def test_what_git_does_not_have_is_an_error(project: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match=r"no revision 'gone' .*fetch-depth: 0"),
        checked_out("gone", inside=project),
    ):
        pass
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(MeasurementError, match="git rev-parse failed"), checked_out("main", inside=outside):
        pass


def test_a_build_that_fails_says_its_last_words(project: Path) -> None:
    with pytest.raises(MeasurementError, match=r"(?s)build command 'echo no; exit 7' failed in .* exit code 7:\nno"):
        made_at(project, "models", output=project / "x", command="echo no; exit 7", progress=silent)
    with pytest.raises(MeasurementError, match=r"(?s)building 'gone.py' failed in .*gone.py"):
        made_at(project, "gone.py", output=project / "x.edgekit", progress=silent)


def test_a_recipe_is_built_by_the_code_of_its_own_tree(project: Path) -> None:
    """The recipe imports a module beside it: the one of the tree that is built, not of the working folder."""
    (project / "recipe.py").write_text("import version\nraise SystemExit(f'version {version.NUMBER}')\n")
    (project / "version.py").write_text("NUMBER = 1\n")
    git("add", ".", cwd=project)
    git("commit", "--quiet", "-m", "second", cwd=project)
    (project / "version.py").write_text("NUMBER = 2\n")
    with checked_out("main", inside=project) as tree:
        for root, number in ((tree, 1), (project, 2)):
            with pytest.raises(MeasurementError, match=f"version {number}"):
                made_at(root, "recipe.py", output=project / "x.edgekit", progress=silent)


@pytest.mark.parametrize(
    ("reference", "name"), [("recipes/kws.py", "kws"), ("kws.py:small", "kws-small"), ("a.b:c", "a.b-c"), ("x", "x")]
)
def test_a_recipes_bundle_is_called_by_its_file(reference: str, name: str) -> None:
    from edgekit.gate import _plain_name

    assert _plain_name(reference) == name
