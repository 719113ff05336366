"""How a reference finds its recipe, and what it says when there is none."""

from __future__ import annotations

import sys

import pytest

from edgekit.errors import RecipeError
from edgekit.recipes import SHIPPED, load_recipe

FILE = """
from edgekit.recipes import Recipe
from edgekit.tensors import TensorSpec

def build():
    raise NotImplementedError

recipe = Recipe("mine", build, {"x": TensorSpec("float32", (1, 4))}, ("y",))
other = Recipe("other", build, {"x": TensorSpec("float32", (1, 4))}, ("y",))
number = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "my-recipe.py"
    path.write_text(FILE)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_is_found_by_its_name(name):
    assert load_recipe(name).name == name


def test_module_and_attribute_name_a_recipe():
    assert load_recipe("edgekit.recipes.ds_cnn:recipe").name == "ds-cnn"


def test_file_gives_its_attribute_recipe(file):
    assert load_recipe(str(file)).name == "mine"


def test_file_gives_the_attribute_that_is_named(file):
    assert load_recipe(f"{file}:other").name == "other"


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'simple-cnn'"):
        load_recipe("simple-cn")


def test_missing_file_is_named():
    with pytest.raises(RecipeError, match=r"no Python file at nowhere\.py"):
        load_recipe("nowhere.py")


def test_missing_module_is_named():
    with pytest.raises(RecipeError, match=r"no_such_package\.models cannot be imported"):
        load_recipe("no_such_package.models:recipe")


def test_missing_attribute_says_what_a_file_defines(file):
    with pytest.raises(RecipeError, match="no attribute 'nothing'; a recipe file defines"):
        load_recipe(f"{file}:nothing")


def test_attribute_of_another_type_is_refused(file):
    with pytest.raises(RecipeError, match="is a int; expected an edgekit Recipe"):
        load_recipe(f"{file}:number")


def test_file_that_fails_gives_its_error_and_leaves_no_module(file):
    file.write_text("raise KeyError('broken here')")
    with pytest.raises(RecipeError, match="broken here") as failure:
        load_recipe(str(file))
    assert isinstance(failure.value.__cause__, KeyError)
    assert "edgekit_recipe_my_recipe" not in sys.modules
