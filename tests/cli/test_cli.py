"""The command line: every command answers, results go to stdout and the rest to stderr, errors become exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgekit.bundle import Bundle
from edgekit.cli.main import COMMANDS, cli

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
    ],
)
def test_run_explains_bad_inputs(built: Bundle, tmp_path: Path, value: str, code: int, message: str) -> None:
    result = run("run", built.path, "-i", value, "-o", tmp_path / "out.npz")
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "out.npz").exists()


def test_onnx_without_calibration_says_what_to_give(tmp_path: Path) -> None:
    result = run("build", "model.onnx", "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 1
    assert "give --calibration data.npz" in result.stderr


def test_data_options_with_a_recipe_are_wrong_usage(tmp_path: Path) -> None:
    result = run("build", "simple-cnn", "--range", "batch=1:2", "-o", tmp_path / "x.edgekit")
    assert result.exit_code == 2


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
    assert {row["name"] for row in rows} == {"onnxruntime-f32", "onnxruntime-int8-ort", "onnxruntime-int8-nncf"}
    assert next(row for row in rows if row["name"] == "onnxruntime-f32")["accuracy"]["value"] == 1.0


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
