"""Sessions: what they accept and refuse, and how a bundle is opened on a machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.bundle import Bundle, Payload, golden_input_entry, npy_bytes, open_bundle, write_bundle
from edgekit.errors import BackendError, BundleError, TargetError, TensorError
from edgekit.target import load_target

X = np.random.default_rng(3).standard_normal((1, 3, 8, 8)).astype(np.float32)


def rewritten(bundle: Bundle, path: Path, *, targets: tuple = (), golden_shift: dict[str, float] | None = None) -> Path:
    """The bundle with other targets, or with golden outputs of the named payloads shifted."""
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    for entry in bundle.manifest.targets:
        for payload in entry.payloads:
            shift = (golden_shift or {}).get(payload.name, 0.0)
            for sample, names in enumerate(payload.golden_outputs):
                arrays = bundle.golden_outputs(payload, sample)
                contents.update({names[n]: npy_bytes(arrays[n] + np.float32(shift)) for n in names})
    manifest = replace(bundle.manifest, files={}, targets=targets or bundle.manifest.targets)
    write_bundle(path, manifest, contents)
    return path


def with_payloads(bundle: Bundle, *payloads: Payload) -> tuple:
    return (replace(bundle.manifest.targets[0], payloads=payloads),)


def renamed(payload: Payload, name: str, **changes: object) -> Payload:
    return replace(payload, name=name, **changes)  # type: ignore[arg-type]


def test_run_computes_what_the_golden_samples_say(built: Bundle) -> None:
    with edgekit.load(built.path) as session:
        payload = built.manifest.targets[0].payloads[0]
        for sample in range(built.manifest.golden_samples):
            got = session.run(built.golden_inputs(sample))
            expected = built.golden_outputs(payload, sample)
            assert set(got) == {"scores"}
            np.testing.assert_array_equal(got["scores"], expected["scores"])


def test_run_takes_every_batch_in_range_and_agrees_with_single_samples(built: Bundle) -> None:
    batch = np.random.default_rng(5).standard_normal((4, 3, 8, 8)).astype(np.float32)
    with edgekit.load(built.path) as session:
        whole = session.run({"image": batch})["scores"]
        single = np.concatenate([session.run({"image": batch[i : i + 1]})["scores"] for i in range(4)])
    np.testing.assert_allclose(whole, single, rtol=0, atol=1e-5 * np.abs(single).max())


def test_info_names_target_payload_backend_precision_and_bundle(built: Bundle) -> None:
    with edgekit.load(built.path) as session:
        payload = built.manifest.targets[0].payloads[0]
        assert session.info.target == "cpu"
        assert (session.info.payload, session.info.backend) == (payload.name, payload.backend)
        assert session.info.sha256 == built.sha256
        assert [spec.name for spec in session.inputs] == ["image"]
        assert [spec.name for spec in session.outputs] == ["scores"]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"picture": X}, "unknown input 'picture'; known: image"),
        ({}, "input 'image' is missing"),
        ({"image": X.astype(np.float64)}, "'image' is float64; expected float32"),
        ({"image": X[0]}, "expected 4 dimensions"),
        ({"image": X[:, :, :7]}, "size 7 where 8 was expected"),
        ({"image": np.repeat(X, 5, axis=0)}, "batch=5 is outside 1..4"),
        ({"image": [[1.0]]}, "is a list; expected a numpy array"),
    ],
)
def test_run_refuses_wrong_inputs_and_names_them(built: Bundle, feeds: dict, message: str) -> None:
    with edgekit.load(built.path) as session, pytest.raises(TensorError, match=message):
        session.run(feeds)


def test_run_takes_dlpack(built: Bundle) -> None:
    torch = pytest.importorskip("torch", reason="a torch tensor stands for anything with __dlpack__")
    with edgekit.load(built.path) as session:
        np.testing.assert_array_equal(
            session.run({"image": torch.from_numpy(X)})["scores"], session.run({"image": X})["scores"]
        )


def test_run_from_many_threads_gives_each_its_own_answer(built: Bundle) -> None:
    inputs = np.random.default_rng(9).standard_normal((200, 1, 3, 8, 8)).astype(np.float32)
    with edgekit.load(built.path) as session, ThreadPoolExecutor(8) as pool:
        expected = [session.run({"image": x})["scores"] for x in inputs]
        got = list(pool.map(lambda x: session.run({"image": x})["scores"], inputs))
    np.testing.assert_array_equal(got, expected)


def test_outputs_of_run_are_the_callers_own(built: Bundle) -> None:
    with edgekit.load(built.path) as session:
        first = session.run({"image": X})["scores"]
        kept = first.copy()
        session.run({"image": -X})
        np.testing.assert_array_equal(first, kept)


def test_bound_call_reads_and_writes_the_callers_arrays(built: Bundle) -> None:
    with edgekit.load(built.path) as session:
        x, y = X.copy(), np.zeros((1, 4), np.float32)
        call = session.bind({"image": x}, {"scores": y})
        for sign in (1, -1, 1):
            x[:] = sign * X
            call()
            np.testing.assert_array_equal(y, session.run({"image": sign * X})["scores"])


def test_bind_refuses_what_it_would_have_to_copy(built: Bundle) -> None:
    y = np.zeros((1, 4), np.float32)
    with edgekit.load(built.path) as session:
        read_only = y.copy()
        read_only.flags.writeable = False
        for inputs, outputs, name in (
            ({"image": np.asfortranarray(X)}, {"scores": y}, "image"),
            ({"image": X.tolist()}, {"scores": y}, "image"),
            ({"image": X}, {"scores": read_only}, "scores"),
        ):
            with pytest.raises(TensorError, match=f"'{name}' cannot be bound: .*C-contiguous and writable"):
                session.bind(inputs, outputs)
        with pytest.raises(TensorError, match="expected exactly \\['scores'\\]"):
            session.bind({"image": X}, {})
        with pytest.raises(TensorError, match="'scores' is float64"):
            session.bind({"image": X}, {"scores": y.astype(np.float64)})
        with pytest.raises(TensorError, match="batch=2, but another"):
            session.bind({"image": X}, {"scores": np.zeros((2, 4), np.float32)})


def test_closed_session_says_so_and_closes_twice(built: Bundle) -> None:
    session = edgekit.load(built.path)
    session.close()
    session.close()
    with pytest.raises(BackendError, match="closed; open the bundle again"):
        session.run({"image": X})


def test_golden_mismatch_falls_back_to_the_next_payload_and_says_so(built: Bundle, tmp_path: Path) -> None:
    good = built.manifest.targets[0].payloads[0]
    targets = with_payloads(built, renamed(good, "broken"), good)
    source = open_bundle(rewritten(built, tmp_path / "two.edgekit", targets=targets))
    # Give the first payload golden outputs of its own, and shift them.
    names = tuple({n: f"broken/{i}-{n}.npy" for n in sample} for i, sample in enumerate(good.golden_outputs))
    contents = {name: source.read(name) for name in source.manifest.files}
    for i, sample in enumerate(names):
        arrays = source.golden_outputs(good, i)
        contents.update({sample[n]: npy_bytes(arrays[n] + np.float32(1)) for n in sample})
    targets = with_payloads(built, renamed(good, "broken", golden_outputs=names), good)
    write_bundle(tmp_path / "broken.edgekit", replace(source.manifest, files={}, targets=targets), contents)
    with pytest.warns(RuntimeWarning, match="passed over broken: golden sample 0: output 'scores' is off by 1"):
        session = edgekit.load(tmp_path / "broken.edgekit")
    assert session.info.payload == good.name
    assert session.info.skipped[0].startswith("broken: golden sample 0")


def test_no_payload_that_computes_right_is_an_error(built: Bundle, tmp_path: Path) -> None:
    names = {payload.name: 1.0 for payload in built.manifest.targets[0].payloads}
    path = rewritten(built, tmp_path / "wrong.edgekit", golden_shift=names)
    with pytest.raises(BundleError, match="no payload of wrong.edgekit works on this machine") as caught:
        edgekit.load(path)
    assert "rebuild the bundle for this machine" in str(caught.value)


def test_backend_that_is_not_there_is_passed_over(built: Bundle, tmp_path: Path) -> None:
    good = built.manifest.targets[0].payloads[0]
    targets = with_payloads(built, renamed(good, "exotic", backend="exotic"), good)
    path = rewritten(built, tmp_path / "exotic.edgekit", targets=targets)
    with pytest.warns(RuntimeWarning, match="exotic: unknown backend 'exotic'"):
        assert edgekit.load(path).info.payload == good.name


def test_golden_samples_are_replayed_once_a_machine(
    built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.runtime import golden

    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "fresh"))
    replays: list[str] = []
    replay = golden.replay
    monkeypatch.setattr(golden, "replay", lambda b, p, r: (replays.append(p.name), replay(b, p, r))[1])
    edgekit.load(built.path).close()
    edgekit.load(built.path).close()
    assert len(replays) == 1
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "another machine"))
    edgekit.load(built.path).close()
    assert len(replays) == 2


def test_unwritable_cache_replays_each_time(built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.runtime import golden

    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    runner_calls: list[int] = []
    replay = golden.replay
    monkeypatch.setattr(golden, "replay", lambda b, p, r: (runner_calls.append(1), replay(b, p, r))[1])
    edgekit.load(built.path).close()
    edgekit.load(built.path).close()
    assert len(runner_calls) == 2


def test_unknown_target_and_device_are_refused(built: Bundle) -> None:
    with pytest.raises(TargetError, match="has no target 'cpu2'; did you mean 'cpu'"):
        edgekit.load(built.path, target="cpu2")
    with pytest.raises(TargetError, match="is for device 'cpu', not 'cuda'"):
        edgekit.load(built.path, "cuda")


def test_bundle_for_another_architecture_is_refused(built: Bundle, tmp_path: Path) -> None:
    foreign = replace(built.manifest.targets[0], target=load_target("arm64-neon"))
    path = rewritten(built, tmp_path / "arm.edgekit", targets=(foreign,))
    with pytest.raises(TargetError, match="arm64-neon is aarch64, this machine is"):
        edgekit.load(path)


def test_cpu_without_the_targets_instruction_sets_runs_the_plain_payload(
    built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = built.manifest.targets[0]
    plain = next(payload for payload in entry.payloads if payload.precision == "f32")
    fast = renamed(plain, "fast-int8", precision="int8")
    path = rewritten(built, tmp_path / "new.edgekit", targets=(replace(entry, payloads=(fast, plain)),))
    monkeypatch.setattr("edgekit.target.host_isa", lambda: ("sse4.2",))
    with pytest.warns(RuntimeWarning, match="cpu needs .*, which this CPU lacks: running its f32 payload"):
        assert edgekit.load(path).info.payload == plain.name


def test_payload_whose_runtime_fails_is_passed_over(
    built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.runtime import session as module

    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "fresh"))
    good = built.manifest.targets[0].payloads[0]
    path = rewritten(built, tmp_path / "x.edgekit", targets=with_payloads(built, renamed(good, "failing"), good))
    open_payload = module.open_payload

    class Failing:
        origin = "1"

        def run(self, feeds: dict) -> dict:
            raise BackendError("the runtime is out of order")

        def close(self) -> None: ...

    monkeypatch.setattr(
        module, "open_payload", lambda b, p, t: Failing() if p.name == "failing" else open_payload(b, p, t)
    )
    with pytest.warns(RuntimeWarning, match="passed over failing: the runtime is out of order"):
        assert edgekit.load(path).info.payload == good.name


def test_threads_below_one_are_refused(built: Bundle) -> None:
    with pytest.raises(BackendError, match="threads = 0; expected a whole number from 1"):
        edgekit.load(built.path, threads=0)


def test_most_specific_target_that_runs_here_is_chosen(built: Bundle, tmp_path: Path) -> None:
    from edgekit.runtime.session import choose_target

    entry = built.manifest.targets[0]
    plain = replace(entry, target=replace(entry.target, name="plain", isa=()))
    bundle = open_bundle(rewritten(built, tmp_path / "several.edgekit", targets=(plain, entry)))
    assert choose_target(bundle).target.name == "cpu"
    assert choose_target(bundle, name="plain").target.name == "plain"


def test_an_altered_payload_is_refused(built: Bundle, tmp_path: Path) -> None:
    data = bytearray(built.path.read_bytes())
    weights = built.read(built.manifest.targets[0].payloads[0].files["model"])
    data[bytes(data).index(weights) + len(weights) // 2] ^= 1
    (tmp_path / "flipped.edgekit").write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256|sha256"):
        edgekit.load(tmp_path / "flipped.edgekit")


def test_golden_inputs_are_real_samples(built: Bundle) -> None:
    from tests.conftest import SAMPLES

    assert golden_input_entry(0, 0) in built.manifest.files
    np.testing.assert_array_equal(built.golden_inputs(0)["image"], SAMPLES[0])
