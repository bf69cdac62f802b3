"""Choose the arithmetic of a training by what the machine has units for."""

import keras

from yolo3.evaluation.machine import gpus, processor

AUTO = "auto"
PRECISIONS = (AUTO, "float32", "mixed_bfloat16")
CPU_UNITS = {"avx512_bf16", "amx_bf16"}
GPU_CAPABILITY = (8, 0)  # NVIDIA's compute capability from which on there are units for bfloat16


def choose_precision(precision: str) -> str:
    """Give the name of Keras's dtype policy; `auto`: bfloat16 where there are units for it.

    Where a machine does not tell its units (a processor's flags on Windows or macOS), float32.
    """
    if precision != AUTO:
        return precision
    count = len(gpus())
    has_units = all(map(_gpu_has_units, range(count))) if count else _cpu_has_units()
    return "mixed_bfloat16" if has_units else "float32"


def _cpu_has_units():
    return bool(processor()[1] & CPU_UNITS)


def _gpu_has_units(number):
    if keras.backend.backend() == "jax":
        import jax

        capability = getattr(jax.devices("gpu")[number], "compute_capability", "0.0")
        return tuple(int(part) for part in str(capability).split(".")) >= GPU_CAPABILITY
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpu = tf.config.list_physical_devices("GPU")[number]
        details = tf.config.experimental.get_device_details(gpu)
        return details.get("compute_capability", (0, 0)) >= GPU_CAPABILITY
    return False
