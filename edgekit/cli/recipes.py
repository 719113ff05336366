"""`edgekit recipes`: the models that come with edgekit."""

from __future__ import annotations

import sys
from typing import Any

import click

from edgekit.cli.output import emit, json_option, table


@click.command("recipes")
@json_option
def command(json_path: str | None) -> None:
    """List the recipes that come with edgekit."""
    from edgekit.recipes import SHIPPED, load_recipe

    rows: list[dict[str, Any]] = []
    for name, module in SHIPPED.items():
        recipe = load_recipe(name)
        summary = (sys.modules[module].__doc__ or "").strip().splitlines()[0]
        rows.append(
            {
                "name": name,
                "inputs": [str(spec) for spec in recipe.input_specs],
                "outputs": list(recipe.outputs),
                "metric": recipe.metric_name or "-",
                "max_drop": recipe.budget.max_drop,
                "summary": summary,
            }
        )
    emit(
        rows,
        json_path,
        lambda: table(
            "Recipes",
            ["name", "inputs", "metric", "budget", "what it is"],
            [[r["name"], "; ".join(r["inputs"]), r["metric"], f"{r['max_drop']:g}", r["summary"]] for r in rows],
        ),
    )
