"""The fingerprint: it can be written down, names what is installed, and says so where it does not know."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from edgekit.bench import environment
from edgekit.bench.environment import UNAVAILABLE, fingerprint


def test_the_fingerprint_is_json_and_repeats_itself() -> None:
    found = fingerprint()
    assert json.loads(json.dumps(found)) == found
    assert fingerprint() == found
    assert found["packages"]["numpy"] == version("numpy")
    assert found["cores"] == os.cpu_count()


def test_a_package_that_is_not_there_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    assert fingerprint()["packages"] == {"no-such-package": "not installed"}


def test_facts_that_the_system_does_not_give_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_text", lambda path: "")
    monkeypatch.setattr(environment, "cpu_fact", lambda name: "")
    monkeypatch.setattr(environment.platform, "processor", lambda: "")
    found = fingerprint()
    for name in ("cpu", "microcode", "governor", "cgroup_cpus", "hypervisor"):
        assert found[name] == UNAVAILABLE


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/self/cgroup": "0::/a/b", "/sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "max 100000"}, "unlimited"),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, "unlimited"),
        ({}, UNAVAILABLE),
    ],
)
def test_the_control_groups_quota_is_read_in_both_versions(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: float | str
) -> None:
    monkeypatch.setattr(environment, "_text", lambda path: files.get(Path(path).as_posix(), ""))
    assert fingerprint()["cgroup_cpus"] == expected


def test_it_needs_no_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert fingerprint()["cores"]


def test_stolen_time_is_read_where_the_system_tells_it(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert environment.cpu_times(stat) == (35, 1000)
    assert environment.cpu_times(tmp_path / "gone") is None
    stat.write_text("cpu  1 2 3\n")
    assert environment.cpu_times(stat) is None


def test_stolen_share_is_that_of_the_time_between() -> None:
    assert environment.stolen_share((35, 1000), (45, 1200)) == 0.05
    assert environment.stolen_share((35, 1000), (35, 1000)) is None
    assert environment.stolen_share(None, (1, 2)) is None
