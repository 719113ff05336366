"""`edgekit explain`: its tables, its verdict in words, its JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgekit.cli.main import cli

pytest.importorskip("torch", reason="a recipe takes torch")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["explain", *map(str, arguments)])


def test_layers_samples_and_the_verdict_are_shown(tmp_path: Path) -> None:
    result = run("simple-cnn", "--json", tmp_path / "x.json")
    assert result.exit_code == 0, result.stderr
    for text in ("so far", "samples with the most noise", "no layer by itself takes the outputs below 20 dB", "layers"):
        assert text in result.stdout
    assert "layers alone" in result.stderr
    data = json.loads((tmp_path / "x.json").read_text())
    assert (data["subject"], data["first_bad"], data["reproduction"]) == ("simple-cnn", "", None)
    assert all(layer["alone_db"] > 30 for layer in data["layers"])


def test_a_layer_is_written_with_a_script_and_its_noise_is_told(tmp_path: Path) -> None:
    result = run("simple-cnn", "--extract", tmp_path, "--bad-db", 1000)
    assert result.exit_code == 0, result.stderr
    assert "first bad layer: node_" in result.stdout
    assert f"python {tmp_path / 'reproduce.py'} shows it" in " ".join(result.stdout.split())
    assert (tmp_path / "layer.onnx").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("x.edgekit", "--method", "nncf"), "--method is for a recipe"),
        (("simple-cnn", "--payload", "x"), "--payload and --recipe are for a bundle"),
        (("simple-cnn", "--recipe", "simple-cnn"), "--payload and --recipe are for a bundle"),
        (("simple-cnn", "--extract-layer", "x"), "give --extract DIR too"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_a_bundle_that_is_not_there_is_an_error() -> None:
    result = run("nowhere.edgekit")
    assert result.exit_code == 1
    assert "no bundle at nowhere.edgekit" in result.stderr
