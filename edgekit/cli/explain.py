"""`edgekit explain`: which layers of a compressed model spoil it, and on which samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.output import emit, json_option, progress_bar, table

if TYPE_CHECKING:
    from edgekit.explaining import Explanation


@click.command("explain")
@click.argument("subject", metavar="BUNDLE|RECIPE")
@click.option(
    "--method", help="How a RECIPE is compressed: a name that `edgekit build --explain` lists.  [default: lean-mse]"
)
@click.option(
    "--bad-db",
    type=float,
    help="A layer is bad if it leaves less signal to noise than this where it alone is quantized.  [default: 20]",
)
@click.option(
    "--extract",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the first bad layer of a RECIPE there, as ONNX of its own with a script that reproduces its error.",
)
@json_option
def command(
    subject: str, method: str | None, bad_db: float | None, extract: Path | None, json_path: str | None
) -> None:
    """Show each layer's executed precision, time and noise, and the samples where float and compressed differ most."""
    from edgekit.explaining import BAD_DB, explain_bundle, explain_recipe, explanation_to_json
    from edgekit.recipes import load_recipe

    limit = BAD_DB if bad_db is None else bad_db
    if subject.endswith(".edgekit"):
        if method or extract:
            raise click.UsageError("--method and --extract take a recipe's data; a bundle has golden samples alone")
        found = explain_bundle(Path(subject), bad_db=limit)
    else:
        with progress_bar() as progress:
            found = explain_recipe(
                load_recipe(subject),
                **({"method": method} if method else {}),  # type: ignore[arg-type]
                bad_db=limit,
                extract=extract,
                progress=progress,
            )
    emit(explanation_to_json(found), json_path, lambda: _show(found, extract))


def _show(found: Explanation, extract: Path | None) -> None:
    table(
        f"{found.subject}: {found.variant}, {found.samples}",
        ["layer", "op", "executed", "kernel", "time", "float", "alone", "so far"],
        [
            [each.layer, each.op, each.precision or "-", each.kernel or "-", _us(each.time_us),
             _us(each.float_time_us), _db(each.alone_db), _db(each.so_far_db)]
            for each in found.layers
        ],
    )  # fmt: skip
    table(
        "samples with the most noise",
        ["sample", "signal to noise", "float", "compressed", "target"],
        [[str(each.index), _db(each.sqnr_db), each.expected, each.got, each.target or "-"] for each in found.worst],
    )
    click.echo(
        "alone: signal to noise of the outputs where this layer alone is quantized; so far: of its own output, with "
        "what all layers before it add.\ntimes are the runtime's profiler's: compare them with each other alone"
    )
    for note in found.notes:
        click.echo(note)
    click.echo(_verdict(found, extract))


def _verdict(found: Explanation, extract: Path | None) -> str:
    if not found.first_bad:
        return f"no layer by itself takes the outputs below {found.bad_db:g} dB"
    told = f"first bad layer: {found.first_bad}, below {found.bad_db:g} dB"
    if extract is None:
        return told
    return f"{told}; it lies in {extract}: run `python reproduce.py` there"


def _us(time_us: float | None) -> str:
    return "-" if time_us is None else f"{time_us:.1f} µs"


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"
