"""The command line: every command answers, results go to stdout and the rest to stderr, errors become exit codes."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from edgekit import benchmark, target
from edgekit.bundle import Bundle
from edgekit.cli import demo
from edgekit.cli.main import COMMANDS, cli
from edgekit.cli.output import _bars, emit, progress_bar
from edgekit.cli.run import _write
from edgekit.errors import MeasurementError

HEAVY = (
    "torch",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "openvino",
    "nncf",
    "sklearn",
    "matplotlib",
    "jinja2",
    "rich",
    "scipy",
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json FILE" in result.stdout


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom edgekit.cli.main import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert all(command in result.stdout for command in COMMANDS)


def test_help_of_a_command_loads_nothing_of_the_work() -> None:
    code = (
        "import sys\nfrom edgekit.cli.main import COMMANDS, cli\nfor command in COMMANDS:\n"
        "  try: cli([command, '--help'])\n  except SystemExit: pass\n"
        f"loaded = [m for m in sys.modules if m in {HEAVY!r} or m.startswith(('edgekit.bench', 'edgekit.build'))]\n"
        "print(loaded, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize("package", ["click", "rich"])
def test_missing_package_of_the_command_line_is_named(package: str) -> None:
    code = f"import sys\nsys.modules['{package}'] = None\nfrom edgekit.cli import main\nmain()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip() == f"Error: the command line needs {package}; run: pip install 'edgekit[cli]'"


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "part"), "No space left on device: 'part'; free"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "data.bin"),
            "No such file: 'data.bin'; check that it is there",
        ),
    ],
)
def test_what_the_system_refuses_is_an_error_without_traceback(
    monkeypatch: pytest.MonkeyPatch, refusal: OSError, message: str
) -> None:
    def refuse() -> list[str]:
        raise refusal

    monkeypatch.setattr(target, "target_names", refuse)
    result = run("targets")
    assert result.exit_code == 1
    assert message in result.stderr


def test_json_has_somewhere_to_go_before_the_work_begins(tmp_path: Path) -> None:
    for place in (tmp_path / "gone" / "x.json", tmp_path):
        result = run("build", "simple-cnn", "-o", tmp_path / "x.edgekit", "--json", place)
        assert result.exit_code == 2
        assert "create the folder first" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_before_the_table_is_shown(tmp_path: Path) -> None:
    def broken() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        emit({"a": 1}, str(tmp_path / "x.json"), broken)
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}


def test_progress_of_a_second_model_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        for _ in range(2):
            progress("latency", 0, 1)
            progress("latency", 1, 1)
    assert capsys.readouterr().err.count("latency ...") == 2


def test_bars_of_a_second_model_begin_anew() -> None:
    stream = io.StringIO()
    with _bars(Console(file=stream, force_terminal=True, width=100)) as progress:
        for _ in range(2):
            progress("latency", 0, 4)
            progress("latency", 4, 4)
    last = stream.getvalue().rpartition("\x1b[2K")[0][-600:] + stream.getvalue()[-600:]
    assert last.count("4/4") >= 2


def test_unknown_command_is_wrong_usage() -> None:
    assert run("biuld").exit_code == 2


def test_unknown_recipe_suggests_the_near_one() -> None:
    result = run("export", "simple-cn", "-o", "x.onnx")
    assert result.exit_code == 1
    assert "unknown recipe 'simple-cn'; did you mean 'simple-cnn'?" in result.stderr


def test_unknown_target_suggests_the_near_one(tmp_path: Path) -> None:
    result = run("build", "simple-cnn", "-t", "cpu-avx51", "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 1
    assert "unknown target 'cpu-avx51'; did you mean 'cpu-avx2'?" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_gpu_target_says_that_it_is_not_to_be_had(tmp_path: Path) -> None:
    result = run("build", "simple-cnn", "-t", "nvidia-t4", "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 1
    assert "needs tensorrt_rtx or tensorrt, which this release does not compile for" in result.stderr


def test_recipes_targets_and_doctor_as_json() -> None:
    recipes, targets, doctor = (
        json.loads(run(name, "--json", "-").stdout) for name in ("recipes", "targets", "doctor")
    )
    assert {"simple-cnn", "resnet8", "ds-cnn"} <= {row["name"] for row in recipes}
    assert {"cpu", "cpu-avx2", "cpu-avx512-vnni", "arm64-neon", "nvidia-t4"} <= {row["name"] for row in targets}
    assert "f32" in doctor["precisions"]
    assert all(len(row) == 4 for row in doctor["abilities"])


def test_json_goes_to_a_file_beside_the_table(tmp_path: Path) -> None:
    result = run("targets", "--json", tmp_path / "targets.json")
    assert "arm64-neon" in result.stdout
    assert json.loads((tmp_path / "targets.json").read_text())


def test_inspect_shows_brackets_and_reasons(built: Bundle) -> None:
    result = run("inspect", built.path)
    assert result.exit_code == 0
    assert "image: float32[batch=1..4, 3, 8, 8]" in result.stdout
    assert json.loads(run("inspect", built.path, "--json", "-").stdout)["recipe"]["name"] == "tiny"


def test_verify_passes_and_fails_with_exit_codes(built: Bundle, tmp_path: Path) -> None:
    assert run("verify", built.path).exit_code == 0
    data = bytearray(built.path.read_bytes())
    data[-100] ^= 4
    (tmp_path / "bad.edgekit").write_bytes(data)
    assert run("verify", tmp_path / "bad.edgekit").exit_code == 1


def test_run_writes_outputs(built: Bundle, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", built.golden_inputs(0)["image"])
    result = run("run", built.path, "-i", f"image={tmp_path / 'x.npy'}", "-o", tmp_path / "out.npz")
    assert result.exit_code == 0, result.stderr
    payload = built.manifest.targets[0].payloads[0]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["scores"], built.golden_outputs(payload, 0)["scores"])


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("image", 2, "expected NAME=FILE.npy"),
        ("image=missing.npy", 1, "missing.npy cannot be read as .npy"),
        (f"image={os.devnull}", 1, "cannot be read as .npy"),
    ],
)
def test_run_explains_bad_inputs(built: Bundle, tmp_path: Path, value: str, code: int, message: str) -> None:
    result = run("run", built.path, "-i", value, "-o", tmp_path / "out.npz")
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "out.npz").exists()


def test_outputs_may_have_any_name(tmp_path: Path) -> None:
    outputs = {"file": np.arange(3), "allow_pickle": np.float32([[1.5]]), "a/b": np.array(2)}
    _write(tmp_path / "out.npz", outputs)
    with np.load(tmp_path / "out.npz") as written:
        assert set(written.files) == set(outputs)
        for name, array in outputs.items():
            np.testing.assert_array_equal(written[name], array)
            assert written[name].dtype == array.dtype


def test_onnx_without_calibration_says_what_to_give(tmp_path: Path) -> None:
    result = run("build", "model.onnx", "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 1
    assert "give --calibration data.npz" in result.stderr


@pytest.mark.parametrize(
    "option",
    [("--range", "batch=1:2"), ("--metric", "top1"), ("--max-drop", "0"), ("--evaluation", "x.npz")],
)
def test_data_options_with_a_recipe_are_wrong_usage(tmp_path: Path, option: tuple[str, str]) -> None:
    result = run("build", "simple-cnn", *option, "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 2
    assert "a recipe brings its own" in result.stderr


def test_judging_without_evaluation_is_wrong_usage(tmp_path: Path) -> None:
    result = run("build", "m.onnx", "--calibration", "c.npz", "--max-drop", "0", "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 2
    assert "--metric and --max-drop say how --evaluation is judged" in result.stderr


def test_onnx_model_builds_with_calibration_and_evaluation(built: Bundle, tmp_path: Path) -> None:
    from tests.conftest import SAMPLES, tiny_recipe

    files = next(p for p in built.manifest.targets[0].payloads if p.name == "onnxruntime-f32").files
    (tmp_path / "tiny.onnx").write_bytes(built.read(files["model"]))
    labels = [label for _, label in tiny_recipe().evaluation()]  # type: ignore[misc]
    np.savez(tmp_path / "calibration.npz", image=SAMPLES[:32, 0])
    np.savez(tmp_path / "evaluation.npz", image=SAMPLES[:, 0], target=labels)
    result = run(
        "build", tmp_path / "tiny.onnx", "-o", tmp_path / "x.edgekit", "--calibration", tmp_path / "calibration.npz",
        "--evaluation", tmp_path / "evaluation.npz", "--range", "batch=1:4", "--only", "onnxruntime", "--sessions", "1",
        "--json", tmp_path / "x.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    rows = json.loads((tmp_path / "x.json").read_text())["targets"]["cpu"]
    compiled = [row["name"] for row in rows if row["compiled"]]
    assert {"onnxruntime-f32", "onnxruntime-int8-dynamic"} <= set(compiled)
    assert len([name for name in compiled if name.startswith("onnxruntime-int8-ort")]) == 1  # the best calibrator
    assert next(row for row in rows if row["name"] == "onnxruntime-f32")["accuracy"]["value"] == 1.0


def test_explain_lists_candidates_and_builds_nothing(tmp_path: Path) -> None:
    result = run("build", "simple-cnn", "--explain", "--only", "f32", "--json", "-")
    assert result.exit_code == 0, result.stderr
    listed = {each["name"]: each for each in json.loads(result.stdout)["cpu"]}
    assert listed["openvino-f32"]["excluded"] is None
    assert listed["openvino-int8-nncf"]["excluded"] == "not named by --only"
    assert listed["openvino-int8-weights"]["what"]


def test_build_without_an_output_is_wrong_usage() -> None:
    result = run("build", "simple-cnn")
    assert result.exit_code == 2
    assert "--explain lists candidates without it" in result.stderr


def test_bench_of_a_bundle_and_its_report(built: Bundle, tmp_path: Path) -> None:
    result = run(
        "bench",
        built.path,
        "--against",
        "onnxruntime",
        "--sessions",
        "2",
        "--rounds",
        "2",
        "--json",
        tmp_path / "r.json",
    )
    assert result.exit_code == 0, result.stderr
    names = [row["name"] for row in json.loads((tmp_path / "r.json").read_text())["rows"]]
    assert names[0].startswith("edgekit (")
    assert "onnxruntime f32" in names
    for page in ("r.md", "r.html"):
        assert run("report", tmp_path / "r.json", "-o", tmp_path / page).exit_code == 0
        assert "onnxruntime f32" in (tmp_path / page).read_text()


def test_bench_of_several_bundles_gives_one_file_that_report_reads(built: Bundle, tmp_path: Path) -> None:
    quick = ("--against", "onnxruntime", "--sessions", "1", "--rounds", "1", "--json", tmp_path / "r.json")
    result = run("bench", built.path, built.path, *quick)
    assert result.exit_code == 0, result.stderr
    assert run("report", tmp_path / "r.json", "-o", tmp_path / "r.md").exit_code == 0
    assert (tmp_path / "r.md").read_text().count("### tiny") == 2


def test_bench_passes_its_time_limit_on(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def stop(path: Path, contest: benchmark.Contest, *, timeout_s: float, **options: object) -> None:
        limits.append(timeout_s)
        raise MeasurementError("enough")

    monkeypatch.setattr(benchmark, "benchmark", stop)
    assert run("bench", built.path, "--timeout", "12.5").exit_code == 1
    assert limits == [12.5]


def test_demo_names_commands_that_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/edgekit", "demo"])
    bundle = Path("my demo/simple-cnn.edgekit")
    assert demo._next_steps(bundle) == [".venv/bin/edgekit inspect 'my demo/simple-cnn.edgekit'"]
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "own_model.py").touch()
    assert demo._next_steps(bundle)[1] == ".venv/bin/edgekit build examples/own_model.py -o own.edgekit"
    monkeypatch.setattr(sys, "argv", ["/lib/edgekit/__main__.py", "demo"])
    assert demo._next_steps(bundle)[0].startswith(f"{sys.executable} -m edgekit inspect")
    (tmp_path / "edgekit").write_text("#!/bin/sh\n")
    (tmp_path / "edgekit").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "edgekit"), "demo"])
    assert demo._next_steps(bundle)[0].startswith("edgekit inspect")


def test_demo_into_a_file_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("demo", "-o", tmp_path / "file" / "demo")
    assert result.exit_code == 1
    assert "a part of that path is a file" in result.stderr


def test_bench_refuses_an_unknown_peer(built: Bundle) -> None:
    result = run("bench", built.path, "--against", "tflite")
    assert result.exit_code == 1
    assert "unknown peer 'tflite'" in result.stderr


def test_report_refuses_what_is_not_a_result(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    result = run("report", tmp_path / "x.json", "-o", tmp_path / "x.html")
    assert result.exit_code == 1
    assert not (tmp_path / "x.html").exists()


@pytest.mark.slow
def test_torch_compiled_ahead_of_time_is_a_peer_too(tmp_path: Path) -> None:
    arguments = ("--against", "torch-aot", "--sessions", "1", "--rounds", "1", "--json", tmp_path / "r.json")
    result = run("bench", "simple-cnn", *arguments)
    assert result.exit_code == 0, result.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    assert rows["torch-aot f32"]["accuracy"]["value"] > 0.97
