"""Streams: what the state of each step is, that streams do not disturb each other, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import BackendError, TensorError
from edgekit.runtime import Session
from edgekit.runtime.runner import Runner
from edgekit.runtime.session import SessionInfo
from edgekit.runtime.stream import Carried, run_steps
from edgekit.tensors import Array, State, TensorSpec
from tests.streaming_models import INPUTS, OUTPUTS, STATE, by_definition, delays_onnx, delays_runner, frames

pytest.importorskip("onnx", reason="the test model is made with onnx")
pytest.importorskip("onnxruntime", reason="the test model runs on it")
INFO = SessionInfo("cpu", "onnxruntime-f32", "onnxruntime", "f32", (), "0" * 64)
STEPS = 40


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return delays_runner(delays_onnx(tmp_path_factory.mktemp("delays") / "delays.onnx"))


@pytest.fixture
def session(runner: Runner) -> Session:
    return Session(runner, inputs=INPUTS, outputs=OUTPUTS, info=INFO, state=STATE)


def step_by_step(stream: object, x: Array) -> Array:
    return np.stack([stream.run({"x": frame})["y"] for frame in x])  # type: ignore[attr-defined]


def test_state_is_what_its_output_was_so_many_steps_before(session: Session, runner: Runner) -> None:
    x = frames(STEPS)
    np.testing.assert_array_equal(step_by_step(session.state(), x), by_definition(runner, x))


def test_every_state_counts(runner: Runner) -> None:
    """Else the test above would not see one that is fed wrongly."""
    x, whole = frames(12), by_definition(runner, frames(12))
    for name, held in STATE.items():
        later = State(held.output, held.delay + 1 if isinstance(held.delay, int) else tuple(held.delays[::-1]))
        assert not np.array_equal(run_steps(Carried(runner.run, INPUTS, STATE | {name: later}), {"x": x})["y"], whole)


@pytest.mark.parametrize("sizes", [(STEPS,), (1,) * STEPS, (7, 1, 30, 2), (39, 1)])
def test_chunks_of_any_size_give_the_whole_bit_for_bit(session: Session, sizes: tuple[int, ...]) -> None:
    x, stream, begin = frames(STEPS), session.state(), 0
    expected = step_by_step(session.state(), x)
    found = []
    for size in sizes:
        found.append(stream.run_steps({"x": x[begin : begin + size]})["y"])
        begin += size
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_outputs_and_inputs_of_a_stream_leave_the_state_out(session: Session) -> None:
    stream = session.state()
    assert [spec.name for spec in stream.inputs] == ["x"]
    assert [spec.name for spec in stream.outputs] == ["y"]
    assert set(stream.run({"x": frames(1)[0]})) == set(stream.run_steps({"x": frames(3)})) == {"y"}


def test_interleaved_streams_do_not_disturb_each_other(session: Session) -> None:
    inputs = [frames(STEPS, seed) for seed in range(5)]
    alone = [step_by_step(session.state(), x) for x in inputs]
    pairs = [(session.state(), x) for x in inputs]
    together = [[stream.run({"x": x[step]})["y"] for stream, x in pairs] for step in range(STEPS)]
    np.testing.assert_array_equal(np.swapaxes(np.array(together), 0, 1), alone)


def test_a_reset_stream_is_a_new_one_and_others_go_on(session: Session) -> None:
    x = frames(STEPS)
    expected = step_by_step(session.state(), x)
    stream, other = session.state(), session.state()
    stream.run_steps({"x": frames(11, 3)})
    first = other.run_steps({"x": x[:9]})["y"]
    stream.reset()
    np.testing.assert_array_equal(step_by_step(stream, x), expected)
    np.testing.assert_array_equal(np.concatenate([first, step_by_step(other, x[9:])]), expected)


def test_run_without_state_is_a_step_of_the_sessions_own_stream(session: Session) -> None:
    x = frames(STEPS)
    expected = step_by_step(session.state(), x)
    for _ in range(2):
        np.testing.assert_array_equal(step_by_step(session, x), expected)
        session.reset()


def test_run_with_all_state_given_remembers_nothing(session: Session) -> None:
    x = frames(STEPS)
    expected = step_by_step(session.state(), x)
    given = {spec.name: np.full(spec.shape_at({}), 0.5, np.float32) for spec in INPUTS}
    before = [session.run({"x": frame})["y"] for frame in x[:5]]
    first, again = session.run(given), session.run(given)
    assert set(first) == {spec.name for spec in OUTPUTS}
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    after = [session.run({"x": frame})["y"] for frame in x[5:]]
    np.testing.assert_array_equal(np.stack(before + after), expected)


def test_threads_with_a_stream_each_get_what_one_alone_gets(session: Session) -> None:
    inputs = [frames(STEPS, seed) for seed in range(64)]
    alone = [step_by_step(session.state(), x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: step_by_step(session.state(), x), inputs))
    np.testing.assert_array_equal(together, alone)


def test_threads_that_share_a_stream_take_whole_steps_in_turn(session: Session) -> None:
    """With the same input everywhere the order does not show: the steps are those of one thread."""
    x = {"x": frames(1)[0]}
    expected = [session.state().run_steps({"x": np.repeat(x["x"][None], 200, axis=0)})["y"].ravel()]
    shared = session.state()
    with ThreadPoolExecutor(8) as pool:
        found = [answer["y"] for answer in pool.map(lambda _: shared.run(x), range(200))]
    np.testing.assert_array_equal(np.sort(np.ravel(found)), np.sort(np.ravel(expected)))


def test_arrays_that_the_caller_changes_afterwards_do_not_change_the_state(session: Session) -> None:
    x = frames(STEPS)
    expected = step_by_step(session.state(), x)
    stream, buffer = session.state(), np.empty((1, 2), np.float32)
    for frame, y in zip(x, expected, strict=True):
        buffer[:] = frame
        outputs = stream.run({"x": buffer})
        np.testing.assert_array_equal(outputs["y"], y)
        buffer.fill(np.nan)
        outputs["y"].fill(np.nan)


SHORT = {spec.name: np.zeros((*spec.shape_at({})[:-1], 3), np.float32) for spec in INPUTS[1:]}


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"near": np.zeros((1, 2), np.float32)}, "input 'older' is missing"),
        (SHORT, "tensor 'near': size 3 where 2 was expected"),
        (SHORT | {"near": np.zeros((1, 2))}, "'near' is float64; expected float32"),
        ({"hidden": np.zeros((1, 2), np.float32)}, "unknown input 'hidden'"),
    ],
)
def test_state_of_another_model_is_refused(session: Session, feeds: dict, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        session.run({"x": frames(1)[0]} | feeds)


def test_a_stream_takes_no_state_and_refuses_what_run_refuses(session: Session) -> None:
    stream, x = session.state(), frames(STEPS)
    expected = step_by_step(session.state(), x)
    first = stream.run_steps({"x": x[:5]})["y"]
    for feeds, message in (
        ({"x": x[0], "near": x[0]}, "unknown input 'near'; known: x"),
        ({"x": x[0].astype(np.float64)}, "'x' is float64"),
        ({}, "input 'x' is missing"),
    ):
        with pytest.raises(TensorError, match=message):
            stream.run(feeds)
    for feeds, message in (
        ({"x": x[0]}, "has shape \\(1, 2\\); expected 3 dimensions"),
        ({"x": x[:0]}, "\\(steps\\)=0 is outside 1"),
        ({"x": np.zeros((4, 1, 3), np.float32)}, "size 3 where 2 was expected"),
    ):
        with pytest.raises(TensorError, match=message):
            stream.run_steps(feeds)
    np.testing.assert_array_equal(np.concatenate([first, step_by_step(stream, x[5:])]), expected)


def test_a_step_that_fails_has_not_happened(runner: Runner) -> None:
    x, failing = frames(STEPS), []

    def run(feeds: dict[str, Array]) -> dict[str, Array]:
        outputs = runner.run(feeds)
        if failing:
            raise BackendError("out of order")
        return outputs

    carried, found = Carried(run, INPUTS, STATE), []
    for frame in x:
        failing.append(1)
        with pytest.raises(BackendError):
            carried.run({"x": frame})
        failing.clear()
        found.append(carried.run({"x": frame})["y"])
    np.testing.assert_array_equal(found, by_definition(runner, x))


def test_an_output_that_does_not_fit_its_state_is_refused(runner: Runner) -> None:
    def run(feeds: dict[str, Array]) -> dict[str, Array]:
        return runner.run(feeds) | {"new_past": np.zeros((1, 2), np.float32)}  # it would be broadcast

    with pytest.raises(TensorError, match=r"output 'new_past' is float32\[1, 2\]; expected past: float32\[3, 1, 2\]"):
        Carried(run, INPUTS, STATE).run({"x": frames(1)[0]})


def test_outputs_whose_shape_varies_are_not_stacked() -> None:
    class Growing:
        steps = 0

        def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
            self.steps += 1
            return {"y": np.zeros(min(self.steps, 2), np.float32)}

        def reset(self) -> None: ...

    with pytest.raises(TensorError, match=r"'y' is float32\[2\] at step 1 and was float32\[1\] before"):
        run_steps(Growing(), {"x": frames(3)})


def test_different_numbers_of_steps_are_refused(runner: Runner) -> None:
    inputs = (*INPUTS, TensorSpec("float32", (1,), name="gain"))
    stream = Session(runner, inputs=inputs, outputs=OUTPUTS, info=INFO, state=STATE).state()
    with pytest.raises(TensorError, match=r"\(steps\)=2, but another tensor has \(steps\)=3"):
        stream.run_steps({"x": frames(3), "gain": np.ones((2, 1), np.float32)})


class Counter:
    """Holds its state itself: y counts the steps."""

    def __init__(self) -> None:
        self.steps = 0

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        assert set(feeds) == {"x"}
        self.steps += 1
        return {"y": np.full((1, 2), self.steps, np.float32)}

    def reset(self) -> None:
        self.steps = 0


class Offering:
    """A runner that offers streams of its own, or None."""

    origin = "1"

    def __init__(self, runner: Runner, *, holds: bool) -> None:
        self.run, self.bind, self.close = runner.run, runner.bind, lambda: None
        self._holds = holds

    def stream(self) -> Counter | None:
        return Counter() if self._holds else None


def test_a_runner_that_holds_state_itself_does_so_for_each_stream(runner: Runner) -> None:
    session = Session(Offering(runner, holds=True), inputs=INPUTS, outputs=OUTPUTS, info=INFO, state=STATE)
    one, other, x = session.state(), session.state(), {"x": frames(1)[0]}
    assert [stream.run(x)["y"][0, 0] for stream in (one, one, other, session, one)] == [1, 2, 1, 1, 3]
    one.reset()
    assert one.run_steps({"x": frames(3)})["y"][:, 0, 0].tolist() == [1, 2, 3]
    assert other.run(x)["y"][0, 0] == 2
    with pytest.raises(TensorError, match="size 3 where 2"):
        one.run({"x": np.zeros((1, 3), np.float32)})


def test_a_runner_that_offers_none_has_its_state_carried(runner: Runner) -> None:
    session = Session(Offering(runner, holds=False), inputs=INPUTS, outputs=OUTPUTS, info=INFO, state=STATE)
    x = frames(STEPS)
    np.testing.assert_array_equal(session.state().run_steps({"x": x})["y"], by_definition(runner, x))


def test_streams_end_with_their_session(tmp_path: Path) -> None:
    runner = delays_runner(delays_onnx(tmp_path / "delays.onnx"))
    session = Session(runner, inputs=INPUTS, outputs=OUTPUTS, info=INFO, state=STATE)
    stream = session.state()
    session.close()
    for call in (
        session.state,
        session.reset,
        stream.reset,
        lambda: session.run({"x": frames(1)[0]}),
        lambda: stream.run({"x": frames(1)[0]}),
        lambda: stream.run_steps({"x": frames(2)}),
    ):
        with pytest.raises(BackendError, match="closed; open the bundle again"):
            call()


def test_a_model_without_state_has_no_streams(runner: Runner) -> None:
    session = Session(runner, inputs=INPUTS, outputs=OUTPUTS, info=INFO)
    for call in (session.state, session.reset):
        with pytest.raises(BackendError, match=r"the model has no state: .*declare it in the recipe"):
            call()
    with pytest.raises(TensorError, match="input 'near' is missing"):
        session.run({"x": frames(1)[0]})


def test_a_dropped_session_frees_its_model_at_once(tmp_path: Path) -> None:
    """Without waiting for the cycle collector: a model can be large."""
    import weakref

    runner = delays_runner(delays_onnx(tmp_path / "delays.onnx"))
    gone = weakref.ref(runner)
    session = Session(runner, inputs=INPUTS, outputs=OUTPUTS, info=INFO, state=STATE)
    session.run({"x": frames(1)[0]})
    del session, runner
    assert gone() is None
