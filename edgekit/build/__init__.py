"""From a recipe to a bundle; `build` reads as the road that it walks."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit.bench.environment import fingerprint
from edgekit.bench.samples import read_samples
from edgekit.build.judge import judge
from edgekit.build.pack import BuiltTarget, Golden, write
from edgekit.build.source import FloatModel, float_model
from edgekit.build.trial import (
    Graphs,
    Samples,
    compile_variant,
    golden_outputs,
    lay_out_samples,
    score_trials,
    time_trials,
)
from edgekit.build.variants import FLOAT, REFERENCE, Variant, variants
from edgekit.bundle import Bundle
from edgekit.errors import BackendError, BundleError
from edgekit.export import save_model
from edgekit.progress import Progress, silent
from edgekit.recipes.recipe import Recipe
from edgekit.target import Target, load_target, why_not_runnable
from edgekit.tensors import Array
from edgekit.transforms.quantize import calibration_samples, quantize

SESSIONS = 8  # fresh sessions of each variant while timing: the fewest that settle ratios of a few percent


def build(
    recipe: Recipe,
    targets: Sequence[Target] = (),
    *,
    output: Path,
    only: Sequence[str] = (),
    sessions: int = SESSIONS,
    seed: int = 0,
    workspace: Path | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Export, check, quantize, compile, measure, choose, and write the bundle `output`.

    targets: this machine's CPU if none.
    only: try only the variants that these words name, see `edgekit.build.variants`; the float reference always is.
    sessions: fresh sessions of each variant while timing; fewer than 6 allow no interval, and then nothing compressed ships.
    workspace: a folder to keep the intermediate files in (`float.onnx`, ...); a temporary one if None.

    Raises:
        EdgekitError: one of its subclasses, see `edgekit.errors`; nothing is left at `output` then.
    """
    targets = tuple(targets) or (load_target("cpu"),)
    planned = {target: _plan(target, only) for target in targets}
    calibration = _calibration(recipe, planned.values())
    _check_output(output)
    with _folder(workspace) as folder:
        progress("export and parity", 0, 1)
        source = float_model(recipe)
        progress("export and parity", 1, 1)
        samples = lay_out_samples(recipe, folder / "samples")
        built = [
            _build_target(
                target,
                planned[target],
                recipe,
                source,
                graphs=_graphs(
                    source, calibration, planned[target], target=target, folder=folder, progress=progress
                ),
                samples=samples,
                folder=folder / target.name,
                sessions=sessions,
                seed=seed,
                progress=progress,
            )
            for target in targets
        ]
        return write(output, recipe, source, built)


def _plan(target: Target, only: Sequence[str]) -> tuple[Variant, ...]:
    """The variants to try; where the target cannot be run here only f32 ones, since nothing else could be shown to be right."""
    planned = variants(target, only)
    if why_not_runnable(target):
        planned = tuple(variant for variant in planned if variant.precision == "f32")
    return planned if REFERENCE in planned else (REFERENCE, *planned)


def _calibration(recipe: Recipe, planned: object) -> list[dict[str, Array]]:
    """Checked first of all: a build that must fail should not export for minutes before it does."""
    if any(variant.method != FLOAT for plan in planned for variant in plan):  # type: ignore[attr-defined]
        return calibration_samples(recipe)
    return []


def _build_target(
    target: Target,
    planned: Sequence[Variant],
    recipe: Recipe,
    source: FloatModel,
    *,
    graphs: Graphs,
    samples: Samples,
    folder: Path,
    sessions: int,
    seed: int,
    progress: Progress,
) -> BuiltTarget:
    trials = []
    for done, variant in enumerate(planned):
        progress(f"{target.name}: compile", done, len(planned))
        trials.append(compile_variant(variant, graphs, folder))
    progress(f"{target.name}: compile", len(planned), len(planned))
    if why_not_runnable(target) is None:
        trials = score_trials(
            trials, recipe, source, target=target, samples=samples, folder=folder, progress=progress
        )
        trials = time_trials(
            trials, source, target=target, samples=samples, sessions=sessions, seed=seed, progress=progress
        )
    verdicts = judge(trials, recipe.budget)
    shipped = [t for t, v in zip(trials, verdicts, strict=True) if v.ships or t.variant == REFERENCE]
    outputs = golden_outputs(shipped, source, target=target, samples=samples, folder=folder)
    golden = Golden(list(read_samples(samples.golden)), outputs)
    return BuiltTarget(target, tuple(trials), verdicts, golden, str(fingerprint()["cpu"]))


def _graphs(
    source: FloatModel,
    calibration: Sequence[dict[str, Array]],
    planned: Sequence[Variant],
    *,
    target: Target,
    folder: Path,
    progress: Progress,
) -> Graphs:
    """The float ONNX file and a quantized one for each planned method, made once for all targets that can share it."""
    float_path = folder / f"{FLOAT}.onnx"
    if not float_path.exists():
        save_model(source.model, float_path)
    files, failures = {FLOAT: float_path}, {}
    saturates = target.arch == "x86_64" and "avx512-vnni" not in target.isa
    for method in dict.fromkeys(variant.method for variant in planned if variant.method != FLOAT):
        path = folder / f"int8-{method}{'-7bit' if saturates else ''}.onnx"
        progress(f"quantize ({method})", 0, 1)
        try:
            if not path.exists():
                quantize(float_path, path, method=method, samples=calibration, saturates=saturates)
            files[method] = path
        except BackendError as error:
            failures[method] = str(error)
        progress(f"quantize ({method})", 1, 1)
    return Graphs(files, failures)


def _check_output(output: Path) -> None:
    if not output.parent.is_dir():
        raise BundleError(
            f"the folder {output.parent} does not exist; make it, or give another place with -o"
        )


@contextlib.contextmanager
def _folder(workspace: Path | None) -> Iterator[Path]:
    if workspace is not None:
        workspace.mkdir(parents=True, exist_ok=True)
        yield workspace
        return
    with tempfile.TemporaryDirectory(prefix="edgekit-build-") as folder:
        yield Path(folder)
