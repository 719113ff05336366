"""What the suites share: which recipes they take, how long they measure, and a bundle of each recipe."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edgekit.bench.environment import fingerprint
from edgekit.build import Settings, build
from edgekit.bundle import Bundle
from edgekit.recipes import SHIPPED, load_recipe


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("edgekit")
    group.addoption("--recipe", action="append", metavar="NAME", help="take this recipe alone; repeat for several")
    group.addoption("--sessions", type=int, default=10, help="fresh sessions of each arm (default: 10)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "reference" in metafunc.fixturenames:
        metafunc.parametrize("reference", metafunc.config.getoption("--recipe") or list(SHIPPED), scope="module")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["node"] = "unavailable"  # a file that is passed on need not say what the machine is called
    machine_info["edgekit"] = fingerprint()


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """The bundle of a recipe, of all variants or of some, built once."""

    @cache
    def built(reference: str, *only: str) -> Bundle:
        folder: Path = tmp_path_factory.mktemp("bundles")
        return build(load_recipe(reference), output=folder / f"{reference}.edgekit", settings=Settings(only=only))

    return built
