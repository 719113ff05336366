"""The command line: thin commands over the Python interface; results on stdout, progress and errors on stderr."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Entry point of the `edgekit` command."""
    if missing := [package for package in ("click", "rich") if find_spec(package) is None]:
        sys.exit(f"Error: the command line needs {' and '.join(missing)}; run: pip install 'edgekit[cli]'")
    from edgekit.cli.main import cli

    cli()
