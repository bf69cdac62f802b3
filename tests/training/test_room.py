import psutil
import pytest

from yolo3.training.room import available_bytes, find_rooms

MB = 1_000_000
UNLIMITED = 9223372036854771712  # what version 1 tells where there is no limit


def make(root, own, groups):
    """Write what the kernel shows: /proc/self/cgroup, and the files of groups by their folder."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    for folder, files in groups.items():
        place = root / "sys/fs/cgroup" / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name).write_text(f"{text}\n")


def v2(limit, used, inactive=0):
    stat = f"anon {used - inactive}\nfile {inactive}\ninactive_file {inactive}\nactive_file 0"
    return {"memory.max": limit, "memory.current": used, "memory.stat": stat}


def v1(limit, used, inactive=0):
    stat = f"cache {inactive}\ninactive_file 0\ntotal_inactive_file {inactive}"
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": stat}


def cgroups(root):
    return [(room.free, room.most, room.origin) for room in find_rooms(root)[1:]]


def test_every_group_around_the_process_counts(tmp_path):
    groups = {
        "jobs/train": v2(900 * MB, 100 * MB),
        "jobs": v2(500 * MB, 350 * MB),
        "": {"memory.stat": "inactive_file 0"},  # the root has no limit and no usage
    }
    make(tmp_path, "0::/jobs/train\n", groups)
    assert cgroups(tmp_path) == [
        (800 * MB, 800 * MB, "in the cgroup /jobs/train, limited to 0.9 GB"),
        (150 * MB, 150 * MB, "in the cgroup /jobs, limited to 0.5 GB"),
    ]
    assert available_bytes(tmp_path) == 150 * MB


def test_version_1_beside_an_empty_version_2(tmp_path):
    own = "9:name=systemd:/a\n4:cpu,memory:/outer/inner\n1:cpuset:/b\n0::/a\n"
    groups = {
        "memory/outer/inner": v1(300 * MB, 120 * MB),
        "memory/outer": v1(UNLIMITED, 400 * MB),
        "cpuset/b": v1(1, 1),
    }
    make(tmp_path, own, groups)
    assert [room[0] for room in cgroups(tmp_path)] == [180 * MB, UNLIMITED - 400 * MB]
    assert available_bytes(tmp_path) == 180 * MB


@pytest.mark.parametrize(
    ("own", "folder", "version"), [("0::/x\n", "x", v2), ("4:memory:/x\n", "memory/x", v1)]
)
def test_page_cache_that_can_be_given_up_is_not_used(tmp_path, own, folder, version):
    make(tmp_path, own, {folder: version(300 * MB, 290 * MB, 250 * MB)})
    assert available_bytes(tmp_path) == 260 * MB


def test_in_a_container_the_path_is_the_hosts_and_the_limit_at_the_top(tmp_path):
    make(tmp_path, "4:memory:/docker/0123abc\n", {"memory": v1(200 * MB, 50 * MB)})
    assert cgroups(tmp_path)[0][0] == 150 * MB


def test_a_group_outside_the_namespace_is_not_followed(tmp_path):
    make(tmp_path / "a", "0::/../../b\n", {"": v2(200 * MB, 50 * MB), "b": v2(9 * MB, 0)})
    (tmp_path / "a/sys/fs/b").mkdir()
    assert [room[0] for room in cgroups(tmp_path / "a")] == [150 * MB]


def test_no_limit_leaves_the_machines(tmp_path):
    make(tmp_path, "0::/x\n", {"x": v2("max", 50 * MB)})
    assert not cgroups(tmp_path)
    assert not cgroups(tmp_path / "a system without /proc")
    [room] = find_rooms(tmp_path)
    assert room.origin == "on this machine"
    assert (
        0
        < room.free
        <= room.most
        <= sum((psutil.virtual_memory().total, psutil.swap_memory().total))
    )


def test_a_group_past_its_limit_leaves_nothing(tmp_path):
    make(tmp_path, "0::/x\n", {"x": v2(50 * MB, 60 * MB)})
    assert available_bytes(tmp_path) == 0


def test_a_limit_without_statistics_still_counts(tmp_path):
    make(tmp_path, "0::/x\n", {"x": v2(90 * MB, 60 * MB) | {"memory.stat": ""}})
    assert available_bytes(tmp_path) == 30 * MB


def test_this_machine_can_be_asked():
    assert 0 < available_bytes() <= psutil.virtual_memory().total
