"""What a shipped recipe says of its own training, and how its committed weights are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import MissingDependencyError, RecipeError
from edgekit.tensors import Array

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Training:
    """All that `edgekit.recipes.train` needs to make a recipe's weights again.

    build: gives the network with random weights.
    samples: () -> (training samples, labels); the samples are what `augment` takes.
    test: () -> (network input, labels) of the whole test split.
    augment: (samples of one batch, random generator) -> network input of the batch, float32.
    one_cycle: the learning rate rises to `learning_rate` and falls to nearly zero; otherwise it stays.
    weight_decay: decoupled from the gradient (AdamW); 0 makes it Adam.
    """

    build: Callable[[], nn.Module]
    samples: Callable[[], tuple[Array, Array]]
    test: Callable[[], tuple[Array, Array]]
    augment: Callable[[Array, np.random.Generator], Array]
    epochs: int
    batch_size: int
    learning_rate: float
    one_cycle: bool = False
    weight_decay: float = 0.0
    seed: int = 0


def trained(name: str, network: nn.Module) -> nn.Module:
    """`network` with the committed weights of the recipe `name`, in eval mode.

    Raises:
        RecipeError: the weights are missing, or are not those of this network.
        MissingDependencyError: safetensors is not installed.
    """
    try:
        from safetensors.torch import load
    except ImportError as error:
        raise MissingDependencyError("safetensors", extra="export") from error
    file = resources.files("edgekit.recipes") / "weights" / f"{name}.safetensors"
    if not file.is_file():
        raise RecipeError(f"no weights at {file}; make them: python -m edgekit.recipes.train {name}")
    try:
        network.load_state_dict(load(file.read_bytes()))
    except (RuntimeError, ValueError) as error:
        raise RecipeError(
            f"{file} does not fit {name}: {error}; make it again: python -m edgekit.recipes.train {name}"
        ) from error
    return network.eval()
