"""`edgekit targets`: the devices that can be built for."""

from __future__ import annotations

import click

from edgekit.cli.output import emit, json_option, table


@click.command("targets")
@json_option
def command(json_path: str | None) -> None:
    """List the target devices, and which of them this machine can run."""
    from edgekit.target import load_target, target_names, target_to_json, why_not_runnable

    targets = [load_target(name) for name in target_names()]
    reasons = {target.name: why_not_runnable(target) for target in targets}
    emit(
        [{**target_to_json(target), "not_runnable_here": reasons[target.name]} for target in targets],
        json_path,
        lambda: table(
            "Targets",
            ["name", "device", "precisions", "runs here", "what it is"],
            [
                [
                    t.name,
                    f"{t.device} {t.arch}",
                    " ".join(t.precisions),
                    reasons[t.name] or "yes",
                    t.description,
                ]
                for t in targets
            ],
        ),
    )
