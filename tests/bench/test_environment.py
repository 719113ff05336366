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
