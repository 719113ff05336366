"""Trains a shipped recipe from scratch: `python -m edgekit.recipes.train RECIPE [-o FILE]`."""

from __future__ import annotations

import argparse
import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import MissingDependencyError, RecipeError, did_you_mean
from edgekit.files import make_folder, replacing
from edgekit.recipes import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from torch import nn

    from edgekit.recipes.training import Training
    from edgekit.tensors import Array

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave.

    number, of: from 1 to the number of epochs.
    loss: mean over the training samples, as they were augmented, while the weights changed.
    accuracy: what the recipe's `Training.score` gives after this epoch; shown, and never used to choose weights.
    """

    number: int
    of: int
    loss: float
    accuracy: float


def train(name: str, *, report: Callable[[Epoch], None], epochs: int | None = None) -> nn.Module:
    """The network of the shipped recipe `name`, trained from scratch with its fixed seed, in eval mode.

    torch's random state is put back. Weights differ a little between versions of torch and numbers of
    threads.

    report: called after each epoch.
    epochs: fewer or more than the recipe says.

    Raises:
        RecipeError: no such shipped recipe.
        DataError: its data cannot be found.
        MissingDependencyError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", extra="export") from error
    plan = training_of(name)
    of = epochs or plan.epochs
    samples, labels = plan.samples()
    test = plan.test()
    rng = np.random.default_rng(plan.seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(plan.seed)
        network = plan.build().to(memory_format=torch.channels_last)  # a third faster on CPUs
        optimizer, scheduler = _optimizer(plan, network, steps=of * math.ceil(len(labels) / plan.batch_size))
        for number in range(1, of + 1):
            loss = _one_epoch(plan, network, optimizer, scheduler, _batches(plan, samples, labels, rng))
            report(Epoch(number, of, loss, plan.score(network, *test)))
    return network.to(memory_format=torch.contiguous_format).eval()


def training_of(name: str) -> Training:
    """How the shipped recipe `name` is trained.

    Raises:
        RecipeError: no such shipped recipe.
    """
    if name not in SHIPPED:
        raise RecipeError(f"unknown recipe {name!r}; {did_you_mean(name, SHIPPED)}")
    plan: Training = importlib.import_module(SHIPPED[name]).training
    return plan


def _optimizer(plan: Training, network: nn.Module, *, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    from torch import optim

    adam = optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    if plan.one_cycle:
        return adam, optim.lr_scheduler.OneCycleLR(adam, max_lr=plan.learning_rate, total_steps=steps)
    return adam, optim.lr_scheduler.ConstantLR(adam, factor=1.0)


def _batches(plan: Training, samples: Array, labels: Array, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """The training set once, shuffled and augmented: (inputs, labels) of each batch."""
    order = rng.permutation(len(labels))
    for start in range(0, len(order), plan.batch_size):
        chosen = order[start : start + plan.batch_size]
        yield plan.augment(samples[chosen], rng), labels[chosen]


def _one_epoch(
    plan: Training,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    batches: Iterator[tuple[Array, Array]],
) -> float:
    """Train on every batch; the mean loss of a sample."""
    import torch

    network.train()
    total, count = 0.0, 0
    for inputs, labels in batches:
        loss = plan.loss(network, torch.from_numpy(inputs), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


def save_weights(network: nn.Module, path: Path, *, float16: bool = False) -> None:
    """Write the network's weights as safetensors, the whole file or nothing.

    float16: floating-point weights are rounded to it first.

    Raises:
        EdgekitError: the file cannot be written.
        MissingDependencyError: safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise MissingDependencyError("safetensors", extra="export") from error
    make_folder(path.parent)
    with replacing(path) as draft:
        draft.write_bytes(save({name: _stored(value, float16) for name, value in network.state_dict().items()}))


def _stored(value: torch.Tensor, float16: bool) -> torch.Tensor:
    return value.half() if float16 and value.is_floating_point() else value


def main(arguments: list[str] | None = None) -> None:
    """Train the recipe that the command line names and write its weights."""
    parser = argparse.ArgumentParser(prog="python -m edgekit.recipes.train", description=__doc__)
    parser.add_argument("recipe", choices=sorted(SHIPPED))
    parser.add_argument("-o", "--output", type=Path, help="default: the weights that edgekit ships")
    options = parser.parse_args(arguments)
    path = options.output or WEIGHTS / f"{options.recipe}.safetensors"
    plan = training_of(options.recipe)

    def show(epoch: Epoch) -> None:
        score = f"test {plan.score_name} {epoch.accuracy:.4f}"
        print(f"epoch {epoch.number:2d}/{epoch.of}  loss {epoch.loss:.4f}  {score}", flush=True)

    save_weights(train(options.recipe, report=show), path, float16=plan.float16)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
