"""Somebody else's model, and the ten lines that edgekit needs to know of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer

from edgekit.recipes import Budget, Recipe
from edgekit.tensors import TensorSpec

TRAINING = slice(0, 300)
TEST = slice(300, None)


class TumourNet(torch.nn.Module):
    """Stands for your model: it knows nothing of edgekit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)


def data(rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Features, normalised by what the training rows alone tell, and labels."""
    features, labels = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    features, labels = features[order], labels[order]
    mean, deviation = features[TRAINING].mean(axis=0), features[TRAINING].std(axis=0)
    return ((features[rows] - mean) / deviation).astype(np.float32), labels[rows]


def trained() -> torch.nn.Module:
    """Yours would load a checkpoint; this one trains for a second."""
    torch.manual_seed(0)
    model = TumourNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    features, labels = map(torch.from_numpy, data(TRAINING))
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(features), labels).backward()
        optimizer.step()
    return model.eval()


def calibration() -> Iterator[dict[str, np.ndarray]]:
    features, _ = data(TRAINING)
    yield from ({"features": row[None]} for row in features)


def evaluation() -> Iterator[tuple[dict[str, np.ndarray], Any]]:
    features, labels = data(TEST)
    yield from (({"features": row[None]}, int(label)) for row, label in zip(features, labels, strict=True))


# What edgekit needs: the model, its tensors, and real data to calibrate and to judge it on.
recipe = Recipe(
    name="tumour-net",
    model=trained,
    inputs={"features": TensorSpec("float32", ("batch", 30), ranges={"batch": (1, 32)})},
    outputs=("scores",),
    calibration=calibration,
    evaluation=evaluation,
    metric="top1",
    budget=Budget(max_drop=0.02),
)
