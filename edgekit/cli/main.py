"""The `edgekit` group: commands load when they are called, and edgekit's errors become exit code 1."""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Any

import click

from edgekit import __version__
from edgekit.errors import EdgekitError

COMMANDS = (
    "demo",
    "recipes",
    "targets",
    "doctor",
    "export",
    "build",
    "run",
    "inspect",
    "explain",
    "verify",
    "bench",
    "tune",
    "gate",
    "report",
)


class LazyGroup(click.Group):
    """Finds command `x` as `command` in the module `edgekit.cli.x`, so that `--help` imports nothing heavy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"edgekit.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EdgekitError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has gone: click ends quietly
                raise
            raise click.ClickException(f"{error}; {_remedy(error)}") from error


def _remedy(error: OSError) -> str:
    """What to do about a file that the system refuses outside the places that say so themselves."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space; TMPDIR moves temporary files to another disk, and EDGEKIT_CACHE the caches"
    return "check that it is there and that you may use it"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgekit")
def cli() -> None:
    """From a PyTorch model to the device it must run on, and proof that it is still right and fast there.

    \b
    edgekit demo                      the whole road on data that ships with scikit-learn
    edgekit build RECIPE -o X.edgekit your own model
    edgekit bench X.edgekit           against the tools you would use otherwise

    RECIPE is a shipped name, pkg.module:attribute, or path/to/file.py[:attribute].
    Exit codes: 0 good, 1 an error whose message says what to do, 2 wrong usage.
    """
