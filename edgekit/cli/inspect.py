"""`edgekit inspect`: what a bundle holds and what was measured of it."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.output import emit, json_option


@click.command("inspect")
@click.argument("bundle", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plan", "payload", metavar="PAYLOAD", help="The kernel calls of this payload, a static plan.")
@json_option
def command(bundle: Path, payload: str | None, json_path: str | None) -> None:
    """Show what BUNDLE holds: tensors, payloads, and every variant that was tried, with figures and reasons."""
    from edgekit.bundle import manifest_to_json, open_bundle
    from edgekit.cli.tables import show_contents

    opened = open_bundle(bundle)
    if payload is not None:
        from edgekit.cli.plans import plan_of, plan_to_json, show_plan

        plan = plan_of(opened, payload)
        emit(plan_to_json(plan), json_path, lambda: show_plan(plan))
        return
    emit(manifest_to_json(opened.manifest), json_path, lambda: show_contents(opened))
