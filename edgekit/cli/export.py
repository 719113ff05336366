"""`edgekit export`: a recipe's model as ONNX, and proof that it computes the same."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgekit.cli.output import emit, json_option, progress_bar, table


@click.command("export")
@click.argument("recipe")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The ONNX file to write.",
)
@json_option
def command(recipe: str, output: Path, json_path: str | None) -> None:
    """Export RECIPE to ONNX and compare every output with torch; a difference is an error, and nothing is written."""
    from edgekit.export import export, save_model
    from edgekit.parity import check_parity
    from edgekit.recipes import load_recipe

    loaded = load_recipe(recipe)
    with progress_bar() as progress:
        progress("export", 0, 2)
        exported = export(loaded)
        progress("export", 1, 2)
        checks = check_parity(loaded, exported)
        progress("export", 2, 2)
    save_model(exported.model, output)
    emit(
        {"output": str(output), "parity": [asdict(check) for check in checks]},
        json_path,
        lambda: table(
            f"{output}: parity with torch",
            ["output", "sizes", "largest error", "allowed"],
            [
                [
                    c.output,
                    ", ".join(f"{k}={v}" for k, v in c.sizes.items()) or "fixed",
                    f"{c.error:.2e}",
                    f"{c.tolerance:.2e}",
                ]
                for c in checks
            ],
        ),
    )
