"""The error tree is what its module's docstring draws, and "did you mean" helps."""

from __future__ import annotations

import inspect
import re

import pytest

from edgekit import errors
from edgekit.errors import BackendError, EdgekitError, MissingDependencyError, did_you_mean

BRANCH = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+Error)\b")


def drawn_tree() -> dict[str, str]:
    """Class -> parent, as the docstring draws them: four columns deeper is one level down."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():
        if found := BRANCH.match(line):
            depth, name = len(found["indent"]), found["name"]
            path = [(column, parent) for column, parent in path if column < depth]
            parents[name] = path[-1][1] if path else "Exception"
            path.append((depth, name))
    return parents


def real_tree() -> dict[str, str]:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, EdgekitError)]
    return {c.__name__: c.__bases__[0].__name__ for c in classes}


def test_the_docstring_draws_the_real_tree() -> None:
    assert drawn_tree() == real_tree()


def test_every_error_says_in_its_docstring_what_it_is_for() -> None:
    for name in real_tree():
        assert getattr(errors, name).__doc__, name


def test_missing_dependency_names_the_extra_to_install() -> None:
    error = MissingDependencyError("openvino", extra="openvino")
    assert isinstance(error, BackendError)
    assert str(error) == "openvino is not installed; run: pip install 'edgekit[openvino]'"
    assert (error.package, error.extra) == ("openvino", "openvino")


@pytest.mark.parametrize(
    ("word", "tail"),
    [
        ("openvin", "did you mean 'openvino'?"),
        ("onnxruntme", "did you mean 'onnxruntime'?"),
        ("zzz", "known: onnxruntime, openvino"),
    ],
)
def test_did_you_mean_suggests_the_nearest_or_lists_all(word: str, tail: str) -> None:
    assert did_you_mean(word, ("openvino", "onnxruntime")) == tail
