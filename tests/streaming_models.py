"""Tiny streaming models: an ONNX graph with every kind of delay, and a recipe with a GRU cell and a dilated past."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.recipes import Budget, Recipe
from edgekit.runtime import open_runner
from edgekit.runtime.runner import Runner
from edgekit.tensors import Array, State, TensorSpec


def _spec(name: str, *shape: int) -> TensorSpec:
    return TensorSpec("float32", shape, name=name)


INPUTS = (_spec("x", 1, 2), _spec("near", 1, 2), _spec("older", 1, 2), _spec("far", 1, 2), _spec("past", 3, 1, 2))
OUTPUTS = (_spec("y", 1, 2), _spec("new_near", 1, 2), _spec("mix", 1, 2), _spec("new_past", 3, 1, 2))
STATE = {
    "near": State("new_near"),
    "older": State("new_near", 2),
    "far": State("mix", 3),
    "past": State("new_past", (1, 4, 2)),
}


def delays_onnx(path: Path) -> Path:
    """The graph of `INPUTS`, `OUTPUTS` and `STATE`; y depends on everything."""
    import onnx

    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Add", ["x", "near"], ["a"]),
        helper.make_node("Add", ["a", "older"], ["b"]),
        helper.make_node("Tanh", ["b"], ["new_near"]),
        helper.make_node("Mul", ["new_near", "far"], ["c"]),
        helper.make_node("Sub", ["x", "c"], ["mix"]),
        helper.make_node("Mul", ["past", "gains"], ["d"]),
        helper.make_node("Add", ["d", "mix"], ["new_past"]),
        helper.make_node("ReduceSum", ["past", "axes"], ["e"], keepdims=0),
        helper.make_node("Add", ["e", "mix"], ["y"]),
    ]
    values = [
        [helper.make_tensor_value_info(spec.name, floats, list(spec.shape)) for spec in side]
        for side in (INPUTS, OUTPUTS)
    ]
    gains = np.array([0.5, -0.25, 0.75], np.float32).reshape(3, 1, 1)
    constants = [onnx.numpy_helper.from_array(gains, "gains"), onnx.numpy_helper.from_array(np.array([0]), "axes")]
    graph = helper.make_graph(nodes, "delays", *values, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def delays_runner(path: Path) -> Runner:
    return open_runner("onnxruntime", {"model": path}, inputs=INPUTS, outputs=OUTPUTS, precision="f32")


def frames(steps: int, seed: int = 0) -> Array:
    """(steps, 1, 2) float32."""
    return np.random.default_rng(seed).standard_normal((steps, 1, 2)).astype(np.float32)


def by_definition(runner: Runner, x: Array) -> Array:
    """y of each step, the state looked up in all outputs so far: what `State` says, word by word."""
    history: list[dict[str, Array]] = []
    for frame in x:
        feeds = {"x": frame}
        for spec in INPUTS[1:]:
            held = STATE[spec.name]
            if isinstance(held.delay, int):
                feeds[spec.name] = _before(history, held.output, held.delay, spec)
            else:
                rows = [_before(history, held.output, delay, spec)[row] for row, delay in enumerate(held.delay)]
                feeds[spec.name] = np.stack(rows)
        history.append(runner.run(feeds))
    return np.stack([outputs["y"] for outputs in history])


def _before(history: list[dict[str, Array]], name: str, delay: int, spec: TensorSpec) -> Array:
    return history[-delay][name] if delay <= len(history) else np.zeros(spec.shape_at({}), np.float32)


CLIPS = 32


@cache
def _net() -> Any:
    import torch

    class Listener(torch.nn.Module):
        """(1, 4), (1, 8), (2, 1, 4) -> scores (1, 3), new_hidden (1, 8), new_past (2, 1, 4)."""

        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.GRUCell(12, 8)
            self.head = torch.nn.Linear(8, 3)

        def forward(self, frame: Any, hidden: Any, past: Any) -> Any:
            hidden = self.cell(torch.cat([frame, past[0], past[1]], 1), hidden)
            return self.head(torch.relu(hidden)), hidden, torch.stack([frame, 0.5 * frame])

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Listener().eval()


def stepped(clip: Array) -> tuple[list[dict[str, Array]], Array]:
    """The complete feeds of each step of a clip (steps, 1, 4), and the scores (steps, 1, 3), by torch."""
    import torch

    net, hidden, frames_before = _net(), torch.zeros(1, 8), [torch.zeros(1, 4)] * 3
    feeds, scores = [], []
    with torch.no_grad():
        for frame in torch.from_numpy(clip):
            past = torch.stack([frames_before[-1], 0.5 * frames_before[-3]])
            feeds.append({"frame": frame.numpy(), "hidden": hidden.numpy(), "past": past.numpy()})
            score, hidden, _ = net(frame, hidden, past)
            frames_before.append(frame)
            scores.append(score.numpy())
    return feeds, np.stack(scores)


def clips(count: int = CLIPS, seed: int = 5) -> Iterator[Array]:
    """Clips of 4 to 9 steps, (steps, 1, 4) float32."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.standard_normal((int(rng.integers(4, 10)), 1, 4)).astype(np.float32)


def listener_recipe() -> Recipe:
    """Its own float scores at every step are the targets, so that a score is 0 only where the state is right."""
    feeds = [step for clip in clips(6, seed=1) for step in stepped(clip)[0]]
    return Recipe(
        name="listener",
        model=_net,
        inputs={
            "frame": TensorSpec("float32", (1, 4)),
            "hidden": TensorSpec("float32", (1, 8)),
            "past": TensorSpec("float32", (2, 1, 4)),
        },
        outputs=("scores", "new_hidden", "new_past"),
        state={"hidden": State("new_hidden"), "past": State("new_past", (1, 3))},
        calibration=lambda: feeds,
        evaluation=lambda: [({"frame": clip}, stepped(clip)[1]) for clip in clips()],
        metric="negative_mae",
        budget=Budget(max_drop=0.2),
    )


def __getattr__(name: str) -> Any:
    """`recipe`, for a reference to this file: made when it is asked for, since that takes torch."""
    if name == "recipe":
        return listener_recipe()
    raise AttributeError(name)
