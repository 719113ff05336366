"""What a user names as BASE or HEAD (a bundle, an ONNX file, a folder of them, a recipe), as models that can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.bench.arms import Arm, bundle_arm
from edgekit.building.onnx_in import read_onnx
from edgekit.building.onnx_recipe import onnx_recipe
from edgekit.bundle import open_bundle
from edgekit.errors import MeasurementError
from edgekit.progress import Progress
from edgekit.recipes import load_recipe
from edgekit.recipes.recipe import Recipe
from edgekit.runtime.session import choose_target
from edgekit.tensors import TensorSpec

SUFFIXES = (".edgekit", ".onnx")


@dataclass(frozen=True)
class Subject:
    """One model of one side.

    path: the bundle or ONNX file. recipe: where its samples and evaluation data come from; None if there are none.
    """

    path: Path
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Data:
    """Where samples come from for models that bring none: a recipe, or an .npz file with an array for each input.

    samples: with an array `target` it is evaluation data too, scored by `metric`.
    max_drop: how much of the metric may be lost; the recipe's budget if None.
    """

    recipe: Recipe | None = None
    samples: Path | None = None
    metric: str = "top1"
    max_drop: float | None = None


def find_subjects(
    name: str, data: Data, *, folder: Path, only: Sequence[str] = (), progress: Progress
) -> dict[str, Subject]:
    """The models that `name` stands for, by their names. A recipe is built into `folder`.

    Raises:
        MeasurementError: no such file, or a folder without models.
        EdgekitError: a recipe that cannot be loaded or built.
    """
    path = Path(name)
    if path.is_dir():
        return _in_folder(path, data)
    if path.suffix in SUFFIXES:
        return {path.stem: _file(path, data)}
    return {built.name: Subject(bundle, built) for built, bundle in [_build(name, folder, only, progress)]}


def _in_folder(folder: Path, data: Data) -> dict[str, Subject]:
    files = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    if not files:
        raise MeasurementError(
            f"the folder {folder} holds no model; expected files that end in {' or '.join(SUFFIXES)}"
        )
    if twice := {path.stem for path in files if sum(other.stem == path.stem for other in files) > 1}:
        raise MeasurementError(f"{folder} holds two files called {sorted(twice)[0]!r}; a model is known by its name")
    return {path.stem: _file(path, data) for path in files}


def _file(path: Path, data: Data) -> Subject:
    if not path.is_file():
        raise MeasurementError(f"no model at {path}; check the path, or name a recipe")
    if data.recipe is not None or path.suffix == ".edgekit" or data.samples is None:
        return Subject(path, data.recipe)
    labelled = data.samples if _has_target(data.samples) else None
    recipe = onnx_recipe(path, calibration=data.samples, evaluation=labelled, metric=data.metric if labelled else None)
    return Subject(path, recipe)


def _has_target(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as file:
            return "target.npy" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False  # `onnx_recipe` says what is wrong with it


def _build(name: str, folder: Path, only: Sequence[str], progress: Progress) -> tuple[Recipe, Path]:
    from edgekit.build import Settings, build

    recipe = load_recipe(name)
    folder.mkdir(parents=True, exist_ok=True)
    return recipe, build(
        recipe, output=folder / f"{recipe.name}.edgekit", settings=Settings(only=only), progress=progress
    ).path


def arm_of(subject: Subject, side: str) -> Arm:
    """The arm that runs `subject`: a bundle as `edgekit.load` would here, untuned; an ONNX file on onnxruntime."""
    if subject.path.suffix == ".onnx":
        recipe = subject.recipe
        inputs, state = (recipe.input_specs, recipe.state) if recipe is not None else ((), {})
        return Arm(side, "onnxruntime", "f32", {"model": str(subject.path.resolve())}, inputs=inputs, state=state)
    bundle = open_bundle(subject.path)
    return bundle_arm(bundle, choose_target(bundle, "cpu"), name=side)


def shipped_variant(subject: Subject) -> str:
    """The name of the payload that runs on this machine, such as "onnxruntime-f32"; empty for an ONNX file."""
    if subject.path.suffix == ".onnx":
        return ""
    return choose_target(open_bundle(subject.path), "cpu").payloads[0].name


def tensors_of(subject: Subject) -> tuple[Mapping[str, TensorSpec], tuple[str, ...]]:
    """Inputs by name, and names of the outputs, as the file itself declares them.

    An ONNX file's dynamic dimensions have no range of their own: they are given one that holds 1 alone.
    """
    if subject.path.suffix == ".edgekit":
        manifest = open_bundle(subject.path).manifest
        return {spec.name: spec for spec in manifest.inputs}, tuple(spec.name for spec in manifest.outputs)
    graph = read_onnx(subject.path).graph
    inputs = {str(value.name): _spec(value) for value in graph.inputs}
    return inputs, tuple(str(value.name) for value in graph.outputs)


def _spec(value: object) -> TensorSpec:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    name = str(getattr(value, "name", ""))
    if shape is None or dtype is None:
        raise MeasurementError(f"input {name!r} of the graph has no shape or dtype; run onnx.shape_inference on it")
    dims = tuple(dim if isinstance(dim, int) else f"{name}_dim{axis}" for axis, dim in enumerate(shape))
    ranges = {dim: (1, 1) for dim in dims if isinstance(dim, str)}
    return TensorSpec(dtype.numpy().name, dims, ranges=ranges, name=name)
