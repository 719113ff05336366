"""The templates that users copy: they parse, their shell is sound, and run with a stand-in they keep the exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_yaml import parse

from edgekit.bench.gate.render import MARKER
from edgekit.bench.gate.verdict import EXIT_CODES

CI = Path(__file__).parents[2] / "ci"
ACTION, WORKFLOW, GITLAB = CI / "github/action.yml", CI / "github/example-workflow.yml", CI / "gitlab/edgekit-gate.yml"

STAND_IN = """\
#!/usr/bin/env bash
printf '%s\\0' "$@" > "$RECORD"
while [ $# -gt 0 ]; do
  case "$1" in
    --json) echo '{}' > "$2" ;;
    --junit) echo '<testsuites/>' > "$2" ;;
    --markdown) [ "$CODE" = 2 ] || echo "verdict $CODE" > "$2" ;;
  esac
  shift
done
exit "$CODE"
"""
NASTY = '$(touch pwned) `touch pwned` "; touch pwned #'


def read(path: Path) -> Any:
    return parse(path.read_text(encoding="utf-8"))


def action_steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in read(ACTION)["runs"]["steps"]}


def shell_blocks() -> Iterator[Any]:
    for name, step in action_steps().items():
        if "run" in step:
            yield pytest.param(step["run"], id=name)
    for number, script in enumerate(read(GITLAB)[".edgekit-gate"]["script"]):
        yield pytest.param(script, id=f"gitlab {number}")


class Sandbox:
    """A folder with a stand-in for edgekit that records its arguments, and files as a runner gives them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record, self.summary, self.output = (folder / name for name in ("record", "summary", "output"))
        stand_in = folder / "bin" / "edgekit"
        stand_in.parent.mkdir()
        stand_in.write_text(STAND_IN, encoding="utf-8")
        stand_in.chmod(0o755)

    def run(self, script: str, *shell: str, code: int, **environment: str) -> subprocess.CompletedProcess[str]:
        """The script as a runner executes it, with the stand-in ending with `code`."""
        path = self.folder / "script"
        path.write_text(script, encoding="utf-8")
        return subprocess.run(
            [*shell, str(path)],
            cwd=self.folder,
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "CODE": str(code),
                "RECORD": str(self.record),
                "RUNNER_TEMP": str(self.folder),
                "GITHUB_OUTPUT": str(self.output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def arguments(self) -> list[str]:
        return self.record.read_text(encoding="utf-8").split("\0")[:-1]

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    return Sandbox(tmp_path)


def run_action(sandbox: Sandbox, code: int, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The gate's step, with each input in the variable that the step gives it."""
    step = action_steps()["Gate"]
    defaults = {name: str(given.get("default", "")) for name, given in read(ACTION)["inputs"].items()}
    names = {
        variable: re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", source) for variable, source in step["env"].items()
    }
    values = {variable: defaults[match[1]] for variable, match in names.items() if match}
    assert values.keys() == step["env"].keys()
    return sandbox.run(
        step["run"], "bash", "--noprofile", "--norc", "-eo", "pipefail", code=code, **{**values, **inputs}
    )


@pytest.mark.parametrize("path", [ACTION, WORKFLOW, GITLAB], ids=lambda path: path.name)
def test_a_full_yaml_reader_reads_the_same(path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: our own reader alone has read the templates")
    assert read(path) == yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


@pytest.mark.parametrize(
    "text", ["a: [1]", "a: {b: 1}", "a: &x 1", "a: 1\na: 2", "a:\n\tb: 1", "a: b: c", "a: 1\n  b: 2", "a: 'x'", "words"]
)
def test_our_yaml_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        parse(text)


@pytest.mark.parametrize("script", shell_blocks())
def test_shell_blocks_are_sound_and_take_nothing_by_substitution(script: str, sandbox: Sandbox) -> None:
    result = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "${{" not in script
    assert "eval" not in script


def test_no_script_of_the_action_takes_an_expression_into_its_text() -> None:
    for step in action_steps().values():
        assert "${{" not in step.get("run", "") + step.get("with", {}).get("script", "")


@pytest.mark.parametrize("code", sorted(EXIT_CODES.values()))
def test_the_action_keeps_the_exit_code_and_writes_the_summary(sandbox: Sandbox, code: int) -> None:
    result = run_action(sandbox, code, HEAD="models/kws.py", BASE_REV="origin/main")
    assert result.returncode == code, result.stderr
    assert sandbox.summary.read_text(encoding="utf-8") == f"verdict {code}\n"
    assert sandbox.outputs["exit-code"] == str(code)
    folder = Path(sandbox.outputs["folder"])
    assert sorted(path.name for path in folder.iterdir()) == ["gate.json", "gate.md", "gate.xml"]
    results = [
        f"--{kind} {folder}/gate.{end}" for kind, end in (("json", "json"), ("markdown", "md"), ("junit", "xml"))
    ]
    assert sandbox.arguments == [
        *("gate", *" ".join(results).split(" ")),
        *("--profile", "pr", "--base-rev", "origin/main", "--", "models/kws.py"),
    ]


def test_the_action_says_so_where_the_gate_had_no_result(sandbox: Sandbox) -> None:
    result = run_action(sandbox, 2, HEAD="x")
    assert result.returncode == 2
    assert "ended with exit code 2 before it had a result" in sandbox.summary.read_text(encoding="utf-8")


def test_the_action_hands_every_input_on_as_it_is(sandbox: Sandbox) -> None:
    inputs = {"HEAD": f"--head {NASTY}", "BASE": NASTY, "PROFILE": "nightly", "ON_INCONCLUSIVE": NASTY}
    result = run_action(sandbox, 0, **inputs, ARGS=f"--seed\n7\n\n* {NASTY}")
    assert result.returncode == 0, result.stderr
    assert sandbox.arguments[7:] == [
        *("--profile", "nightly", "--on-inconclusive", NASTY),
        *("--seed", "7", f"* {NASTY}", "--", NASTY, f"--head {NASTY}"),
    ]
    assert not list(sandbox.folder.rglob("pwned"))


@pytest.mark.parametrize("code", sorted(EXIT_CODES.values()))
def test_the_gitlab_job_keeps_the_exit_code_and_its_results(sandbox: Sandbox, code: int) -> None:
    job = read(GITLAB)[".edgekit-gate"]
    (script,) = job["script"]
    given = {**job["variables"], "EDGEKIT_HEAD": NASTY, "EDGEKIT_BASE_REV": "abc", "EDGEKIT_ARGS": f"--seed\n7 {NASTY}"}
    result = sandbox.run(script, "sh", "-eu", code=code, **given)
    assert result.returncode == code, result.stderr
    assert sandbox.arguments[7:] == ["--profile", "pr", "--base-rev", "abc", "--seed", f"7 {NASTY}", "--", NASTY]
    assert (sandbox.folder / job["artifacts"]["reports"]["junit"]).is_file()
    assert not list(sandbox.folder.rglob("pwned"))


def test_the_gitlab_job_prefers_a_base_of_ones_own(sandbox: Sandbox) -> None:
    job = read(GITLAB)[".edgekit-gate"]
    given = {**job["variables"], "EDGEKIT_HEAD": "new.edgekit", "EDGEKIT_BASE": "old.edgekit"}
    assert sandbox.run(job["script"][0], "sh", "-eu", code=0, **given).returncode == 0
    assert sandbox.arguments[7:] == ["--profile", "pr", "--", "old.edgekit", "new.edgekit"]


def test_what_follows_the_gate_runs_when_it_fails_too() -> None:
    steps = action_steps()
    for name in ("Comment on the pull request", "Keep the results"):
        assert "!cancelled()" in steps[name]["if"]
    condition = steps["Comment on the pull request"]["if"]
    assert "github.event_name == 'pull_request'" in condition
    assert "head.repo.full_name == github.repository" in condition


def test_the_example_uses_inputs_that_there_are() -> None:
    workflow, inputs = read(WORKFLOW), read(ACTION)["inputs"]
    checkout, gate = workflow["jobs"]["gate"]["steps"]
    assert checkout["with"]["fetch-depth"] == "0"
    assert gate["with"].keys() <= inputs.keys()
    assert {name for name, given in inputs.items() if given.get("required") == "true"} <= gate["with"].keys()
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}


COMMENT_HARNESS = """\
const { script, comments, refuse } = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const calls = []
const call = (name) => async (options) => {
  if (refuse) throw Object.assign(new Error('refused'), { status: refuse })
  calls.push([name, options])
}
const github = {
  paginate: async () => comments,
  rest: { issues: { listComments: 0, createComment: call('create'), updateComment: call('update') } },
}
const context = { repo: { owner: 'o', repo: 'r' }, issue: { number: 3 } }
const core = { warning: (text) => calls.push(['warning', text]) }
const run = Object.getPrototypeOf(async () => {}).constructor
new run('github', 'context', 'core', 'require', script)(github, context, core, require)
  .then(() => console.log(JSON.stringify(calls)), (error) => { console.error(error); process.exit(1) })
"""


def comment(folder: Path, comments: list[dict[str, Any]], *, refuse: int = 0) -> list[Any]:
    """What the comment's script does where these comments are there already."""
    if shutil.which("node") is None:
        pytest.skip("there is no node to run the comment's script with")
    script = action_steps()["Comment on the pull request"]["with"]["script"]
    given = json.dumps({"script": script, "comments": comments, "refuse": refuse})
    result = subprocess.run(
        ["node", "-e", COMMENT_HARNESS],
        input=given,
        env={"FOLDER": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ChildProcessError(result.stderr)
    calls: list[Any] = json.loads(result.stdout)
    return calls


def test_the_first_comment_is_made_and_later_ones_replace_it(tmp_path: Path) -> None:
    (tmp_path / "gate.md").write_text(f"{MARKER}\n## PASS\n", encoding="utf-8")
    others = [
        {"id": 1, "body": "fine", "user": {"type": "Bot"}},
        {"id": 2, "body": f"{MARKER} quoted by a person", "user": {"type": "User"}},
        {"id": 3, "body": None, "user": None},
    ]
    ((name, options),) = comment(tmp_path, others)
    assert (name, options["issue_number"], options["body"]) == ("create", 3, f"{MARKER}\n## PASS\n")
    ((name, options),) = comment(tmp_path, [*others, {"id": 4, "body": f"{MARKER}\nold", "user": {"type": "Bot"}}])
    assert (name, options["comment_id"]) == ("update", 4)


def test_a_comment_is_never_longer_than_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "gate.md").write_text(f"{MARKER}\n" + "x" * 70_000, encoding="utf-8")
    ((_, options),) = comment(tmp_path, [])
    assert options["body"] == f"{MARKER}\nThe result is too long for a comment: see the summary of the job."


def test_without_permission_there_is_a_warning_and_other_errors_are_errors(tmp_path: Path) -> None:
    (tmp_path / "gate.md").write_text(MARKER, encoding="utf-8")
    ((name, text),) = comment(tmp_path, [], refuse=403)
    assert name == "warning"
    assert "pull-requests: write" in text
    with pytest.raises(ChildProcessError, match="refused"):
        comment(tmp_path, [], refuse=500)


def test_without_a_result_there_is_no_comment(tmp_path: Path) -> None:
    assert comment(tmp_path, []) == []
