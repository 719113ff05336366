"""A streaming recipe the whole road long: built on single steps, judged step by step, run as streams, held to peers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import edgekit
from edgekit.bench.samples import read_samples
from edgekit.benchmark import Contest, benchmark
from edgekit.build import Settings, build
from edgekit.building.guide import make_guide
from edgekit.building.samples import lay_out_samples
from edgekit.bundle import Bundle
from edgekit.cli.main import cli
from edgekit.contest import extract
from edgekit.errors import TensorError
from edgekit.explaining.recipe import calibration_signal, judged_samples
from edgekit.gating.pairs import pair_up
from edgekit.gating.subjects import Subject
from edgekit.progress import silent
from edgekit.tensors import State
from edgekit.transforms.quantize import Calibration, Workpiece
from tests import streaming_models
from tests.streaming_models import CLIPS, clips, listener_recipe, stepped

pytest.importorskip("torch", reason="building takes torch")
INT8 = "onnxruntime-int8-ort-mse"
ROUNDING = 1e-5


def quick(*only: str) -> Settings:
    return Settings(only=only, sessions=1)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Bundle:
    output = tmp_path_factory.mktemp("listener") / "listener.edgekit"
    return build(listener_recipe(), output=output, settings=quick("f32", INT8), warn=lambda _: None)


def rows(bundle: Bundle) -> dict[str, Any]:
    return {row["name"]: row for row in bundle.manifest.targets[0].candidates if row["compiled"]}


def float_graph(bundle: Bundle, folder: Path) -> Path:
    payload = next(each for each in bundle.manifest.targets[0].payloads if each.name == "onnxruntime-f32")
    return extract(bundle, payload, folder / "float")


def test_float_variants_score_all_of_their_own_answers_over_all_steps(listener: Bundle) -> None:
    found = rows(listener)
    assert {"onnxruntime-f32", "openvino-f32", INT8} <= set(found)
    for name, row in found.items():
        assert row["accuracy"]["samples"] == CLIPS, name
        if name.endswith("f32"):
            assert abs(row["accuracy"]["value"]) < ROUNDING
    assert -0.1 < found[INT8]["accuracy"]["value"] < -10 * ROUNDING


def test_the_manifest_has_the_state_and_golden_samples_of_single_steps(listener: Bundle) -> None:
    assert listener.manifest.state == listener_recipe().state
    golden = listener.golden_inputs(1)
    assert {name: array.shape for name, array in golden.items()} == {
        "frame": (1, 4), "hidden": (1, 8), "past": (2, 1, 4)
    }  # fmt: skip
    assert np.any(golden["hidden"])


def test_a_stream_of_the_bundle_computes_what_torch_computes(listener: Bundle) -> None:
    with edgekit.load(listener.path) as session:
        stream = session.state()
        for clip in clips(4, seed=9):
            stream.reset()
            whole = stream.run_steps({"frame": clip})
            assert set(whole) == {"scores"}
            np.testing.assert_allclose(whole["scores"], stepped(clip)[1], rtol=0, atol=ROUNDING)
            session.reset()
            singly = [session.run({"frame": frame})["scores"] for frame in clip]
            np.testing.assert_array_equal(whole["scores"], np.stack(singly))


def test_scores_of_another_delay_are_not_taken_from_an_earlier_build(listener: Bundle, tmp_path: Path) -> None:
    """The graph, its data and its targets are the same."""
    recipe = listener_recipe()
    other = replace(recipe, state=recipe.state | {"past": State("new_past", (1, 2))})
    bundle = build(other, output=tmp_path / "x.edgekit", settings=quick("onnxruntime-f32"), warn=lambda _: None)
    assert rows(bundle)["onnxruntime-f32"]["accuracy"]["value"] < -100 * ROUNDING


def test_every_peer_is_timed_and_stepped_through_the_evaluation(listener: Bundle) -> None:
    reference = f"{streaming_models.__file__}:recipe"
    contest = Contest(("torch", "onnxruntime", "openvino"), recipe=listener_recipe(), reference=reference)
    report = benchmark(listener.path, contest, sessions=1, rounds=1, cold_sessions=1)
    names = [row.name for row in report.rows]
    assert {"torch f32", "onnxruntime f32", "openvino f32"} <= set(names)
    assert not [note for note in report.notes if "was not measured" in note]
    for row in report.rows:
        assert row.accuracy is not None, row.name
        assert row.accuracy.samples == CLIPS
        assert abs(row.accuracy.value) < (0.1 if row.precision != "f32" else ROUNDING), row.name


def test_the_gate_steps_through_bundles_and_onnx_files(listener: Bundle, tmp_path: Path) -> None:
    recipe = listener_recipe()
    sides = {"listener": Subject(listener.path, recipe)}, {"listener": Subject(float_graph(listener, tmp_path), recipe)}
    pairing = pair_up(*sides, folder=tmp_path / "gate", max_drop=None, timeout_s=60, progress=silent)
    assert pairing.verdicts == []
    (pair,) = pairing.pairs
    assert pair.scores is not None
    for scores in pair.scores:
        assert len(scores) == CLIPS
        assert np.abs(scores).max() < ROUNDING


def test_the_guide_of_the_search_steps_through_graphs(listener: Bundle, tmp_path: Path) -> None:
    recipe = listener_recipe()
    graph, samples = float_graph(listener, tmp_path), lay_out_samples(recipe, tmp_path / "samples")
    work = Workpiece(graph, Calibration(recipe), saturates=False)
    guide = make_guide(recipe, work, samples, folder=tmp_path / "guide", seed=0)
    lengths = [len(clip) for position, clip in enumerate(clips()) if position in guide.scored]
    assert len(lengths) == CLIPS // 4
    assert guide.steps == -(-sum(lengths) // len(lengths))
    assert guide.drop(graph) == 0.0
    stateless = guide_of_a_graph_without_memory(graph, tmp_path / "forgets.onnx")
    assert guide.drop(stateless) > 100 * ROUNDING
    assert guide.sqnr_db(graph) == np.inf


def guide_of_a_graph_without_memory(graph: Path, path: Path) -> Path:
    """The same graph whose new state is always zero."""
    import onnx

    model = onnx.load(graph)
    (zero,) = (onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero"),)
    model.graph.initializer.append(zero)
    for output in ("new_hidden", "new_past"):
        for node in model.graph.node:
            node.output[:] = [f"{name}_kept" if name == output else name for name in node.output]
            node.input[:] = [f"{name}_kept" if name == output else name for name in node.input]
        model.graph.node.append(onnx.helper.make_node("Mul", [f"{output}_kept", "zero"], [output]))
    onnx.save(model, path)
    return path


def test_timing_and_golden_samples_are_single_steps_and_evaluation_is_whole(tmp_path: Path) -> None:
    samples = lay_out_samples(listener_recipe(), tmp_path)
    for folder in (samples.timing, samples.golden):
        assert {array.shape for feeds in read_samples(folder) for array in feeds.values()} == {
            (1, 4), (1, 8), (2, 1, 4)
        }  # fmt: skip
    assert samples.evaluation is not None
    for feeds, clip in zip(read_samples(samples.evaluation), clips(), strict=True):
        np.testing.assert_array_equal(feeds["frame"], clip)


def test_explain_looks_at_calibration_samples(tmp_path: Path) -> None:
    recipe = listener_recipe()
    judged = judged_samples(recipe, calibration_signal(Calibration(recipe)), tmp_path)
    assert (judged.kind, judged.metric) == ("calibration", None)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"frame": np.zeros((3, 1, 4), np.float32), "hidden": np.zeros((3, 1, 8), np.float32)}, "unknown input 'hidd"),
        ({"frame": np.zeros((1, 4), np.float32)}, "expected 3 dimensions"),
        ({"frame": np.zeros((0, 1, 4), np.float32)}, r"\(steps\)=0 is outside"),
    ],
)
def test_evaluation_samples_that_are_not_steps_are_refused(feeds: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(TensorError, match=message):
        lay_out_samples(replace(listener_recipe(), evaluation=lambda: [(feeds, 0)]), tmp_path)


def test_state_of_another_shape_than_its_output_stops_the_build(tmp_path: Path) -> None:
    recipe = replace(listener_recipe(), state={"past": State("new_hidden")})
    with pytest.raises(TensorError, match=r"state past: .* comes from new_hidden: .*; expected the same"):
        build(recipe, output=tmp_path / "x.edgekit", settings=quick("f32"), warn=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_inspect_shows_the_state(listener: Bundle, tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli, ["inspect", str(listener.path), "--json", str(tmp_path / "x.json")])
    assert shown.exit_code == 0, shown.output
    assert "hidden: new_hidden of 1 step before" in shown.output
    assert "past: new_past of 1 to 3 steps before, by row" in shown.output
    assert json.loads((tmp_path / "x.json").read_text())["state"]["past"] == {"output": "new_past", "delay": [1, 3]}
