"""Recipes: the type, the shipped ones (one file each), and how a reference to one is resolved."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path

from edgekit.errors import RecipeError, did_you_mean
from edgekit.recipes.recipe import Budget, Recipe

__all__ = ["SHIPPED", "Budget", "Recipe", "load_recipe"]

FILE_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<attribute>\w+))?")
SHIPPED = {
    "simple-cnn": "edgekit.recipes.simple_cnn",
    "resnet8": "edgekit.recipes.resnet8",
    "ds-cnn": "edgekit.recipes.ds_cnn",
    "autoencoder": "edgekit.recipes.autoencoder",
    "gru-kws": "edgekit.recipes.gru_kws",
    "wavenet": "edgekit.recipes.wavenet",
}


def load_recipe(reference: str) -> Recipe:
    """The recipe that `reference` names: a shipped name, `pkg.module:attribute`, `path/to/file.py[:attribute]`.

    Raises:
        RecipeError: nothing there, the file fails to import, or what is there is not a Recipe.
    """
    if reference in SHIPPED:
        return _attribute(SHIPPED[reference], "recipe")
    if match := FILE_REFERENCE.fullmatch(reference):
        return _attribute(import_file(Path(match["path"])), match["attribute"] or "recipe")
    module, _, attribute = reference.partition(":")
    if attribute:
        return _attribute(module, attribute)
    raise RecipeError(
        f"unknown recipe {reference!r}; {did_you_mean(reference, SHIPPED)}, or give module:attribute or path/to/file.py"
    )


def import_file(path: Path) -> str:
    """Import a recipe's or a metric's file under a name of its own; that name."""
    if not path.is_file():
        raise RecipeError(f"no Python file at {path}")
    name = f"edgekit_recipe_{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.parent.resolve()))  # it may import what lies beside it; last, so that it hides nothing
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise RecipeError(f"{path} failed while it was imported: {type(error).__name__}: {error}") from error
    return name


def _attribute(module_name: str, attribute: str) -> Recipe:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that files there hide nothing
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a module raises while it is imported
        raise RecipeError(f"recipe module {module_name} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise RecipeError(f"{module_name} has no attribute {attribute!r}; a recipe file defines `recipe = Recipe(...)`")
    found = getattr(module, attribute)
    if not isinstance(found, Recipe):
        raise RecipeError(f"{module_name}:{attribute} is a {type(found).__name__}; expected an edgekit Recipe")
    return found
