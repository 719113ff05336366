"""Somebody else's model, and the ten lines that edgekit needs to know of it."""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer

from edgekit.recipes import Budget, Recipe
from edgekit.tensors import TensorSpec


class TumourNet(torch.nn.Module):
    """Stands for your model: it knows nothing of edgekit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)


def data() -> tuple[np.ndarray, np.ndarray]:
    features, labels = load_breast_cancer(return_X_y=True)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    order = np.random.default_rng(0).permutation(len(labels))
    return features[order].astype(np.float32), labels[order]


def trained() -> torch.nn.Module:
    """Yours would load a checkpoint; this one trains for a second."""
    torch.manual_seed(0)
    model = TumourNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    features, labels = (torch.from_numpy(array[:300]) for array in data())
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(features), labels).backward()
        optimizer.step()
    return model.eval()


# What edgekit needs: the model, its tensors, and real data to calibrate and to judge it on.
recipe = Recipe(
    name="tumour-net",
    model=trained,
    inputs={"features": TensorSpec("float32", ("batch", 30), ranges={"batch": (1, 32)})},
    outputs=("scores",),
    calibration=lambda: ({"features": row[None]} for row in data()[0][:200]),
    evaluation=lambda: (({"features": x[None]}, int(y)) for x, y in zip(data()[0][300:], data()[1][300:], strict=True)),
    metric="top1",
    budget=Budget(max_drop=0.02),
)
