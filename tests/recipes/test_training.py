"""Committed weights that are missing or belong to another network are refused, with what to do."""

from __future__ import annotations

import pytest

from edgekit.errors import RecipeError
from edgekit.recipes import simple_cnn
from edgekit.recipes.training import trained

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")


def test_missing_weights_say_how_to_make_them():
    with pytest.raises(
        RecipeError, match=r"no weights at .*; make them: python -m edgekit\.recipes\.train no-such-net"
    ):
        trained("no-such-net", simple_cnn.untrained())


def test_weights_of_another_network_are_refused():
    with pytest.raises(RecipeError, match="does not fit ds-cnn"):
        trained("ds-cnn", simple_cnn.untrained())


def test_weights_replace_the_random_start():
    random = simple_cnn.untrained()
    before = random[0].weight.detach().clone()
    assert not torch.equal(trained("simple-cnn", random)[0].weight, before)
