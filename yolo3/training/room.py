"""How much memory this process may still take: the machine's, and that of each cgroup around it."""

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import psutil


class Room(NamedTuple):
    """Hold what one limit leaves, in bytes.

    free: without driving anything out of memory.
    most: beyond which the system ends processes. On Linux a machine's swap counts, and none of a
    cgroup's; elsewhere the system moves other programs to disk, so the whole memory counts.
    origin: "on this machine", or the cgroup and its limit.
    """

    free: int
    most: int
    origin: str


def find_rooms(root: Path = Path("/")) -> list[Room]:
    """List what the machine leaves, then what each limited cgroup of this process leaves.

    Reads cgroups of version 2 and 1, from the process's own upwards, in /proc and /sys/fs/cgroup
    under `root`. In a container the path in /proc may be the host's; only its own is mounted then,
    at the top. Page cache that the kernel would give up (inactive files) does not count as used.
    """
    return [_machine(), *_cgroups(root)]


def available_bytes(root: Path = Path("/")) -> int:
    """Give the smallest of what the machine and the cgroups leave."""
    return min(room.free for room in find_rooms(root))


def _machine():
    memory = psutil.virtual_memory()
    if sys.platform == "linux":
        most = memory.available + psutil.swap_memory().free
    else:
        most = memory.total
    return Room(memory.available, most, "on this machine")


def _cgroups(root) -> Iterator[Room]:
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _upwards(mounts, path, _read_v2)
        elif "memory" in controllers.split(","):
            yield from _upwards(mounts / "memory", path, _read_v1)


def _upwards(mount, path, read) -> Iterator[Room]:
    inner = PurePosixPath(path)
    if ".." in inner.parts:  # outside of what this process's namespace shows
        inner = PurePosixPath("/")
    for group in (inner, *inner.parents):
        try:
            limit, used = read(mount / group.relative_to("/"))
        except (OSError, ValueError):  # not mounted, or without a limit ("max")
            continue
        left = max(0, limit - used)
        yield Room(left, left, f"in the cgroup {group}, limited to {limit / 1e9:.1f} GB")


def _read_v2(folder):
    return _read(folder, "memory.max", "memory.current", "inactive_file")


def _read_v1(folder):
    return _read(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _read(folder, limit_name, used_name, given_up):
    limit = int((folder / limit_name).read_text())
    used = int((folder / used_name).read_text())
    lines = (folder / "memory.stat").read_text().splitlines()
    counted = dict(line.split() for line in lines if line)
    return limit, used - int(counted.get(given_up, 0))
