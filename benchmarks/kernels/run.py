"""Times every row of every kernel at the shapes that the networks of this folder's siblings have.

    python benchmarks/kernels/run.py -o kernels.json [OP...]
    python benchmarks/kernels/run.py -o kernels.json --tables > benchmarks/kernels.md

The rows come from the library's own table, so that a new one is timed without a change here; an op without shapes in
`shapes.py` is named at the end. A time is the least mean of many short batches, on memory that is warm.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from measure import measure
from shapes import SHAPES
from tables import page

import edgekit._native as native
from edgekit.errors import EdgekitError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ops", nargs="*", help="all of them if none; others keep what they have in the file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON file of the results")
    parser.add_argument("--tables", action="store_true", help="print the page of what is in the file")
    arguments = parser.parse_args()
    kept = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else []
    if arguments.tables:
        print(page(kept))
        return
    known = sorted(native.op_ids())
    if unknown := set(arguments.ops) - set(known):
        parser.error(f"unknown {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    for op in arguments.ops or known:
        found = time_op(op)
        kept = [row for row in kept if row["op"] != op] + found
        arguments.output.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(f"{op}: {len(found)} shapes", flush=True)


def time_op(op: str) -> list[dict[str, object]]:
    rows = [row for name, row, runs_here in native.kernel_rows() if name == op and runs_here]
    if op not in SHAPES:
        print(f"{op}: no shapes in shapes.py", file=sys.stderr)
    found = []
    for shape in SHAPES.get(op, ()):
        try:
            found.append(measure(op, shape, rows))
        except EdgekitError as error:
            print(f"{op}, {shape.name}: {error}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
