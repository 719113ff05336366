"""What a shipped recipe says of its own training, the usual loss and score, and how committed weights are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import MissingDependencyError, RecipeError
from edgekit.tensors import Array

if TYPE_CHECKING:
    import torch
    from torch import nn


def cross_entropy(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of a classifier, in nats.

    inputs: (batch, ...) float32. labels: (batch,) of any integer dtype.
    """
    from torch.nn import functional

    return functional.cross_entropy(network(inputs), labels.long())


def accuracy(network: nn.Module, inputs: Array, labels: Array) -> float:
    """Share of samples whose highest score is their label; leaves the network in eval mode."""
    import torch

    network.eval()
    with torch.inference_mode():
        chosen = [network(part).argmax(1) for part in torch.from_numpy(inputs).split(256)]
    return float((torch.cat(chosen).numpy() == labels).mean())


@dataclass(frozen=True)
class Training:
    """All that `edgekit.recipes.train` needs to make a recipe's weights again.

    build: gives the network with random weights.
    samples: () -> (training samples, labels); the samples are what `augment` takes.
    test: () -> (inputs, labels) that `score` judges the network on.
    augment: (samples of one batch, random generator) -> what `loss` takes as inputs of the batch.
    loss: (network, inputs, labels of the batch) -> its mean loss, a scalar tensor.
    score: (network, inputs, labels of `test`) -> how good it is; shown after each epoch, never used to choose weights.
    score_name: what `score` gives, in a word or two, with its unit.
    float16: weights are rounded to float16 where they are written, for half the size; computing stays in float32.
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
    loss: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor] = cross_entropy
    score: Callable[[nn.Module, Array, Array], float] = accuracy
    score_name: str = "accuracy"
    float16: bool = False
    one_cycle: bool = False
    weight_decay: float = 0.0
    seed: int = 0


def trained(name: str, network: nn.Module) -> nn.Module:
    """`network` with the committed weights of the recipe `name`, in its own dtype whatever theirs, in eval mode.

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
