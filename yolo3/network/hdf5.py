"""HDF5 files of weights, read by name; nothing in them is executed or followed elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from yolo3.network.keras_file import check_arrays, objects_in
from yolo3.network.weights import Arrays, WeightsError


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; WeightsError where it is no HDF5 file, or a damaged one.

    So it is for a file that leads to another one: reading that would carry its contents into the
    model.
    """
    try:
        with h5py.File(path, "r") as file:
            check_arrays(file)
            yield file
    except WeightsError:
        raise
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise WeightsError(f"{path}: is no HDF5 file of weights, or damaged: {error}") from error


def read_array(group: h5py.Group, name: str) -> np.ndarray:
    """Read one array as float32; WeightsError for numbers that are not floating point."""
    dataset = member(group, name)
    where = f"{group.file.filename}: {group.name}/{name}"
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(f"{where} is no array")
    if dataset.dtype.kind != "f":
        raise WeightsError(f"{where} holds {dataset.dtype}, expected floating point")
    return np.asarray(dataset, np.float32)


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """Get a member of a group by its path."""
    if name.strip("/") not in group:
        raise WeightsError(f"{group.file.filename}: {group.name} has no member {name}")
    return group[name.strip("/")]


def is_keras_3(file: h5py.File) -> bool:
    """Tell a `.weights.h5` of Keras 3 by its groups."""
    return "layers" in file or "_layer_checkpoint_dependencies" in file


def read_keras_3(file: h5py.File) -> Arrays:
    """Read what `save_weights` of Keras 3 wrote, by layer.

    Each layer is a group named by its class and a number; its own name is an attribute of the group
    `vars` in it, which holds the arrays as `0`, `1`, … in the order of the layer's weights. What an
    optimizer keeps is left out.
    """
    arrays = {}
    for parent in _layers(file):
        variables = member(parent, "vars")
        if not len(variables):
            continue
        name = variables.attrs.get("name")
        if not isinstance(name, str):
            raise WeightsError(f"{file.filename}: {parent.name} does not tell the layer's name")
        order = sorted(variables, key=int)
        arrays[name] = [read_array(variables, number) for number in order]
    return arrays


def _layers(file):
    """Walk over the groups that hold a group `vars`."""
    for found in objects_in(file, leave_out="optimizer"):
        if isinstance(found, h5py.Group) and "vars" in found:
            yield found
