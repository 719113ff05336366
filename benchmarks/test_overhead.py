"""What edgekit itself adds: to a call, to a load, and to a program's start, each beside the least there could be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import edgekit
from edgekit.bundle import Bundle
from edgekit.runtime.session import open_payload
from edgekit.tensors import Array

ort = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def bundle(bundle_of: Callable[..., Bundle]) -> Bundle:
    """The smallest shipped network, on onnxruntime alone: the less a network does, the more its surroundings show."""
    return bundle_of("simple-cnn", "onnxruntime-f32")


@pytest.fixture(scope="module")
def feeds(bundle: Bundle) -> dict[str, Array]:
    return {name: np.array(array) for name, array in bundle.golden_inputs(0).items()}


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Iterator[edgekit.Session]:
    with edgekit.load(bundle.path) as opened:
        yield opened


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> bytes:
    return bytes(bundle.view(bundle.manifest.targets[0].payloads[0].files["model"]))


def plain(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.mark.benchmark(group="call")
class TestCall:
    def test_bind(self, benchmark: BenchmarkFixture, session: edgekit.Session, feeds: dict[str, Array]) -> None:
        outputs = {name: np.empty_like(array) for name, array in session.run(feeds).items()}
        benchmark(session.bind(feeds, outputs))

    def test_runner(self, benchmark: BenchmarkFixture, bundle: Bundle, feeds: dict[str, Array]) -> None:
        runner = open_payload(bundle, bundle.manifest.targets[0].payloads[0], threads=1)
        benchmark(runner.run, feeds)
        runner.close()

    def test_session(self, benchmark: BenchmarkFixture, session: edgekit.Session, feeds: dict[str, Array]) -> None:
        benchmark(session.run, feeds)

    def test_onnxruntime(self, benchmark: BenchmarkFixture, model: bytes, feeds: dict[str, Array]) -> None:
        benchmark(plain(model).run, None, feeds)


@pytest.mark.benchmark(group="load")
class TestLoad:
    @pytest.mark.usefixtures("session")  # whose load was the first, and replayed the golden samples
    def test_edgekit(self, benchmark: BenchmarkFixture, bundle: Bundle) -> None:
        benchmark(lambda: edgekit.load(bundle.path).close())

    def test_onnxruntime(self, benchmark: BenchmarkFixture, model: bytes) -> None:
        benchmark(plain, model)


@pytest.mark.benchmark(group="a program that imports")
@pytest.mark.parametrize("code", ["", "import numpy", "import edgekit", "import edgekit; edgekit.load"])
def test_import(benchmark: BenchmarkFixture, code: str) -> None:
    command = [sys.executable, "-c", code]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=10, warmup_rounds=1)
