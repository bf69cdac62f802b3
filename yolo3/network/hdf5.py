"""HDF5 files of weights, read by name; nothing in them is executed or followed elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from yolo3.network.weights import Arrays, WeightsError


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; WeightsError where it is no HDF5 file, or a damaged one."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except WeightsError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise WeightsError(f"{path}: is no HDF5 file of weights, or damaged: {error}") from error


def read_array(group: h5py.Group, name: str) -> np.ndarray:
    """Read one array as float32.

    Raises WeightsError for a link and for numbers kept in another file: reading them would carry
    another file's contents into the model; and for numbers that are not floating point.
    """
    dataset = member(group, name)
    where = f"{group.file.filename}: {group.name}/{name}"
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(f"{where} is no array")
    if dataset.external or dataset.is_virtual:
        raise WeightsError(f"{where} keeps its numbers in another file, which is not read")
    if dataset.dtype.kind != "f":
        raise WeightsError(f"{where} holds {dataset.dtype}, expected floating point")
    return np.asarray(dataset, np.float32)


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """Get a member of a group by its path, through no link that leads elsewhere."""
    found = group
    for part in name.strip("/").split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise WeightsError(f"{group.file.filename}: {group.name} has no member {name}")
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(f"{group.file.filename}: {name} is a link, which is not followed")
        found = found[part]
    return found


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


def _layers(group):
    """Walk over the groups that hold a group `vars`."""
    for name in group:
        found = member(group, name)
        if isinstance(found, h5py.Group) and name != "optimizer":
            if "vars" in found:
                yield found
            yield from _layers(found)
