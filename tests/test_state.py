"""State as it is declared: what is refused, in a recipe too, and its form as JSON."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import RecipeError, TensorError
from edgekit.recipes import Recipe
from edgekit.tensors import LONGEST_DELAY, State, TensorSpec, check_state, state_from_json, state_to_json

X = TensorSpec("float32", (1, 4), name="x")
H = TensorSpec("float32", (3, 1, 8), name="h")
Y = TensorSpec("float32", (1, 2), name="y")
NEW_H = TensorSpec("float32", (3, 1, 8), name="new_h")


def recipe(**changes: object) -> Recipe:
    fields = {"inputs": {"x": X, "h": H}, "outputs": ("y", "new_h"), "state": {"h": State("new_h")}} | changes
    return Recipe(name="tiny", model=lambda: pytest.fail("the model was built"), **fields)  # type: ignore[arg-type]


def test_a_delay_is_one_step_unless_said() -> None:
    assert State("h").delays == (1,)
    assert State("h", [1, 2, 4]).delay == (1, 2, 4)  # type: ignore[arg-type]
    assert State("h", np.int64(3)) == State("h", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("delay", [0, -1, (1, 0, 2), (), 1.5, LONGEST_DELAY + 1, "1"])
def test_delays_that_are_no_whole_steps_are_refused(delay: object) -> None:
    with pytest.raises(TensorError, match=r"delay .*; expected whole steps, 1 to 1048576"):
        State("h", delay)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "outputs", "message"),
    [
        ({"g": State("new_h")}, (Y, NEW_H), "state 'g' is no input; known: h, x"),
        ({"h": State("new_hh")}, (Y, NEW_H), "comes from 'new_hh', which is no output; did you mean 'new_h'"),
        ({"h": State("new_h", (1, 2))}, (Y, NEW_H), "has 2 delays; expected one for each index of its first axis"),
        ({"h": State("y")}, (Y, NEW_H), r"comes from y: float32\[1, 2\]; expected the same dtype and shape"),
        ({"h": State("new_h")}, (Y, TensorSpec("int8", (3, 1, 8), name="new_h")), "expected the same dtype and shape"),
        ({"h": State("new_h")}, (NEW_H,), "every input or every output is state"),
        ({"h": State("new_h"), "x": State("y")}, ("y", "new_h", "z"), "every input or every output is state"),
    ],
)
def test_state_that_the_tensors_do_not_bear_is_refused(state: dict, outputs: tuple, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        check_state(state, (X, H), outputs=outputs)


def test_state_with_a_dynamic_dimension_is_refused() -> None:
    dynamic = TensorSpec("float32", ("batch", 8), ranges={"batch": (1, 2)}, name="h")
    with pytest.raises(TensorError, match="'h' has dynamic dimensions"):
        check_state({"h": State("new_h")}, (X, dynamic), outputs=("y", "new_h"))


def test_several_inputs_may_come_from_one_output() -> None:
    inputs = (X, H, TensorSpec("float32", (3, 1, 8), name="older"))
    check_state({"h": State("new_h"), "older": State("new_h", 2)}, inputs, outputs=(Y, NEW_H))


def test_a_recipe_refuses_state_that_it_cannot_have() -> None:
    assert recipe().state == {"h": State("new_h")}
    with pytest.raises(TensorError, match="comes from 'new_g', which is no output"):
        recipe(state={"h": State("new_g")})
    with pytest.raises(TensorError, match="has 2 delays"):
        recipe(state={"h": State("new_h", (1, 2))})


def test_a_recipe_with_state_and_evaluation_needs_calibration() -> None:
    with pytest.raises(RecipeError, match="has state and no calibration, which single steps"):
        recipe(evaluation=list, metric="top1")


def test_json_reads_back() -> None:
    state = {"h": State("new_h"), "past": State("new_past", (1, 2, 4)), "single": State("s", (3,))}
    assert state_from_json(state_to_json(state)) == state
