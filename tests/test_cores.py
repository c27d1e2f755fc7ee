"""Quotas read from made-up /proc and cgroup trees; `test_mxnet.py` follows a real affinity and a real cgroup."""

import os

import pytest

from lossbench import _cores


def quota(tmp_path, cgroup, mountinfo, files):
    """The quota read from a made-up /proc and cgroup tree below tmp_path."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "cgroup").write_text(cgroup)
    (tmp_path / "mountinfo").write_text(mountinfo.format(root=tmp_path))
    return _cores._cgroup_quota(tmp_path)


V2 = "31 23 0:28 / {root}/fs rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "31 23 0:28 / {root}/fs/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "32 23 0:29 / {root}/fs/memory rw,nosuid - cgroup cgroup rw,memory\n"


def test_quota_version_2(tmp_path):
    files = {"fs/a/b/cpu.max": "max 100000\n", "fs/a/cpu.max": "250000 100000\n", "fs/c/cpu.max": "100000 100000\n"}
    assert quota(tmp_path, "0::/a/b\n", V2, files) == 2.5


def test_quota_version_1(tmp_path):
    files = {
        "fs/cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n",
        "fs/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        "fs/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "fs/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "fs/memory/a/cpu.cfs_quota_us": "1\n",
        "fs/memory/a/cpu.cfs_period_us": "100000\n",
    }
    assert quota(tmp_path, "4:memory:/a\n3:cpu,cpuacct:/a\n0::/\n", V1 + V1_MEMORY, files) == 0.5


def test_quota_of_a_container_that_sees_only_its_own_part(tmp_path):
    mount = "31 23 0:28 /docker/1f {root}/fs ro - cgroup2 cgroup2 rw\n"
    files = {"fs/cpu.max": "300000 100000\n"}
    assert quota(tmp_path, "0::/docker/1f\n", mount, files) == 3
    assert quota(tmp_path, "0::/elsewhere\n", mount, files) == 3


def test_quota_beside_a_mount_whose_name_is_not_utf_8(tmp_path):
    stick = os.fsdecode(b"33 23 0:30 / /media/caf\xe9\x85 rw - vfat /dev/sdb1 rw\n")
    (tmp_path / "cgroup").write_text("0::/a\n")
    (tmp_path / "mountinfo").write_bytes(os.fsencode(stick + V2.format(root=tmp_path)))
    (tmp_path / "fs" / "a").mkdir(parents=True)
    (tmp_path / "fs" / "a" / "cpu.max").write_text("250000 100000\n")
    assert _cores._cgroup_quota(tmp_path) == 2.5


def test_no_quota(tmp_path):
    assert quota(tmp_path, "0::/a\n", V2, {"fs/a/cpu.max": "max 100000\n"}) is None
    assert quota(tmp_path, "0::/a\n", V2, {"fs/a/cpu.max": "nonsense\n"}) is None
    assert _cores._cgroup_quota(tmp_path / "absent") is None


@pytest.mark.parametrize(("granted", "threads"), [(None, 4), (8.0, 4), (2.5, 2), (0.5, 1)])
def test_a_quota_lowers_the_threads_to_whole_cores(monkeypatch, granted, threads):
    monkeypatch.setattr(_cores, "_cgroup_quota", lambda: granted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    assert _cores.thread_count() == threads


@pytest.mark.parametrize(
    ("flags", "has"),
    [("fpu avx512f avx512bw", False), ("avx512_bf16 sse", True), ("avx512_bf16x", False), ("amx_bf16", True)],
)
def test_the_processors_flags_tell_of_bfloat16(tmp_path, monkeypatch, flags, has):
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert _cores.has_bfloat16(tmp_path / "cpuinfo") == has
    assert not _cores.has_bfloat16(tmp_path / "absent")


@pytest.mark.parametrize(("limit", "has"), [("AVX2", False), ("avx512_core", False), ("AVX512_CORE_BF16", True)])
def test_a_limit_on_oneDNN_tells_of_bfloat16(tmp_path, monkeypatch, limit, has):
    (tmp_path / "cpuinfo").write_text("flags\t\t: avx512_bf16\n")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", limit)
    assert _cores.has_bfloat16(tmp_path / "cpuinfo") == has


@pytest.mark.parametrize(
    ("vendor", "amx", "faster"),
    [("GenuineIntel", True, True), ("GenuineIntel", False, False), ("AuthenticAMD", False, True)],
)
def test_without_amx_bfloat16_is_slower_on_intels_processors(tmp_path, vendor, amx, faster):
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {vendor}\nflags\t\t: avx512_bf16\n")
    assert _cores.is_bfloat16_faster(amx, tmp_path / "cpuinfo") == faster


@pytest.mark.parametrize("lacking", ["avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"])
def test_amx_is_not_asked_for_where_a_part_of_it_is_lacking(tmp_path, monkeypatch, lacking):
    monkeypatch.setattr(_cores.ctypes, "CDLL", None)
    flags = {"avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"} - {lacking}
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {' '.join(sorted(flags))}\n")
    assert not _cores.grant_amx(tmp_path / "cpuinfo")
    assert not _cores.grant_amx(tmp_path / "absent")
