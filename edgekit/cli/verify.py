"""`edgekit verify`: every byte of a bundle, and every payload that this machine can run."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.output import emit, json_option, table


@click.command("verify")
@click.argument("bundle", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def command(ctx: click.Context, bundle: Path, json_path: str | None) -> None:
    """Check every byte of BUNDLE, then replay its golden samples through every payload that can run here."""
    from edgekit.runtime.verify import verify

    results = verify(bundle)
    emit(
        {"bundle": str(bundle), "payloads": [vars(result) for result in results]},
        json_path,
        lambda: table(
            f"{bundle}: every byte is as written",
            ["payload", "target", "golden samples", "detail"],
            [[r.payload, r.target, r.status, r.detail] for r in results],
        ),
    )
    if any(result.status == "failed" for result in results):
        ctx.exit(1)
