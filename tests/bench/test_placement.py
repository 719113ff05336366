"""Placement: CPUs are drawn where there is a choice, and those that others use are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bench import placement
from edgekit.bench.placement import Cpus, cpu_loads

linux = pytest.mark.skipif(placement.sys.platform != "linux", reason="CPUs are drawn on Linux alone")


def write_stat(path: Path, busy: dict[int, int], *, total: int) -> None:
    lines = ["cpu  1 2 3 4 5 6 7 8 9 10"]
    lines += [f"cpu{cpu} {ticks} 0 0 {total - ticks} 0 0 0 0 0 0" for cpu, ticks in busy.items()]
    path.write_text("\n".join([*lines, "intr 1 2 3", "ctxt 5"]) + "\n")


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda _pid: {2, 3, 5, 7})
    write_stat(tmp_path / "stat", {2: 0, 3: 0, 5: 0, 7: 0}, total=0)
    return tmp_path / "stat"


@linux
def test_cpus_are_drawn_only_where_there_is_a_choice(stat: Path) -> None:
    cpus = Cpus(2, seed=0, stat=stat)
    drawn = {cpus.draw() for _ in range(60)}
    assert all(len(pair) == 2 and set(pair) <= {2, 3, 5, 7} for pair in drawn)
    assert len(drawn) == 6
    assert Cpus(4, seed=0, stat=stat).draw() == ()
    assert Cpus(9, seed=0, stat=stat).draw() == ()


@linux
def test_a_seed_repeats_its_draws(stat: Path) -> None:
    def draws(seed: int) -> list[tuple[int, ...]]:
        cpus = Cpus(1, seed=seed, stat=stat)
        return [cpus.draw() for _ in range(20)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@linux
def test_a_cpu_that_others_use_is_left_alone_until_they_leave_it(stat: Path) -> None:
    cpus = Cpus(1, seed=0, stat=stat)
    while cpus.draw() == (7,):  # it is the others' load on a CPU that was not drawn that tells
        pass
    with cpus.watched():
        write_stat(stat, {2: 0, 3: 10, 5: 0, 7: 50}, total=100)
    assert {cpus.draw() for _ in range(60)} == {(2,), (3,), (5,)}
    with cpus.watched():
        write_stat(stat, {2: 0, 3: 10, 5: 0, 7: 55}, total=200)
    assert {cpus.draw() for _ in range(60)} == {(2,), (3,), (5,), (7,)}


@linux
def test_what_runs_on_the_sessions_own_cpu_is_not_the_others(stat: Path) -> None:
    cpus = Cpus(1, seed=0, stat=stat)
    (own,) = cpus.draw()
    with cpus.watched():
        write_stat(stat, {cpu: 100 if cpu == own else 0 for cpu in (2, 3, 5, 7)}, total=100)
    assert (own,) in {cpus.draw() for _ in range(60)}


@linux
def test_where_too_few_are_quiet_all_are_drawn_from(stat: Path) -> None:
    cpus = Cpus(2, seed=0, stat=stat)
    first = cpus.draw()
    with cpus.watched():
        write_stat(stat, {cpu: 0 if cpu in first else 100 for cpu in (2, 3, 5, 7)}, total=100)
    assert {cpus.draw() for _ in range(20)} == {first}
    wide = Cpus(3, seed=0, stat=stat)
    wide.draw()
    with wide.watched():
        write_stat(stat, dict.fromkeys((2, 3, 5, 7), 200), total=200)
    with wide.watched():
        write_stat(stat, dict.fromkeys((2, 3, 5, 7), 300), total=300)
    assert len({wide.draw() for _ in range(60)}) == 1  # three are not known to be busy
    crowded = Cpus(1, seed=0, stat=stat)
    crowded._busy = dict.fromkeys((2, 3, 5, 7), 1.0)
    assert {crowded.draw() for _ in range(60)} == {(2,), (3,), (5,), (7,)}


@linux
def test_too_short_a_session_tells_nothing(stat: Path) -> None:
    cpus = Cpus(1, seed=0, stat=stat)
    cpus.draw()
    with cpus.watched():
        write_stat(stat, dict.fromkeys((2, 3, 5, 7), 5), total=5)
    assert len({cpus.draw() for _ in range(60)}) == 4


def test_loads_are_read_where_the_system_tells_them(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 1 50 800 10 2 5 32 7 0\ncpu11 1 0 0 9 0 0 0 0 0 0\nx\n"
    )
    assert cpu_loads(tmp_path / "stat") == {0: (190, 1000), 11: (1, 10)}
    assert cpu_loads(tmp_path / "gone") == {}
