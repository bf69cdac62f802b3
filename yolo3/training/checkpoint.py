"""A training's checkpoint: one file with all that the next epoch needs, whole or not there at all.

what an epoch left -> arrays and one JSON text -> temporary file -> flushed -> renamed over the old

No random state is in it: every draw of a training comes from its seed, the epoch and the position.
"""

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

FILE = "checkpoint.npz"
ARRAYS = ("weights", "optimizer")

Arrays = list[np.ndarray]


class CheckpointError(ValueError):
    """Say why a checkpoint cannot be used."""


@dataclass(frozen=True)
class StageState:
    """Hold where a stage stands after an epoch.

    history: the numbers of its epochs so far. ended: after its last epoch.
    weights: of the network. optimizer: its variables.
    """

    stage: str
    ended: bool
    history: list[dict[str, float]]
    weights: Arrays
    optimizer: Arrays


def write_atomically(path: Path, write: Callable) -> None:
    """Write a file so that a reader finds the old one or the new one, whenever this is killed.

    write: called with the open binary file. What fails leaves the old file, and no other.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_checkpoint(path: Path, state: StageState, story: dict) -> None:
    """Write a checkpoint over the one before; story: plain values that go with the state."""
    named = {}
    values = {f.name: getattr(state, f.name) for f in fields(state) if f.name not in ARRAYS}
    for group in ARRAYS:
        named |= {f"{group}/{n}": array for n, array in enumerate(getattr(state, group))}
    text = json.dumps({"state": values, "story": story}, ensure_ascii=False)
    named["text"] = np.frombuffer(text.encode("utf-8"), np.uint8)
    write_atomically(path, lambda file: np.savez(file, **named))


def read_checkpoint(path: Path) -> tuple[StageState, dict]:
    """Read a checkpoint and its story; CheckpointError where it is damaged or of another kind."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as named:
            told = json.loads(named["text"].tobytes().decode("utf-8"))
            arrays = {group: _group(named, group) for group in ARRAYS}
            return StageState(**told["state"], **arrays), told["story"]
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: is no whole checkpoint: {error}") from error


def _group(named, group):
    count = sum(name.startswith(f"{group}/") for name in named.files)
    return [named[f"{group}/{number}"] for number in range(count)]


def arrays_of(variables) -> Arrays:
    """Copy variables to arrays, in their order."""
    return [np.array(variable) for variable in variables]


def fill_variables(variables, arrays: Arrays, what: str) -> None:
    """Give variables the arrays of a checkpoint; CheckpointError where they do not fit."""
    expected = [tuple(variable.shape) for variable in variables]
    found = [array.shape for array in arrays]
    if expected != found:
        raise CheckpointError(
            f"the checkpoint's {what} do not fit: expected {len(expected)} arrays of the network's "
            f"shapes, found {len(found)}; it is of another network or version of this project"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
