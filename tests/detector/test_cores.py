import pytest

from yolo3.detector import cores
from yolo3.detector.cores import cgroup_limit, usable_cores


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("cpu_", "cpu.", 1)).write_text(content)


@pytest.mark.parametrize(
    ("own", "limit"),
    [
        ("0::/", None),
        ("0::/a", 1.5),
        ("0::/a/b", 0.5),
        ("0::/a/b/gone", 0.5),
        ("3:cpuset:/a", None),
        ("4:cpu,cpuacct:/c\n3:memory:/c", 3.0),
    ],
)
def test_the_limit_of_a_container_is_read(tmp_path, own, limit):
    root = tmp_path / "cgroup"
    group(root)
    group(root / "a", cpu_max="150000 100000\n")
    group(root / "a" / "b", cpu_max="50000 100000\n")
    group(root / "cpu", cpu_cfs_quota_us="-1\n", cpu_cfs_period_us="100000\n")
    group(root / "cpu" / "c", cpu_cfs_quota_us="300000\n", cpu_cfs_period_us="100000\n")
    (tmp_path / "own").write_text(f"{own}\n")
    assert cgroup_limit(root, tmp_path / "own") == limit
    assert cgroup_limit(root, tmp_path / "nowhere") is None


def test_a_limit_counts_as_cores_that_it_begins(monkeypatch):
    monkeypatch.setattr(cores, "schedulable_cores", lambda: 8)
    for limit, count in ((None, 8), (0.5, 1), (1.5, 2), (64.0, 8)):
        monkeypatch.setattr(cores, "cgroup_limit", lambda limit=limit: limit)
        assert usable_cores() == count
