"""Scores to answers: the class that a network finds most likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import TensorError

if TYPE_CHECKING:
    from edgekit.tensors import Array


def best_class(scores: Array) -> int:
    """The number of the highest score of one sample; the first of several.

    scores: (1, classes) or (classes,), any real dtype.

    Raises:
        TensorError: scores of several samples, or none at all.
    """
    if scores.size == 0 or scores.shape[-1:] != (scores.size,):
        raise TensorError(f"scores have shape {scores.shape}; expected those of one sample: (1, classes)")
    return int(scores.argmax())
