"""Steps a graph of a streaming model through samples, before anything of it is compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgekit.recipes.recipe import Recipe
from edgekit.runtime.runner import open_runner
from edgekit.runtime.stream import hold, run_steps
from edgekit.tensors import Array, Feeds, TensorSpec


def stepped_outputs(graph: Path, samples: Iterable[Feeds], recipe: Recipe) -> Iterator[dict[str, Array]]:
    """What the ONNX file `graph` computes from each sample of many steps, in onnxruntime: the outputs that are not
    state, stacked over steps. State is zero where a sample begins.

    Raises:
        BackendError: onnxruntime refuses the graph.
    """
    outputs = tuple(TensorSpec("float32", (), name=name) for name in recipe.outputs)  # only their names are used
    runner = open_runner("onnxruntime", {"model": graph}, inputs=recipe.input_specs, outputs=outputs, precision="f32")
    try:
        stream = hold(runner, recipe.input_specs, recipe.state)
        for feeds in samples:
            stream.reset()
            yield run_steps(stream, feeds)
    finally:
        runner.close()
