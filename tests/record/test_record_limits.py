"""Memory and cores of a container: the smaller of the machine's and the control groups' counts."""

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.record.limits import Memory, core_limit, usable_cores, usable_memory

MB = 2**20
V1_UNLIMITED = 9223372036854771712
"""What the kernel says of a group of version 1 without a limit: the largest whole number of pages."""


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 16 cores and 64,000 MB, of which 50,000 are free."""
    memory = SimpleNamespace(available=50_000 * MB, total=64_000 * MB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


def groups(tmp_path: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write control groups by the names of their files, and the file that names the process's own."""
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    (tmp_path / "own").write_text(own)
    return tmp_path / "groups", tmp_path / "own"


def memory_v2(limit: object, used: int, files: int = 0) -> dict[str, str]:
    stat = f"anon 5\nfile {files + 77}\ninactive_file {files}\nactive_file 77\n"
    return {"memory.max": f"{limit}\n", "memory.current": f"{used}\n", "memory.stat": stat}


def memory_v1(limit: object, used: int, files: int = 0) -> dict[str, str]:
    stat = f"inactive_file 3\ntotal_inactive_file {files}\n"
    return {"memory.limit_in_bytes": f"{limit}\n", "memory.usage_in_bytes": f"{used}\n", "memory.stat": stat}


def under(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


MEMORY = {
    "no groups at all": ("", {}, 50_000, 64_000),
    "v2, a container sees its own at the root": ("0::/\n", memory_v2(4000 * MB, 1000 * MB), 3000, 4000),
    "v2, no limit": ("0::/\n", memory_v2("max", 1000 * MB), 50_000, 64_000),
    "v2, files in the page cache are given up": ("0::/\n", memory_v2(4000 * MB, 3900 * MB, 900 * MB), 1000, 4000),
    "v2, more used than allowed": ("0::/\n", memory_v2(400 * MB, 500 * MB), 0, 400),
    "v2, a path of the host's": ("0::/kubepods/pod1\n", memory_v2(4000 * MB, 0), 4000, 4000),
    "v2, a path beyond the root": ("0::/../../other\n", memory_v2(4000 * MB, 0), 4000, 4000),
    "v2, its own group": ("0::/user/job\n", under("user/job", memory_v2(300 * MB, 100 * MB)), 200, 300),
    "v2, the group around is fuller": (
        "0::/user/job\n",
        {**under("user", memory_v2(900 * MB, 850 * MB)), **under("user/job", memory_v2(300 * MB, 100 * MB))},
        50,
        300,
    ),
    "v2, more than the machine has": ("0::/\n", memory_v2(99_000 * MB, 0), 50_000, 64_000),
    "v1, a container": ("4:memory:/docker/ab\n", under("memory", memory_v1(2000 * MB, 500 * MB, 100 * MB)), 1600, 2000),
    "v1, its own group": (
        "9:cpu,cpuacct:/x\n4:memory:/slurm/job\n",
        under("memory/slurm/job", memory_v1(2000 * MB, 500 * MB)),
        1500,
        2000,
    ),
    "v1, no limit": ("4:memory:/\n0::/\n", under("memory", memory_v1(V1_UNLIMITED, 500 * MB)), 50_000, 64_000),
    "v1, another's group": ("4:memory:/a\n", under("memory/b", memory_v1(MB, 0)), 50_000, 64_000),
    "a limit torn": ("0::/\n", {"memory.max": "", "memory.current": "\n"}, 50_000, 64_000),
    "statistics torn": ("0::/\n", {**memory_v2(400 * MB, 100 * MB), "memory.stat": "inactive_file"}, 300, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_the_least_of_the_machines_and_of_all_groups(tmp_path, name):
    own, files, free, total = MEMORY[name]
    assert usable_memory(*groups(tmp_path, own, files)) == Memory(free * MB, total * MB, 64_000 * MB)


CORES = {
    "no groups at all": ("", {}, 16, None),
    "v2": ("0::/\n", {"cpu.max": "400000 100000\n"}, 4, 4.0),
    "v2, no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, 16, None),
    "v2, a share of a core is none": ("0::/\n", {"cpu.max": "350000 100000\n"}, 3, 3.5),
    "v2, less than one": ("0::/\n", {"cpu.max": "20000 100000\n"}, 1, 0.2),
    "v2, more than there are": ("0::/\n", {"cpu.max": "9900000 100000\n"}, 16, 99.0),
    "v2, the group around": ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "800000 100000"}, 2, 2.0),
    "v2 beside v1": ("0::/a\n", {"unified/a/cpu.max": "200000 100000"}, 2, 2.0),
    "v1": ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "600000\n", "cpu/cpu.cfs_period_us": "200000\n"}, 3, 3.0),
    "v1, no limit": ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16, None),
    "v1, mounted together": (
        "3:cpu,cpuacct:/job\n",
        {"cpu,cpuacct/job/cpu.cfs_quota_us": "500000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
        5,
        5.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CORES)
def test_cores_are_those_of_the_process_and_no_more_than_its_groups_allow(tmp_path, name):
    own, files, cores, limit = CORES[name]
    found = groups(tmp_path, own, files)
    assert (usable_cores(*found), core_limit(*found)) == (cores, limit)


def test_fewer_cores_of_its_own_count_before_the_group(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5}, raising=False)
    assert usable_cores(*groups(tmp_path, "0::/\n", {"cpu.max": "400000 100000"})) == 2


def test_a_system_without_control_groups_has_what_the_machine_has(tmp_path):
    nowhere = tmp_path / "nowhere"
    assert usable_memory(nowhere, nowhere) == Memory(50_000 * MB, 64_000 * MB, 64_000 * MB)
    assert usable_cores(nowhere, nowhere) == 16
