"""Converts a recipe to LiteRT files, float and int8, for `edgekit bench RECIPE --against litert=FILE.tflite`.

    python benchmarks/litert.py resnet8 -o DIR      # DIR/resnet8.f32.tflite and DIR/resnet8.int8.tflite

The converter brings about 2 GB, so it is no dependency of edgekit and runs in an environment of its own, with this
checkout on its path:

    python -m venv litert-venv
    litert-venv/bin/pip install torch==2.13.0 litert-torch safetensors scikit-learn pooch
    PYTHONPATH=. litert-venv/bin/python benchmarks/litert.py resnet8 -o DIR

Inputs of four dimensions are taken as images and become channels-last, which LiteRT's kernels want. Dynamic dimensions
get their smallest size: batch 1. int8 is static: weights with one scale a channel, and activations calibrated on all of
the recipe's calibration samples, by LiteRT's own quantizer at its defaults (a moving average of each sample's extremes,
which clips rare ones). Inputs and outputs stay float, as a bundle's are, so that each side's own conversion is inside
its timed call.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.accuracy import accuracy, score_samples
from edgekit.bench.arms import Arm
from edgekit.bench.litert import LitertPeer
from edgekit.errors import BackendError, EdgekitError, ParityError, RecipeError
from edgekit.feeds import feeds_at
from edgekit.parity import deviation
from edgekit.recipes import Recipe, load_recipe
from edgekit.tensors import Array, Feeds, TensorSpec, check_feeds, smallest_sizes
from edgekit.transforms.quantize import Calibration

IMAGE_RANK = 4
PARITY_SAMPLES = 8
THREADS = 2


def main(arguments: list[str] | None = None) -> None:
    """Convert the recipe that the command line names; print size and accuracy of both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", help="a shipped name, module:attribute, or path/to/file.py[:attribute]")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder for the .tflite files")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.recipe)
        for file in convert(recipe, options.output):
            print(f"{file}: {file.stat().st_size:,} bytes, {accuracy_text(recipe, file)}", flush=True)
    except EdgekitError as error:
        sys.exit(f"error: {error}")


def convert(recipe: Recipe, folder: Path) -> list[Path]:
    """Write NAME.f32.tflite and NAME.int8.tflite into `folder`; neither appears before both are made and checked.

    Raises:
        RecipeError: the recipe's model is an ONNX file.
        CalibrationError: the recipe's calibration data is missing or unsound.
        ParityError: the float file does not compute what torch computes.
        BackendError: LiteRT cannot run what its quantizer made.
    """
    if isinstance(recipe.model, Path):
        raise RecipeError(f"recipe {recipe.name!r} is an ONNX file; the LiteRT converter takes torch modules only")
    sizes = smallest_sizes(recipe.input_specs)
    samples = [feeds_at(recipe.input_specs, [feeds], sizes) for feeds in Calibration(recipe)]
    module = recipe.model().eval()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{recipe.name}-") as place:
        made = [Path(place) / f"{recipe.name}.{precision}.tflite" for precision in ("f32", "int8")]
        with contextlib.redirect_stdout(sys.stderr):  # the converter's progress
            write_float(module, recipe, samples[0], destination=made[0])
            check_parity(module, recipe, made[0], samples=samples[:PARITY_SAMPLES])
            write_int8(made[0], [litert_arrays(recipe, feeds) for feeds in samples], destination=made[1])
            check_runs(recipe, made[1], samples[0])
        for file in made:
            os.replace(file, folder / file.name)
    return [folder / file.name for file in made]


def write_float(module: Any, recipe: Recipe, feeds: Feeds, *, destination: Path) -> None:
    """Convert the torch module at the shapes of `feeds`."""
    import litert_torch
    import torch

    images = image_positions(recipe)
    if images:
        module = litert_torch.to_channel_last_io(module, args=images).eval()
    arguments = tuple(torch.from_numpy(array) for array in litert_arrays(recipe, feeds))
    litert_torch.convert(module, arguments).export(str(destination))


def write_int8(source: Path, samples: Sequence[list[Array]], *, destination: Path) -> None:
    """Quantize weights and activations of the float file `source`; inputs and outputs stay float."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import qtyping, quantizer, recipe

    tool = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    for edge in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        tool.update_quantization_recipe(".*", edge, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
    (signature,) = Interpreter(str(source)).get_signature_list()
    feeds = [{f"args_{position}": array for position, array in enumerate(arrays)} for arrays in samples]
    destination.write_bytes(tool.quantize(tool.calibrate({signature: feeds}, num_threads=THREADS)).quantized_model)


def image_positions(recipe: Recipe) -> list[int]:
    """Numbers of the inputs that become channels-last."""
    return [position for position, spec in enumerate(recipe.input_specs) if len(spec.shape) == IMAGE_RANK]


def litert_arrays(recipe: Recipe, feeds: Feeds) -> list[Array]:
    """`feeds` in the order of forward's arguments and in the layout of the LiteRT files."""
    arrays = [feeds[name] for name in recipe.inputs]
    for position in image_positions(recipe):
        arrays[position] = np.ascontiguousarray(np.moveaxis(arrays[position], 1, -1))
    return arrays


def check_parity(module: Any, recipe: Recipe, file: Path, *, samples: Sequence[Feeds]) -> None:
    """Refuse a float file that does not compute what torch computes from `samples`; it also tells a wrong layout."""
    peer = open_file(recipe, file)
    for feeds in samples:
        found, expected = peer.run(feeds), torch_outputs(module, recipe, feeds)
        for name in recipe.outputs:
            error, tolerance = deviation(found[name], expected[name])
            if not error <= tolerance:
                raise ParityError(f"{file.name}: output {name!r} is {error:.2g} off torch's; allowed: {tolerance:.2g}")


def check_runs(recipe: Recipe, file: Path, feeds: Feeds) -> None:
    """Refuse a file that LiteRT cannot run: its quantizer breaks graphs where an output is also used further on."""
    try:
        open_file(recipe, file).run(feeds)
    except RuntimeError as error:
        raise BackendError(f"{file.name}: LiteRT cannot run what its own quantizer made: {error}") from error


def torch_outputs(module: Any, recipe: Recipe, feeds: Feeds) -> dict[str, Array]:
    """What the torch module computes: outputs by the recipe's names."""
    import torch

    with torch.inference_mode():
        returned = module(*(torch.from_numpy(feeds[name]) for name in recipe.inputs))
    if isinstance(returned, Mapping):
        return {name: returned[name].numpy() for name in recipe.outputs}
    tensors = returned if isinstance(returned, (tuple, list)) else (returned,)
    return {name: tensor.numpy() for name, tensor in zip(recipe.outputs, tensors, strict=True)}


def open_file(recipe: Recipe, file: Path) -> LitertPeer:
    """A LiteRT file, run as the benchmark runs it."""
    outputs = tuple(TensorSpec("float32", (), name=name) for name in recipe.outputs)  # for the names alone
    model = {"model": str(file.resolve())}
    return LitertPeer(Arm(file.stem, "litert", "", model, THREADS, inputs=recipe.input_specs, outputs=outputs), {})


def accuracy_text(recipe: Recipe, file: Path) -> str:
    """The file's accuracy on the recipe's evaluation data, one sample at a time, with its 95 % interval."""
    if recipe.evaluation is None or recipe.metric is None:
        return "no evaluation data"
    peer = open_file(recipe, file)
    samples, again = tee(recipe.evaluation())
    computed = (peer.run(check_feeds(recipe.input_specs, feeds)) for feeds, _ in samples)
    scores = score_samples(recipe.metric, computed, (target for _, target in again))
    found = accuracy(scores, str(recipe.metric_name))
    return f"{found.metric} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}] over {found.samples} samples"


if __name__ == "__main__":
    main()
