"""Converts the networks of `native.py` to LiteRT files in each of its styles: FORM.STYLE.tflite, for `--litert DIR`.

    PYTHONPATH=. litert-venv/bin/python benchmarks/native_litert.py [NET...] -o DIR

in the environment that `benchmarks/litert.py` describes. Styles: `f32`; `dynamic`, int8 weights, activations quantized
in each call; `static`, int8 throughout, inputs and outputs too; `static-edges`, the same with float ones. A style that
the converter or its quantizer refuses is reported and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from litert import check_parity, check_runs, litert_arrays, write_float, write_int8
from native_models import NETS

from edgekit.errors import EdgekitError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array

PARITY_SAMPLES = 2


def write_quantized(source: Path, samples: Sequence[list[Array]], destination: Path, *, style: str) -> None:
    """Quantize the float file by one of LiteRT's own recipes as it stands."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    chosen = {"static": recipe.static_wi8_ai8, "dynamic": recipe.dynamic_wi8_afp32}[style]
    tool = quantizer.Quantizer(str(source), chosen())
    (signature,) = Interpreter(str(source)).get_signature_list()
    feeds = [{f"args_{position}": array for position, array in enumerate(arrays)} for arrays in samples]
    found = tool.calibrate({signature: feeds}) if tool.need_calibration else None
    destination.write_bytes(tool.quantize(found).quantized_model)


def _narrowed(array: Array) -> Array:
    """What the converter makes of an int64 input."""
    return array.astype(np.int32) if array.dtype == np.int64 else array


def convert(recipe: Recipe, folder: Path) -> None:
    """Write what can be made of one form."""
    module, samples = recipe.load_model(), list(recipe.calibration_feeds())
    arrays = [list(map(_narrowed, litert_arrays(recipe, feeds))) for feeds in samples]
    source = folder / f"{recipe.name}.f32.tflite"
    makers: dict[str, Callable[[Path], None]] = {
        "f32": lambda path: write_float(module, recipe, samples[0], destination=path),
        "dynamic": lambda path: write_quantized(source, arrays, path, style="dynamic"),
        "static": lambda path: write_quantized(source, arrays, path, style="static"),
        "static-edges": lambda path: write_int8(source, arrays, destination=path),
    }
    for style, make in makers.items():
        target = folder / f"{recipe.name}.{style}.tflite"
        with tempfile.TemporaryDirectory(dir=folder) as place:
            draft = Path(place) / target.name
            try:
                with contextlib.redirect_stdout(sys.stderr):  # the converter's progress
                    make(draft)
                    if style == "f32":
                        check_parity(module, recipe, draft, samples=samples[:PARITY_SAMPLES])
                    check_runs(recipe, draft, samples[0])
            except (EdgekitError, RuntimeError, ValueError, KeyError, NotImplementedError) as error:
                print(f"{target.name}: {type(error).__name__}: {error}", flush=True)
                if style == "f32":
                    return
                continue
            draft.replace(target)
        print(f"{target.name}: {target.stat().st_size:,} bytes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", help=f"{', '.join(NETS)}; all of them if none")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the files")
    arguments = parser.parse_args()
    if unknown := set(arguments.nets) - set(NETS):
        parser.error(f"unknown {sorted(unknown)[0]!r}; there are {', '.join(NETS)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.nets or NETS:
        for recipe in NETS[name]:
            convert(recipe, arguments.output)


if __name__ == "__main__":
    main()
