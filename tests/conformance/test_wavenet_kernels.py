"""What wavenet_* promise beyond single calls: streams, drawing, given delay lines, refused records, accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from case import Memories, run_case
from wavenet_nets import START, cases, net, with_constants

import edgekit._native as native
from edgekit.backends.native.pack_wavenet import OPS, pack_wavenet
from edgekit.backends.native.plan import NativePlan, PlanCall, PlanState, PlanTensor
from edgekit.backends.native.records import Ref, Space, pack_record
from edgekit.backends.native.write import plan_bytes
from edgekit.errors import BackendError
from edgekit.ops import wavenet
from edgekit.ops.wavenet import WavenetWeights
from edgekit.tensors import Array

KINDS = {op: kind for kind, op in OPS.items()}
ROWS = [(KINDS[op], row) for op, row, runs_here in native.kernel_rows() if op in KINDS and runs_here]
WEIGHTS = net(64, dilations=(1, 2, 4, 3), gain=1.5, seed=4)
every_row = pytest.mark.parametrize(("kind", "row"), ROWS)


@dataclass
class Stream:
    """A row of an op with its state, called as often as wanted."""

    weights: WavenetWeights
    kind: str
    row: str
    state: Array = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self):
        self.packed = pack_wavenet(self.weights, kind=self.kind)
        self.state = np.zeros(self.packed.state_bytes + 64, np.uint8)

    def __call__(self, steps: int, **tensors: Array) -> dict[str, Array]:
        """Logits, samples, and where past is given push, after so many steps."""
        memories, layers, channels = Memories(), len(self.weights.dilations), self.weights.embedding.shape[1]
        params = with_constants(self.packed, memories) | {"steps": steps, "given": len(tensors.get("codes", ()))}
        for space, (name, array) in enumerate(tensors.items(), Space.IO):
            params[name] = memories.put(array, space)
        shapes = {"logits": (steps, len(self.weights.logits)), "samples": (steps,), "push": (layers, 1, channels)}
        if steps > 1:
            del shapes["push"]
        for space, (name, shape) in enumerate(shapes.items(), Space.IO + len(tensors)):
            params[name] = memories.room(8 * int(np.prod(shape)), space)
        buffers = {**memories.buffers(), Space.STATE: self.state}
        native.run_kernel(self.packed.op, self.row, pack_record(self.packed.op, params), buffers, len(tensors))
        return {name: _read(buffers, params[name], shape, name) for name, shape in shapes.items()}


def _read(buffers: dict[int, Array], ref: Ref, shape: tuple[int, ...], name: str) -> Array:
    dtype = np.int64 if name == "samples" else np.float32
    return np.frombuffer(buffers[ref.space].tobytes(), dtype, int(np.prod(shape)), ref.offset).reshape(shape)


def drawn_from(temperature: float, seed: int) -> dict[str, Array]:
    return {"temperature": np.array([temperature], np.float32), "seed": np.array([seed], np.int64)}


@every_row
def test_single_steps_give_the_bits_of_one_call(kind: str, row: str):
    codes = np.random.default_rng(0).integers(0, 256, 40)
    whole, stream = Stream(WEIGHTS, kind, row)(40, codes=codes), Stream(WEIGHTS, kind, row)
    for step, code in enumerate(codes):
        single = stream(1, codes=np.array([code]))
        np.testing.assert_array_equal(single["logits"][0], whole["logits"][step])
        assert single["samples"][0] == whole["samples"][step]


@every_row
def test_generating_is_stepping_with_the_largest_logit(kind: str, row: str):
    generated, stream = Stream(WEIGHTS, kind, row)(60, codes=np.array([7])), Stream(WEIGHTS, kind, row)
    code = 7
    for drawn in generated["samples"]:
        code = int(stream(1, codes=np.array([code]))["logits"][0].argmax())
        assert code == drawn
    assert len(set(generated["samples"])) > 5


@every_row
def test_a_stream_goes_on_where_it_stopped(kind: str, row: str):
    how = drawn_from(1.0, 11)
    whole, stream = Stream(WEIGHTS, kind, row)(50, **how), Stream(WEIGHTS, kind, row)
    parts = [stream(steps, **how)["samples"] for steps in (1, 7, 30, 12)]
    np.testing.assert_array_equal(np.concatenate(parts), whole["samples"])


@every_row
def test_a_seed_gives_the_same_codes_again_and_another_seed_others(kind: str, row: str):
    one, again, other = (Stream(WEIGHTS, kind, row)(50, **drawn_from(1.0, seed))["samples"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@every_row
def test_a_given_past_gives_the_bits_of_the_rings(kind: str, row: str):
    codes = np.random.default_rng(1).integers(0, 256, 12)
    rings, given = Stream(WEIGHTS, kind, row), Stream(WEIGHTS, kind, row)
    lines = [[np.zeros((1, 64), np.float32)] * dilation for dilation in WEIGHTS.dilations]
    for code in codes:
        past = np.stack([line.pop(0) for line in lines])
        found, wanted = given(1, codes=np.array([code]), past=past), rings(1, codes=np.array([code]))
        np.testing.assert_array_equal(found["logits"], wanted["logits"])
        np.testing.assert_array_equal(found["push"], wanted["push"])
        for line, entered in zip(lines, found["push"], strict=True):
            line.append(entered)
    assert not given.state[64:-64].any(), "delay lines were written though the past was given"


@every_row
def test_a_plan_keeps_the_delay_lines_where_past_and_push_are_left_unbound(kind: str, row: str):
    codes = np.random.default_rng(2).integers(0, 256, 12)
    wanted = Stream(WEIGHTS, kind, row)(12, codes=codes)["logits"]
    run = native.Run(native.Plan.parse(np.frombuffer(step_plan(WEIGHTS, kind), np.uint8), row))
    code, logits = np.zeros(1, np.int64), np.zeros((1, 256), np.float32)
    run.bind_input(0, code)
    run.bind_output(0, logits)
    run.bind_state()
    for _ in range(2):
        for step in range(12):
            code[0] = codes[step]
            run()
            np.testing.assert_array_equal(logits[0], wanted[step])
        run.reset()


def step_plan(weights: WavenetWeights, kind: str) -> bytes:
    """One step with past and push as its state, which the op keeps itself."""
    packed, memories = pack_wavenet(weights, kind=kind), Memories()
    params = with_constants(packed, memories) | {"given": 1}
    params |= {name: Ref(Space.IO + i, 0) for i, name in enumerate(("codes", "past", "logits", "push"))}
    stacked = (len(weights.dilations), 1, weights.embedding.shape[1])
    return plan_bytes(
        NativePlan(
            inputs=[PlanTensor("code", "int64", (1,)), PlanTensor("past", "float32", stacked)],
            outputs=[PlanTensor("logits", "float32", (1, 256)), PlanTensor("push", "float32", stacked)],
            calls=[PlanCall(packed.op, "wavenet", params)],
            constants=memories.buffers()[Space.CONSTANTS],
            arena_bytes=0,
            state_bytes=packed.state_bytes,
            states=[PlanState("past", "push", None)],
        )
    )


def test_every_row_of_int8_draws_the_same_codes():
    drawn = [Stream(WEIGHTS, "i8", row)(200, **drawn_from(0.9, 5))["samples"] for kind, row in ROWS if kind == "i8"]
    assert len(drawn) > 1 or len({row for _, row in ROWS}) == 1
    for codes in drawn[1:]:
        np.testing.assert_array_equal(codes, drawn[0])


@every_row
def test_what_is_not_finite_stays_inside_its_step(kind: str, row: str):
    stream = Stream(WEIGHTS, kind, row)
    for value in (np.nan, np.inf, -np.inf, 3e38):
        past = np.full((4, 1, 64), value, np.float32)
        assert 0 <= stream(1, codes=np.array([3]), past=past)["samples"][0] < 256
    for temperature in (np.nan, np.inf, -1.0, 1e-38):
        assert 0 <= stream(1, **drawn_from(temperature, 0))["samples"][0] < 256
    for code in (-(2**63), 2**63 - 1):
        assert np.isfinite(stream(1, codes=np.array([code]))["logits"]).all()


REFUSED = {
    "layer_count": (0, 4, 65),
    "channels": (0, 8, 72, 512),
    "levels": (0, 1 << 12, 1 << 21),
    "hidden": (0, 48, 96, 2048),
    "classes": (0, 288, 2048),
    "steps": (0, -1, 12, 1 << 21),
    "given": (-1, 12),
    "code_bytes": (0, 2, 16),
    "start": (-1, 256),
}


@pytest.mark.parametrize("kind", OPS)
def test_check_refuses_numbers_that_leave_a_tensor(kind: str):
    case = next(case for case in cases(kind) if case.name == f"{kind}-stream-64")
    for name, values in REFUSED.items():
        for value in values:
            with pytest.raises(native.PlanError):
                run_case(replace(case, params={**case.params, name: value}), "scalar")


@pytest.mark.parametrize("dilation", [0, -1, 5, 1 << 20, (1 << 31) - 1])
@pytest.mark.parametrize("kind", OPS)
def test_check_refuses_dilations_that_leave_the_state(kind: str, dilation: int):
    case = next(case for case in cases(kind) if case.name == f"{kind}-stream-64")
    constants = case.buffers[Space.CONSTANTS].copy()
    offset = case.params["dilations"][1]
    constants[offset + 8 : offset + 12] = np.frombuffer(np.int32(dilation).tobytes(), np.uint8)
    with pytest.raises(native.PlanError):
        run_case(replace(case, buffers={**case.buffers, Space.CONSTANTS: constants}), "scalar")


@pytest.mark.parametrize("kind", OPS)
def test_check_refuses_a_state_outside_of_the_state_and_a_past_of_many_steps(kind: str):
    case = next(case for case in cases(kind) if case.name == f"{kind}-stream-64")
    for changes in ({"state": Ref(Space.ARENA, 0)}, {"state": Ref(Space.STATE, 64)}, {"past": case.params["codes"]}):
        with pytest.raises(native.PlanError):
            run_case(replace(case, params={**case.params, **changes}), "scalar")


def test_gate_is_tanh_times_sigmoid():
    a, b = np.meshgrid(np.linspace(-12, 12, 601), np.linspace(-45, 45, 601))
    found = wavenet.gate(a.astype(np.float32).ravel(), b.astype(np.float32).ravel())
    wanted = np.tanh(a.astype(np.float32).astype(float)) / (1 + np.exp(-b.astype(np.float32).astype(float)))
    np.testing.assert_allclose(found, wanted.ravel(), rtol=0, atol=3e-7)


def test_codes_are_drawn_with_their_probability():
    logits, draws, temperature = np.array([0.0, 1.0, -1.0, 2.0, -40.0]), 4000, 1.5
    found = [wavenet.sample(logits, temperature=temperature, seed=3, step=step) for step in range(draws)]
    chances = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    counts = np.bincount(found, minlength=5)
    assert (np.abs(counts - draws * chances) <= 4 * np.sqrt(draws * chances) + 1e-9).all()


def test_int8_stays_near_the_float_network():
    weights = net(64, dilations=tuple(2**power for power in range(5)) * 2, hidden=256, seed=6)
    codes = np.random.default_rng(2).integers(0, 256, 60)
    exact, rounded = (Stream(weights, kind, "scalar")(60, codes=codes)["logits"] for kind in ("f32", "i8"))
    error = np.sqrt(np.mean((exact - rounded) ** 2)) / exact.std()
    assert 0 < error < 0.02


def test_reference_is_the_torch_network():
    torch = pytest.importorskip("torch")
    from edgekit.recipes import wavenet as recipe

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = recipe.untrained().eval()
    weights = weights_of(network, recipe.DILATIONS)
    past = np.random.default_rng(3).standard_normal((30, 1, 64)).astype(np.float32)
    with torch.inference_mode():
        logits, push = network(torch.tensor([9]), torch.from_numpy(past))
    found = wavenet.reference(weights)(9, past[:, 0])
    np.testing.assert_allclose(found[0], logits[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(found[1], push[:, 0].numpy(), atol=1e-5)


def weights_of(network, dilations: tuple[int, ...]) -> WavenetWeights:
    def stacked(layers, name: str) -> Array:
        return np.stack([getattr(layer, name).detach().numpy() for layer in layers])

    return WavenetWeights(
        embedding=network.embedding.weight.detach().numpy(),
        gates=stacked(network.gates, "weight"),
        gate_bias=stacked(network.gates, "bias"),
        mixes=stacked(network.mixes, "weight"),
        mix_bias=stacked(network.mixes, "bias"),
        hidden=network.hidden.weight.detach().numpy(),
        hidden_bias=network.hidden.bias.detach().numpy(),
        logits=network.logits.weight.detach().numpy(),
        logits_bias=network.logits.bias.detach().numpy(),
        dilations=dilations,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: replace(weights, mixes=weights.mixes[:2]), "mixes has shape"),
        (lambda weights: replace(weights, logits=np.zeros((1025, 64), np.float32),
                                 logits_bias=np.zeros(1025, np.float32)), "1025 classes"),
        (lambda weights: net(24), "multiples of 16"),
    ],
)  # fmt: skip
def test_packing_says_what_no_kernel_takes(change, message: str):
    with pytest.raises(BackendError, match=message):
        pack_wavenet(change(net(16)), kind="f32")


def test_packing_refuses_an_unknown_kind():
    with pytest.raises(BackendError, match="expected one of"):
        pack_wavenet(net(16), kind="f16")


@pytest.mark.parametrize("kind", OPS)
def test_a_fresh_state_begins_with_the_start_code(kind: str):
    begun, given = Stream(WEIGHTS, kind, "scalar"), Stream(WEIGHTS, kind, "scalar")
    np.testing.assert_array_equal(begun(5)["logits"], given(5, codes=np.array([START]))["logits"])
