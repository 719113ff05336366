"""Every case of every op on every row of its kernel; rows that this CPU cannot run are skipped aloud."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from case import check_case, run_case

import edgekit._native as native

ROWS = native.kernel_rows()
OPS = sorted(native.op_ids())
CASES = {op: list(importlib.import_module(f"cases_{op}").cases()) for op in OPS}


def test_every_op_has_cases_and_a_scalar_row():
    assert {path.stem.removeprefix("cases_") for path in Path(__file__).parent.glob("cases_*.py")} == set(OPS)
    assert all(CASES.values())
    assert {op for op, row, _ in ROWS if row == "scalar"} == set(OPS)


@pytest.mark.parametrize(("op", "row", "runs_here"), ROWS, ids=[f"{op}-{row}" for op, row, _ in ROWS])
def test_kernel_gives_what_its_reference_says(op: str, row: str, runs_here: bool):
    if not runs_here:
        pytest.skip(f"this CPU lacks what row {row} needs")
    for case in CASES[op]:
        check_case(case, run_case(case, row))
