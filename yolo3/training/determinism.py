"""Same seed, same bits: what decides a training's numbers beside its parameters, set in one place.

On a CPU that is the number of threads that share one operation: sums are cut into as many parts.
The threads between operations, the loader's workers and OMP_NUM_THREADS change no bit
(docs/reproduce.md tells what was tried).
"""

import os
from dataclasses import dataclass

import keras

from yolo3.detector.cores import schedulable_cores, usable_cores


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
