"""A bundle against its peers: what cannot be measured is said in the report, and never spoils the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import benchmark as module
from edgekit import contest
from edgekit.bench.arms import Arm
from edgekit.bench.measure import measure, run_outputs
from edgekit.bench.scenarios.figures import Plan, ScenarioResult
from edgekit.bench.statistics import Interval
from edgekit.benchmark import Contest, benchmark, benchmark_scenario
from edgekit.bundle import Bundle
from edgekit.errors import MeasurementError
from edgekit.recipes import Recipe, load_recipe
from tests.conftest import tiny_recipe

QUICK = {"sessions": 1, "rounds": 1}


def test_unknown_peer_is_refused(built: Bundle) -> None:
    with pytest.raises(MeasurementError, match=r"unknown peer 'tflite'; known: torch, .*litert=FILE.tflite"):
        benchmark(built.path, Contest(against=("tflite",)))


def test_litert_file_that_is_not_there_is_refused(built: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the LiteRT peer needs it")
    with pytest.raises(MeasurementError, match=r"no LiteRT model at .*gone\.tflite"):
        benchmark(built.path, Contest(against=(), litert=(tmp_path / "gone.tflite",)))


def test_notes_tell_what_was_not_measured_and_what_sizes_hold(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contest.PEERS, "onnxruntime", "no_such_package")
    report = benchmark(built.path, Contest(against=("torch", "onnxruntime")), **QUICK)
    assert [row.name for row in report.rows] == [report.base]
    assert "torch was not measured: a bundle has no torch model; name its recipe." in report.notes
    assert "onnxruntime was not measured: no_such_package is not installed." in report.notes
    assert any(note.startswith("No accuracy") for note in report.notes)
    assert any("includes its float fallback and golden samples" in note for note in report.notes)
    assert (contest.CACHE_NOTE in report.notes) == (report.rows[0].backend == "openvino")


def test_failing_peer_is_left_out_of_accuracy_and_named(built: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    good = next(p for p in built.manifest.targets[0].payloads if p.name == "onnxruntime-f32")
    (tmp_path / "good.onnx").write_bytes(built.read(good.files["model"]))
    graphs = {"float": tmp_path / "good.onnx", "ort": tmp_path / "bad.onnx"}
    report = benchmark(built.path, Contest(("onnxruntime",), recipe=tiny_recipe(), graphs=graphs), **QUICK)
    assert [row.name for row in report.rows] == [report.base, "onnxruntime f32"]
    assert all(row.accuracy is not None for row in report.rows)
    (note,) = (note for note in report.notes if note.startswith("onnxruntime int8 (ort) was not measured: "))
    assert "open failed" in note
    assert "\n" not in note


PROCESSING = """
import numpy as np
from edgekit.recipes import Recipe
from edgekit.tensors import TensorSpec

recipe = Recipe(
    "tiny", None, {"image": TensorSpec("float32", ("batch", 3, 8, 8), ranges={"batch": (1, 4)})}, ("scores",),
    calibration=lambda: [{"image": np.ones((1, 3, 8, 8), np.float32)}],
    raw=lambda: [np.full((3, 8, 8), n, np.uint8) for n in range(3)],
    preprocess=lambda pixels: {"image": pixels[None].astype(np.float32)},
    postprocess=lambda outputs: int(outputs["scores"].argmax()),
)
"""


def processing_contest(folder: Path) -> Contest:
    (folder / "whole.py").write_text(PROCESSING, encoding="utf-8")
    reference = str(folder / "whole.py")
    return Contest(("onnxruntime",), recipe=load_recipe(reference), reference=reference, processing="in")


def test_processing_is_timed_where_it_is_asked_for_and_the_report_says_so(built: Bundle, tmp_path: Path) -> None:
    report = benchmark(built.path, processing_contest(tmp_path), **QUICK)
    assert report.processing == "in"
    assert report.notes[0].startswith("Processing in: ")
    assert len(report.rows) >= 2
    plain = benchmark(built.path, Contest(()), **QUICK)
    assert plain.processing == "out"
    assert plain.notes[0].startswith("Processing out: ")


def test_processing_that_there_is_not_is_refused() -> None:
    with pytest.raises(MeasurementError, match="unknown processing 'on'"):
        Contest(processing="on")
    with pytest.raises(MeasurementError, match="name the recipe of the bundle, or leave processing out"):
        Contest(processing="in")
    with pytest.raises(MeasurementError, match="recipe 'tiny' has no processing to time; give it raw="):
        Contest(recipe=tiny_recipe(), processing="in")


def test_scenario_runs_the_bundle_and_its_peers_and_leaves_failing_ones_out(built: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    good = next(p for p in built.manifest.targets[0].payloads if p.name == "onnxruntime-f32")
    (tmp_path / "good.onnx").write_bytes(built.read(good.files["model"]))
    graphs = {"float": tmp_path / "good.onnx", "ort": tmp_path / "bad.onnx"}
    plan = Plan("multi-stream", sessions=1, rounds=1, streams=4)
    report = benchmark_scenario(built.path, Contest(("onnxruntime",), recipe=tiny_recipe(), graphs=graphs), plan)
    assert [result.name for result in report.results] == [report.base, "onnxruntime f32"]
    assert [result.how for result in report.results] == ["batch of 4"] * 2  # the recipe's range goes to 4
    assert any(note.startswith("onnxruntime int8 (ort) was not measured: ") for note in report.notes)
    assert not any("size includes" in note or "Floor" in note for note in report.notes)


def test_scenario_with_processing_takes_single_samples(built: Bundle, tmp_path: Path) -> None:
    plan = Plan("multi-stream", sessions=1, rounds=1, streams=2)
    report = benchmark_scenario(built.path, processing_contest(tmp_path), plan)
    assert report.processing == "in"
    assert {result.how for result in report.results} == {"2 calls in a row"}
    assert {result.why for result in report.results} == {"processing takes one sample at a time"}


@pytest.mark.parametrize("told", [False, True])
def test_offline_says_whose_energy_it_is_or_why_there_is_none(
    built: Bundle, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    figure = Interval(1.0, 0.5, 2.0) if told else None
    result = ScenarioResult(
        "a", "onnxruntime", "f32", 1, "x", "", {"samples_per_s": figure}, energy_uj_per_sample=figure
    )
    monkeypatch.setattr(module, "run_scenario", lambda *arguments, **options: (result,))
    monkeypatch.setattr(module, "unavailable_reason", lambda: "no RAPL on this machine")
    report = benchmark_scenario(built.path, Contest(()), Plan("offline"))
    expected = "Energy is that of the whole CPU package" if told else "Energy is unavailable: no RAPL on this machine."
    assert any(note.startswith(expected) for note in report.notes)


def test_peer_that_fails_while_it_is_timed_is_left_out(built: Bundle, tmp_path: Path) -> None:
    """Without a recipe nothing is scored, so timing is the first to open it."""
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    report = benchmark(built.path, Contest(("onnxruntime",), graphs={"float": tmp_path / "bad.onnx"}), **QUICK)
    assert [row.name for row in report.rows] == [report.base]
    assert any(
        note.startswith("onnxruntime f32 was not measured: arm 'onnxruntime f32': open") for note in report.notes
    )


def test_recipe_from_an_onnx_file_has_no_torch_peer(built: Bundle, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), model=tmp_path / "x.onnx", evaluation=None, metric=None)
    report = benchmark(built.path, Contest(("torch", "torch-aot"), recipe=recipe), **QUICK)
    for peer in ("torch", "torch-aot"):
        assert f"{peer} was not measured: the recipe is an ONNX file, without a torch model." in report.notes


def test_bundle_that_cannot_be_scored_is_an_error(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arm: Arm, *arguments: object, **options: object) -> None:
        raise MeasurementError("arm is broken", arm=arm.name)

    monkeypatch.setattr(module, "run_outputs", broken)
    with pytest.raises(MeasurementError, match="arm is broken"):
        benchmark(built.path, Contest((), recipe=tiny_recipe()), **QUICK)


def test_bundle_that_fails_is_an_error(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arms: list[Arm], *arguments: object, **options: object) -> None:
        raise MeasurementError("arm is broken", arm=arms[0].name)

    monkeypatch.setattr(module, "measure", broken)
    with pytest.raises(MeasurementError, match="arm is broken"):
        benchmark(built.path, Contest(()), **QUICK)


def test_time_limit_reaches_accuracy_and_latency(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[object] = []

    def run(*arguments: object, **options: object) -> int:
        limits.append(options["timeout_s"])
        return run_outputs(*arguments, **options)  # type: ignore[arg-type]

    def time(*arguments: object, **options: object) -> object:
        limits.append(options["timeout_s"])
        return measure(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run_outputs", run)
    monkeypatch.setattr(module, "measure", time)
    benchmark(built.path, Contest((), recipe=tiny_recipe()), timeout_s=77.0, **QUICK)
    assert limits == [77.0, 77.0]


def test_torch_that_cannot_compile_ahead_of_time_is_left_out_and_its_threads_restored(
    built: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch, inductor = pytest.importorskip("torch"), pytest.importorskip("torch._inductor")

    def refuse(*arguments: object, **options: object) -> None:
        assert torch.get_num_threads() == built.manifest.targets[0].target.threads
        raise RuntimeError("no compiler")

    monkeypatch.setattr(inductor, "aoti_compile_and_package", refuse)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        report = benchmark(built.path, Contest(("torch-aot",), recipe=tiny_recipe()), **QUICK)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    expected = "torch-aot was not measured: AOTInductor cannot compile it: RuntimeError: no compiler"
    assert expected in report.notes


def test_outputs_that_the_recipe_does_not_declare_are_left_out_of_the_aot_arm(
    built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch, inductor = pytest.importorskip("torch"), pytest.importorskip("torch._inductor")

    plain = tiny_recipe().load_model().requires_grad_(False)

    class Chatty(torch.nn.Module):
        def forward(self, image):  # type: ignore[no-untyped-def]
            return {"debug": image, "scores": plain(image)}

    class Loader:
        loader = type("Runner", (), {"run": staticmethod(lambda arguments: [*Chatty()(*arguments).values()])})

    monkeypatch.setattr(inductor, "aoti_compile_and_package", lambda *a, **o: str(tmp_path / "aot.pt2"))
    monkeypatch.setattr(inductor, "aoti_load_package", lambda path: Loader)
    recipe = Recipe("chatty", Chatty, tiny_recipe().inputs, ("scores",), calibration=tiny_recipe().calibration)
    arm = contest._aot_arm(built, Contest(recipe=recipe), built.manifest.targets[0], tmp_path)
    assert [spec.name for spec in arm.outputs] == ["", "scores"]

    from edgekit.bench.peers import open_peer

    feeds = {"image": built.golden_inputs(0)["image"]}
    assert list(open_peer(arm, feeds).run(feeds)) == ["scores"]
