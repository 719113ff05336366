"""`edgekit doctor`: what is installed, what this CPU can do, and what to install for the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgekit.cli.output import emit, json_option, table

if TYPE_CHECKING:
    from edgekit.doctor import Diagnosis


@click.command("doctor")
@json_option
def command(json_path: str | None) -> None:
    """Say what this machine can do with edgekit, and what to install for the rest."""
    from edgekit.doctor import diagnose

    found = diagnose()
    emit(asdict(found), json_path, lambda: _show(found))


def _show(found: Diagnosis) -> None:
    machine = found.machine
    isa = machine["isa"] if isinstance(machine["isa"], str) else ", ".join(machine["isa"])
    table(
        "This machine",
        ["", ""],
        [
            [
                "CPU",
                f"{machine['cpu']} ({machine['arch']}), {machine['cores']} cores, limit {machine['cgroup_cpus']}",
            ],
            ["instruction sets", isa],
            ["precisions", ", ".join(found.precisions)],
            ["system", f"{machine['kernel']}, Python {machine['python']}"],
            ["caches", found.cache],
            ["telemetry", "off: edgekit sends nothing, and keeps openvino and nncf from sending"],
        ],
    )
    rows = []
    for what, installed, missing, command_line in found.abilities:
        packages = ", ".join(f"{name} {number}" for name, number in installed.items())
        rows.append([what, "no" if missing else "yes", packages or "-", command_line or "-"])
    table("What edgekit can do here", ["ability", "", "installed", "to have it"], rows)
