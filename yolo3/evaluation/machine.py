"""Say what machine a figure was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import keras
import psutil

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> str:
    """Name processor, cores, accelerators, memory, system and versions, on one line."""
    name, flags = processor()
    units = vector_units(flags)
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    memory = psutil.virtual_memory().total / 2**30
    accelerators = "".join(f", {device}" for device in gpus())
    return (
        f"{name}, {os.cpu_count()} cores ({units}){accelerators}, {memory:.0f} GiB, "
        f"{platform.system()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def gpus() -> list[str]:
    """Name the GPUs that Keras's backend sees.

    Asking leaves TensorFlow's threads to be set; `keras.distribution.list_devices` would not.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        return [device.name.removeprefix("/physical_device:").lower() for device in devices]
    try:
        return list(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX's way to say that there is none
        return []


def vector_units(flags: set[str]) -> str:
    """Name those of a processor's flags that decide how fast it trains."""
    return ", ".join(flag for flag in FLAGS if flag in flags) or "no vector flags known"


def processor() -> tuple[str, set[str]]:
    """Name the processor and its flags."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine(), set()
    fields = dict(
        (part.strip() for part in line.split(":", 1))
        for line in information.read_text().splitlines()
        if ":" in line
    )
    flags = fields.get("flags") or fields.get("Features", "")  # the second on ARM
    return fields.get("model name", platform.machine()), set(flags.split())
