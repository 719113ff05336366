"""The whole road: what ships is right and shown to be faster, what was tried is on record, failures are clean."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.build import Settings, build
from edgekit.bundle import Bundle
from edgekit.errors import (
    BundleError,
    CalibrationError,
    MeasurementError,
    ParityError,
    RecipeError,
    TensorError,
)
from edgekit.recipes import Budget
from edgekit.target import load_target
from tests.conftest import SAMPLES, tiny_recipe

FLOATS = ("f32",)


def test_every_variant_has_a_row_with_a_reason_and_exactly_one_ships(built: Bundle) -> None:
    [entry] = built.manifest.targets
    rows = {row["name"]: row for row in entry.candidates}
    expected = {f"openvino-{word}" for word in ("f32", "int8-nncf", "int8-lean-mse", "int8-joined-minmax")}
    assert expected | {f"onnxruntime-{word}" for word in ("f32", "int8-ort-percentile", "int8-weights")} <= set(rows)
    assert len(rows) == len(entry.candidates)
    assert [row["ships"] for row in rows.values()].count(True) == 1
    assert all(row["reason"] for row in rows.values())
    assert rows[entry.payloads[0].name]["ships"]


def test_what_ships_is_measured_and_its_facts_are_in_the_manifest(built: Bundle) -> None:
    payload = built.manifest.targets[0].payloads[0]
    assert payload.latency is not None
    assert payload.accuracy is not None
    assert payload.drop is not None
    assert payload.latency["p50_ns"]["low"] <= payload.latency["p50_ns"]["value"] <= payload.latency["p50_ns"]["high"]
    assert payload.accuracy["samples"] == len(SAMPLES)
    assert payload.drop["upper95"] <= built.manifest.recipe.max_drop


def test_a_compressed_variant_ships_only_if_its_whole_interval_is_faster(built: Bundle) -> None:
    [shipped] = [row for row in built.manifest.targets[0].candidates if row["ships"]]
    if shipped["name"].endswith("f32"):
        assert shipped["ratio"] is None
    else:
        assert shipped["ratio"]["high"] < 1


def test_float_reference_scores_all_of_its_own_labels(built: Bundle) -> None:
    rows = {row["name"]: row for row in built.manifest.targets[0].candidates}
    assert rows["onnxruntime-f32"]["accuracy"]["value"] == 1.0
    assert rows["onnxruntime-f32"]["drop"]["value"] == 0.0


def test_portable_fallback_is_in_the_bundle(built: Bundle) -> None:
    assert "onnxruntime-f32" in [payload.name for payload in built.manifest.targets[0].payloads]


def test_tools_and_sources_are_on_record(built: Bundle) -> None:
    assert {"torch", "onnxruntime", "openvino", "nncf", "numpy"} <= set(built.manifest.created_by)
    assert len(built.manifest.source["weights_sha256"]) == 64


def test_no_source_path_of_this_machine_is_in_the_bundle(built: Bundle) -> None:
    data = built.path.read_bytes()
    for secret in (str(Path(__file__).parent), str(Path.home() / ".cache"), str(built.path.parent)):
        assert secret.encode() not in data


def test_an_impossible_budget_ships_float(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), budget=Budget(max_drop=0.0))
    bundle = build(
        recipe, output=tmp_path / "x.edgekit", settings=Settings(only=("f32", "onnxruntime-int8-ort-mse"), sessions=1)
    )
    rows = {row["name"]: row for row in bundle.manifest.targets[0].candidates}
    assert "outside the budget of 0" in rows["onnxruntime-int8-ort-mse"]["reason"]
    assert bundle.manifest.targets[0].payloads[0].precision == "f32"


def test_without_evaluation_only_float_ships_and_the_report_says_why(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), evaluation=None, metric=None)
    bundle = build(recipe, output=tmp_path / "x.edgekit", settings=Settings(only=("onnxruntime",), sessions=1))
    rows = {row["name"]: row for row in bundle.manifest.targets[0].candidates}
    [int8] = [row for row in rows.values() if row["name"].startswith("onnxruntime-int8-ort") and row["compiled"]]
    assert int8["reason"] == "no evaluation data, so its accuracy cannot be shown"
    assert bundle.manifest.targets[0].payloads[0].name == "onnxruntime-f32"


def test_target_that_cannot_be_measured_here_ships_the_portable_float(tmp_path: Path) -> None:
    bundle = build(tiny_recipe(), (load_target("arm64-neon"),), output=tmp_path / "arm.edgekit")
    [entry] = bundle.manifest.targets
    assert [payload.name for payload in entry.payloads] == ["onnxruntime-f32"]
    assert entry.payloads[0].latency is None
    assert "cannot be measured here" in entry.payloads[0].reason


def test_several_targets_share_one_bundle(tmp_path: Path) -> None:
    targets = (load_target("cpu"), load_target("arm64-neon"))
    bundle = build(tiny_recipe(), targets, output=tmp_path / "two.edgekit", settings=Settings(only=FLOATS, sessions=1))
    assert [entry.target.name for entry in bundle.manifest.targets] == ["cpu", "arm64-neon"]
    assert edgekit.load(bundle.path).info.target == "cpu"


def test_same_seed_same_graph_same_payload_bytes(tmp_path: Path) -> None:
    payloads = []
    for name in ("a", "b"):
        bundle = build(tiny_recipe(), output=tmp_path / f"{name}.edgekit", settings=Settings(only=FLOATS, sessions=1))
        files = next(p for p in bundle.manifest.targets[0].payloads if p.name == "onnxruntime-f32").files
        payloads.append(bundle.read(files["model"]))
    assert payloads[0] == payloads[1]


def test_recipe_without_calibration_fails_before_any_work(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), calibration=None, model=lambda: pytest.fail("the model was built"))
    with pytest.raises(CalibrationError, match="no calibration data.*--only f32"):
        build(recipe, output=tmp_path / "x.edgekit")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (np.full((1, 3, 8, 8), np.nan, np.float32), "calibration sample 1: input 'image' holds 192 NaN or infinite"),
        (np.zeros((1, 3, 8, 7), np.float32), "calibration sample 1: tensor 'image': size 7 where 8 was expected"),
    ],
)
def test_bad_calibration_data_is_refused_with_sample_and_input(
    sample: np.ndarray, message: str, tmp_path: Path
) -> None:
    recipe = replace(tiny_recipe(), calibration=lambda: [{"image": SAMPLES[0]}, {"image": sample}])
    with pytest.raises(CalibrationError, match=message):
        build(recipe, output=tmp_path / "x.edgekit")
    assert list(tmp_path.iterdir()) == []


def test_bad_evaluation_sample_is_refused(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), evaluation=lambda: [({"image": SAMPLES[0].astype(np.float64)}, 0)])
    with pytest.raises(TensorError, match="'image' is float64"):
        build(recipe, output=tmp_path / "x.edgekit", settings=Settings(only=FLOATS))


def test_missing_output_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), model=lambda: pytest.fail("the model was built"))
    with pytest.raises(BundleError, match="does not exist; make it"):
        build(recipe, output=tmp_path / "nowhere" / "x.edgekit")


def test_parity_failure_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.building import source

    def broken(model: object) -> object:
        import onnx_ir as ir

        weight = next(v for v in model.graph.initializers.values() if v.name.endswith("5.bias"))  # type: ignore[attr-defined]
        weight.const_value = ir.tensor(weight.const_value.numpy() + np.float32(1), name=weight.name)
        return model

    monkeypatch.setattr(source, "simplify", broken)
    with pytest.raises(ParityError, match="first node that differs is .*Gemm"):
        build(tiny_recipe(), output=tmp_path / "x.edgekit", settings=Settings(only=FLOATS))
    assert list(tmp_path.iterdir()) == []


def test_progress_reaches_its_total_in_every_step(tmp_path: Path) -> None:
    last: dict[str, tuple[int, int]] = {}
    build(
        tiny_recipe(),
        output=tmp_path / "x.edgekit",
        settings=Settings(only=("onnxruntime-f32",), sessions=2),
        progress=lambda what, done, total: last.update({what: (done, total)}),
    )
    assert {"export and parity", "cpu: compile", "cpu: accuracy", "cpu: latency"} <= set(last)
    assert all(done == total for done, total in last.values())


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process group")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    recipe = tmp_path / "slow.py"
    recipe.write_text(
        textwrap.dedent("""
        from tests.conftest import tiny_recipe
        recipe = tiny_recipe()
        """)
    )
    output = tmp_path / "out"
    output.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    command = [
        sys.executable,
        "-m",
        "edgekit",
        "build",
        str(recipe),
        "-o",
        str(output / "x.edgekit"),
        "--sessions",
        "500",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True, text=True
    )
    assert process.stderr is not None
    seen = ""
    for line in iter(lambda: process.stderr.read(1), ""):  # type: ignore[union-attr]
        seen += line
        if "latency" in seen:
            break
    assert "latency" in seen, seen
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert list(output.iterdir()) == []
    assert [path.name for path in (tmp_path / "tmp").iterdir() if path.name.startswith("edgekit")] == []
    workers = subprocess.run(["ps", "-eo", "pgid,args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in workers.splitlines() if line.split()[0] == str(process.pid) and "bench.worker" in line]


def test_weights_beyond_protobuf_travel_beside_the_graph_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.export.EXTERNAL_DATA_LIMIT_BYTES", 100)
    bundle = build(
        tiny_recipe(), output=tmp_path / "large.edgekit", settings=Settings(sessions=1), workspace=tmp_path / "work"
    )
    rows = {row["name"]: row for row in bundle.manifest.targets[0].candidates}
    assert not [row["reason"] for row in rows.values() if row["reason"].startswith("failed")]
    payload = next(p for p in bundle.manifest.targets[0].payloads if p.name == "onnxruntime-f32")
    assert set(payload.files) == {"model", "float.onnx.data"}
    with edgekit.load(bundle.path) as session:
        np.testing.assert_array_equal(
            session.run(bundle.golden_inputs(1))["scores"], bundle.golden_outputs(payload, 1)["scores"]
        )


def test_target_that_this_cpu_surpasses_is_not_measured_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.target.host_isa", lambda: ("sse4.2", "avx2", "avx512", "avx512-vnni"))
    bundle = build(tiny_recipe(), (load_target("cpu-avx2"),), output=tmp_path / "x.edgekit")
    compiled = {row["name"] for row in bundle.manifest.targets[0].candidates if row["compiled"]}
    assert compiled == {"onnxruntime-f32", "openvino-f32"}
    assert bundle.manifest.targets[0].payloads[0].latency is None


def test_f32_variant_that_computes_something_else_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.building import trial

    outputs = trial.golden_outputs

    def wrong(bench: trial.Workbench, tried: trial.Trial) -> list:
        found = outputs(bench, tried)
        return [{n: a * 1.001 for n, a in s.items()} for s in found] if tried.variant.backend == "openvino" else found

    monkeypatch.setattr(trial, "golden_outputs", wrong)
    bundle = build(tiny_recipe(), output=tmp_path / "x.edgekit", settings=Settings(only=FLOATS, sessions=1))
    rows = {row["name"]: row for row in bundle.manifest.targets[0].candidates}
    assert rows["openvino-f32"]["reason"].startswith("failed: output 'scores' is off from onnxruntime-f32 by")
    assert bundle.manifest.targets[0].payloads[0].name == "onnxruntime-f32"


def test_variant_that_fails_while_it_is_timed_is_a_row_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.building import trial

    measure = trial.measure

    def failing(arms: list, *rest: object, **options: object) -> object:
        if any(arm.name == "openvino-f32" for arm in arms):
            error = MeasurementError("arm 'openvino-f32' hung")
            error.arm = "openvino-f32"
            raise error
        return measure(arms, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "measure", failing)
    bundle = build(tiny_recipe(), output=tmp_path / "x.edgekit", settings=Settings(only=FLOATS, sessions=1))
    rows = {row["name"]: row for row in bundle.manifest.targets[0].candidates}
    assert rows["openvino-f32"]["reason"] == "failed: arm 'openvino-f32' hung"


def test_golden_samples_come_in_two_sizes(built: Bundle) -> None:
    sizes = [len(built.golden_inputs(sample)["image"]) for sample in range(built.manifest.golden_samples)]
    assert sizes == [1, 1, 2]


def test_nan_in_real_inputs_is_refused_where_nothing_is_quantized_too(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), calibration=lambda: [{"image": np.full((1, 3, 8, 8), np.nan, np.float32)}])
    with pytest.raises(TensorError, match="'image' holds 192 NaN or infinite values of 192"):
        build(recipe, output=tmp_path / "x.edgekit", settings=Settings(only=FLOATS))


def test_used_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "float.onnx").write_text("another model")
    with pytest.raises(BundleError, match="is not empty"):
        build(tiny_recipe(), output=tmp_path / "x.edgekit", workspace=tmp_path / "work")


def test_unknown_metric_fails_before_any_work(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), metric="top2", model=lambda: pytest.fail("the model was built"))
    with pytest.raises(MeasurementError, match="unknown metric 'top2'; did you mean 'top1'"):
        build(recipe, output=tmp_path / "x.edgekit")


@pytest.mark.parametrize(
    ("part", "message"),
    [("model", "model\\(\\) raised RuntimeError: no"), ("calibration", "calibration\\(\\) raised RuntimeError: no")],
)
def test_what_the_recipes_own_code_raises_is_named(part: str, message: str, tmp_path: Path) -> None:
    def no() -> None:
        raise RuntimeError("no")

    with pytest.raises(RecipeError, match=message):
        build(replace(tiny_recipe(), **{part: no}), output=tmp_path / "x.edgekit", settings=Settings(only=("int8",)))  # type: ignore[arg-type]


def test_when_time_is_up_no_further_variant_is_begun(tmp_path: Path) -> None:
    settings = Settings(only=("f32", "nncf", "dynamic"), sessions=1, max_seconds=1e-6)
    bundle = build(tiny_recipe(), output=tmp_path / "x.edgekit", settings=settings)
    rows = {row["name"]: row for row in bundle.manifest.targets[0].candidates}
    assert rows["openvino-int8-nncf"]["reason"] == "not tried: the 1e-06 s of --max-seconds were over"
    assert rows["openvino-f32"]["compiled"]
    assert not rows["openvino-int8-nncf"]["compiled"]


def test_alternatives_come_along_for_tuning(tmp_path: Path) -> None:
    settings = Settings(only=FLOATS, sessions=6, alternatives=3)
    bundle = build(tiny_recipe(), output=tmp_path / "x.edgekit", settings=settings)
    payloads = bundle.manifest.targets[0].payloads
    assert {payload.name for payload in payloads} == {"openvino-f32", "onnxruntime-f32"}


def test_a_second_build_takes_graphs_and_scores_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    settings = Settings(only=("onnxruntime-int8-dynamic",), sessions=1)
    first = build(tiny_recipe(), output=tmp_path / "1.edgekit", settings=settings)

    def no(*arguments: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr("edgekit.building.graphs.quantize", no)
    monkeypatch.setattr("edgekit.building.trial._run_and_score", no)
    second = build(tiny_recipe(), output=tmp_path / "2.edgekit", settings=settings)
    accuracies = [{r["name"]: r["accuracy"] for r in b.manifest.targets[0].candidates} for b in (first, second)]
    assert accuracies[0] == accuracies[1]
    with pytest.raises(AssertionError):
        build(tiny_recipe(), output=tmp_path / "3.edgekit", settings=replace(settings, fresh=True))


def test_bad_calibration_data_warns_with_numbers(tmp_path: Path) -> None:
    heard: list[str] = []
    recipe = replace(tiny_recipe(), calibration=lambda: [{"image": 40 * image} for image in SAMPLES[:40]])
    build(
        recipe,
        output=tmp_path / "x.edgekit",
        settings=Settings(only=("onnxruntime-int8-dynamic",), sessions=1),
        warn=heard.append,
    )
    assert any("40" in message and "give at least 100" in message for message in heard)


def test_constant_calibration_data_is_refused(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), calibration=lambda: [{"image": np.zeros_like(SAMPLES[0])}] * 40)
    with pytest.raises(CalibrationError, match="constant|same|identical"):
        build(recipe, output=tmp_path / "x.edgekit", settings=Settings(only=("nncf",), sessions=1))
    assert not (tmp_path / "x.edgekit").exists()
