"""What a run was computed on: processor, threads, versions, and the variables that change them."""

import os
import platform
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
from packaging.requirements import InvalidRequirement, Requirement

from yolo3.detector.cores import cgroup_limit, usable_cores
from yolo3.evaluation.machine import processor
from yolo3.training.determinism import running_threads

FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16"),
)
"""Of the processor's flags, those by which libraries choose other kernels."""

VARIABLES = (
    *("KERAS_BACKEND", "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE"),
    *("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "TF_CUDNN_USE_AUTOTUNE", "TF_XLA_FLAGS"),
    *("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE"),
)
"""Environment variables that can change a number or a thread; no other is ever recorded."""


def environment(lock: Path) -> dict:
    """Describe this process and its machine; versions are those installed of what the lock pins."""
    name, flags = processor()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": {"name": name, "flags": [flag for flag in FLAGS if flag in flags]},
        "gpus": _gpus(),
        "cores": {
            "machine": os.cpu_count(),
            "usable": usable_cores(),
            "cgroup_limit": cgroup_limit(),
        },
        "threads": asdict(running_threads()),
        "keras_backend": keras.backend.backend(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "packages": {pin.name: installed(pin.name) for pin in pins(lock.read_text("utf-8"))},
    }


def pins(lock: str) -> list[Requirement]:
    """Read those lines of a lock that name a package and hold for this Python and platform."""
    found = []
    for line in lock.splitlines():
        with suppress(InvalidRequirement):  # blank, a comment, or an option of pip
            found.append(Requirement(line.split("#")[0].strip()))
    return [pin for pin in found if pin.marker is None or pin.marker.evaluate()]


def installed(package: str) -> str | None:
    """Give the version of an installed package, None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpus():
    if keras.backend.backend() != "tensorflow":
        return keras.distribution.list_devices("gpu")
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in found
    ]
