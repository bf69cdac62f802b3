"""How many cores this process may use."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def schedulable_cores() -> int:
    """Count the cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def usable_cores() -> int:
    """Count the cores that this process may run on and that its control group lets it fill."""
    limit = cgroup_limit()
    return schedulable_cores() if limit is None else min(schedulable_cores(), math.ceil(limit))


def cgroup_limit(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Give the cores' worth of time that control groups allow (a container's limit), None: all."""
    quotas = []
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / name.strip("/")
        folders = [folder, *folder.parents]
        for place in folders[: folders.index(base) + 1]:
            quotas.append(_quota(place))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder):
    """Read one group's limit, of the second version or of the first."""
    both, quota, period = (
        folder / name for name in ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    )
    if both.is_file():
        words = both.read_text().split()
    elif quota.is_file() and period.is_file():
        words = [quota.read_text().strip(), period.read_text().strip()]
    else:
        return None
    return None if words[0] in ("max", "-1") else int(words[0]) / int(words[1])
