"""`edgekit run`: feed a bundle from .npy files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import click

from edgekit.cli.output import emit, json_option, table
from edgekit.errors import TensorError
from edgekit.files import replacing


@click.command("run")
@click.argument("bundle", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=FILE.npy",
    required=True,
    help="An input; repeat for each.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The .npz file to write.",
)
@click.option("--target", help="Which of the bundle's targets to use; the best one for this machine by default.")
@click.option("--threads", type=click.IntRange(min=1), help="Intra-op threads; the target profile's number by default.")
@json_option
def command(
    bundle: Path,
    inputs: tuple[str, ...],
    output: Path,
    target: str | None,
    threads: int | None,
    json_path: str | None,
) -> None:
    """Run BUNDLE once on inputs from .npy files and write its outputs to one .npz file."""
    import edgekit

    feeds = dict(_read_input(text) for text in inputs)
    with edgekit.load(bundle, threads=threads, target=target) as session:
        outputs = session.run(feeds)
        info = session.info
    _write(output, outputs)
    rows: dict[str, dict[str, Any]] = {
        name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in outputs.items()
    }
    emit(
        {"output": str(output), "payload": info.payload, "target": info.target, "outputs": rows},
        json_path,
        lambda: table(
            f"{output}: from {info.payload} on {info.target}",
            ["output", "dtype", "shape"],
            [[name, row["dtype"], str(row["shape"])] for name, row in rows.items()],
        ),
    )


def _read_input(text: str) -> tuple[str, Any]:
    import numpy as np

    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise click.UsageError(f"-i {text}: expected NAME=FILE.npy")
    try:
        return name, np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise TensorError(f"input {name!r}: {path} cannot be read as .npy: {error}") from error


def _write(path: Path, outputs: dict[str, Any]) -> None:
    """An .npz as `np.savez` writes it, except that an output may have any name: there `file` is a parameter."""
    import numpy as np

    with replacing(path) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name, array in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
