"""The command line: thin commands over the Python interface; results on stdout, progress and errors on stderr."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the `edgekit` command."""
    try:
        from edgekit.cli.main import cli
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f"Error: the command line needs {error.name}; run: pip install 'edgekit[cli]'")
    cli()
