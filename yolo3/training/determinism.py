"""Same seed, same bits: what decides a training's numbers beside its parameters, set in one place.

On a CPU that is the number of threads that share one operation: sums are cut into as many parts.
The threads between operations, the loader's workers and OMP_NUM_THREADS change no bit
(docs/reproduce.md tells what was tried).
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import keras

CGROUPS = Path("/sys/fs/cgroup")


class DeterminismError(ValueError):
    """Say why the wanted number of threads cannot be had."""


@dataclass(frozen=True)
class Threads:
    """Count the threads within one operation and between operations; None: the backend's own."""

    intra_op: int | None
    inter_op: int | None


def settle(seed: int, threads: int = 0) -> None:
    """Seed every random draw, set the threads, and let no operation choose another order of sums.

    threads: 0 takes all usable cores, or what TensorFlow began with if it computes already in this
    process; it cannot change its threads any more then, so another number raises DeterminismError.
    May be called before each of several trainings in one process.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() != "tensorflow":
        if threads:
            raise DeterminismError(
                f"threads={threads}: only TensorFlow lets its threads be counted, and "
                f"KERAS_BACKEND is {keras.backend.backend()}; leave threads at 0"
            )
        return
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    wanted = threads or usable_cores()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted)
        tf.config.threading.set_inter_op_parallelism_threads(wanted)
    except RuntimeError:  # TensorFlow computes already
        running = running_threads().intra_op
        if threads and running != threads:
            raise DeterminismError(
                f"threads={threads}: TensorFlow runs with {running} in this process already and "
                "cannot change it any more; start a new process"
            ) from None


def running_threads() -> Threads:
    """Give the threads that TensorFlow computes with, or will."""
    if keras.backend.backend() != "tensorflow":
        return Threads(None, None)
    from tensorflow.config import threading

    return Threads(
        threading.get_intra_op_parallelism_threads() or _own_choice("TF_NUM_INTRAOP_THREADS"),
        threading.get_inter_op_parallelism_threads() or _own_choice("TF_NUM_INTEROP_THREADS"),
    )


def _own_choice(variable):
    """Give the number that TensorFlow takes where nobody told it one."""
    return int(os.environ.get(variable) or 0) or schedulable_cores()


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
