"""`edgekit explain`: which layers of a compressed model spoil it, and on which samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.output import emit, json_option, progress_bar, table

if TYPE_CHECKING:
    from edgekit.explaining import Explanation, LayerFacts, Look, WorstSample
    from edgekit.progress import Progress

LEGEND = (
    "alone: signal to noise of the outputs where this layer alone is compressed; so far: of its own result, with what "
    "all layers before it add.\ntimes are the runtime's profiler's, of all that is fused: compare them with each other"
)


@click.command("explain")
@click.argument("subject", metavar="BUNDLE|RECIPE")
@click.option(
    "--method", help="How a RECIPE is compressed: a name that `edgekit build --explain` lists.  [default: lean-mse]"
)
@click.option("--payload", help="Which of a BUNDLE's payloads; its first compressed one by default.")
@click.option(
    "--recipe", help="What a BUNDLE was built from: for more samples than its golden ones, and for --extract."
)
@click.option("-t", "--target", help="A target name; this machine's CPU, or a BUNDLE's best target, by default.")
@click.option(
    "--bad-db",
    type=float,
    help="A layer is bad if it leaves less signal to noise than this where it alone is compressed.  [default: 20]",
)
@click.option(
    "--extract",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the first bad layer there, as ONNX of its own with a script that reproduces its error.",
)
@click.option("--extract-layer", metavar="NAME", help="Write this layer instead, bad or not.")
@json_option
def command(
    subject: str,
    method: str | None,
    payload: str | None,
    recipe: str | None,
    target: str | None,
    bad_db: float | None,
    extract: Path | None,
    extract_layer: str | None,
    json_path: str | None,
) -> None:
    """Show each layer's executed precision, time and noise, and the samples where float and compressed differ most."""
    from edgekit.explaining import BAD_DB, Look, explanation_to_json

    if extract_layer and extract is None:
        raise click.UsageError("--extract-layer says what --extract writes; give --extract DIR too")
    look = Look(BAD_DB if bad_db is None else bad_db, extract, extract_layer or "")
    is_bundle = subject.endswith(".edgekit")
    if is_bundle and method:
        raise click.UsageError("--method is for a recipe; a bundle's payloads are compressed already: see --payload")
    if not is_bundle and (payload or recipe):
        raise click.UsageError("--payload and --recipe are for a bundle; this is a recipe: see --method")
    with progress_bar() as progress:
        if is_bundle:
            found = _bundle(Path(subject), payload, recipe, target, look=look, progress=progress)
        else:
            found = _recipe(subject, method, target, look=look, progress=progress)
    emit(explanation_to_json(found), json_path, lambda: _show(found, look))


def _bundle(
    path: Path, payload: str | None, recipe: str | None, target: str | None, *, look: Look, progress: Progress
) -> Explanation:
    from edgekit.explaining import explain_bundle
    from edgekit.recipes import load_recipe

    loaded = load_recipe(recipe) if recipe else None
    return explain_bundle(path, recipe=loaded, target=target, payload=payload or "", look=look, progress=progress)


def _recipe(reference: str, method: str | None, target: str | None, *, look: Look, progress: Progress) -> Explanation:
    from edgekit.explaining import explain_recipe
    from edgekit.recipes import load_recipe
    from edgekit.target import load_target

    loaded = load_target(target) if target else None
    return explain_recipe(load_recipe(reference), method=method or "", target=loaded, look=look, progress=progress)


def _show(found: Explanation, look: Look) -> None:
    table(
        f"{found.subject}: {found.variant}",
        ["layer", "op", "executed", "kernel", "time", "float", "alone", "so far", ""],
        [_layer_cells(each, found.bad_db) for each in found.layers],
    )
    _show_samples("samples with the most noise", found.worst)
    if found.lost:
        _show_samples(f"samples that lose most of the metric, of {found.lost_count} that lose any", found.lost)
    click.echo(f"executed: {found.executed}\nfloat: {found.float_executed}\n{found.samples}\n{LEGEND}")
    for note in found.notes:
        click.echo(note)
    click.echo(_verdict(found, look))


def _layer_cells(each: LayerFacts, bad_db: float) -> list[str]:
    words = ["float" if each.compressed is False else "", _bad(each, bad_db)]
    return [
        each.layer,
        each.op,
        each.precision or "-",
        each.kernel or "-",
        _us(each.time_us),
        _us(each.float_time_us),
        _db(each.alone_db),
        _db(each.so_far_db),
        " ".join(filter(None, words)),
    ]


def _bad(each: LayerFacts, bad_db: float) -> str:
    return "bad" if each.alone_db is not None and each.alone_db < bad_db else ""


def _show_samples(title: str, samples: Sequence[WorstSample]) -> None:
    table(
        title,
        ["sample", "signal to noise", "float", "compressed", "target", "score, float", "score"],
        [
            [str(each.index), _db(each.sqnr_db), each.expected, each.got, each.target or "-",
             _score(each.float_score), _score(each.score)]
            for each in samples
        ],
    )  # fmt: skip


def _verdict(found: Explanation, look: Look) -> str:
    bad = f"first bad layer: {found.first_bad}, below {found.bad_db:g} dB" if found.first_bad else _none_bad(found)
    if found.reproduction is None:
        return bad if look.extract is None else f"{bad}; nothing is written to {look.extract}"
    cut = found.reproduction
    noise = ", ".join(f"{name} {_db(db)}" for name, db in cut.outputs_db.items())
    return f"{bad}\n{cut.layer} alone, on sample {cut.index}: {noise}; python {cut.folder / 'reproduce.py'} shows it"


def _none_bad(found: Explanation) -> str:
    if all(each.alone_db is None for each in found.layers):
        return "which layers are bad is not known: none could be looked at alone"
    return f"no layer by itself takes the outputs below {found.bad_db:g} dB"


def _us(time_us: float | None) -> str:
    return "-" if time_us is None else f"{time_us:.1f} µs"


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
