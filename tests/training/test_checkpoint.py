import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from job_cases import PROJECT

from yolo3.training.checkpoint import (
    CheckpointError,
    StageState,
    fill_variables,
    read_checkpoint,
    write_atomically,
    write_checkpoint,
)


def state_of(seed=0, ended=False):
    rng = np.random.default_rng(seed)
    weights, slots = (
        [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (4,))] for _ in range(2)
    )
    history = [{"epoch": 1, "loss": 0.1 + seed, "val_AP50": 1 / 3}]
    return StageState("frozen", ended, history, weights, slots)


def assert_same(a, b):
    for group in ("weights", "optimizer"):
        for x, y in zip(getattr(a, group), getattr(b, group), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
    empty = {"weights": [], "optimizer": []}
    assert replace(a, **empty) == replace(b, **empty)


def test_what_is_written_is_read(tmp_path):
    state, story = state_of(), {"epochs": 3, "names": ["é"], "nothing": None}
    write_checkpoint(tmp_path / "c.npz", state, story)
    found, told = read_checkpoint(tmp_path / "c.npz")
    assert_same(found, state)
    assert told == story


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "c.npz"
    write_checkpoint(path, state_of(1), {})

    def fail(file):
        file.write(b"half of it")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert_same(read_checkpoint(path)[0], state_of(1))
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_file_cut_short_is_told(tmp_path, keep):
    path = tmp_path / "c.npz"
    write_checkpoint(path, state_of(), {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"c\.npz: is no whole checkpoint"):
        read_checkpoint(path)


def test_a_changed_byte_is_told(tmp_path):
    path = tmp_path / "c.npz"
    write_checkpoint(path, state_of(), {})
    data = bytearray(path.read_bytes())
    data[data.index(b"\x93NUMPY") + 140] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="CRC"):
        read_checkpoint(path)


def test_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "c.npz", text=np.array([{"state": {}}], object))
    with pytest.raises(CheckpointError, match="allow_pickle"):
        read_checkpoint(tmp_path / "c.npz")


def test_arrays_of_another_network_are_refused():
    variables = [np.zeros((3, 2)), np.zeros(4)]
    with pytest.raises(CheckpointError, match="weights do not fit: expected 2 arrays"):
        fill_variables(variables, [np.zeros((3, 2))], "weights")
    with pytest.raises(CheckpointError, match="optimizer do not fit"):
        fill_variables(variables, [np.zeros((2, 3)), np.zeros(4)], "optimizer")


FULL_DISK = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {training!r}]
from test_checkpoint import state_of
from yolo3.training.checkpoint import read_checkpoint, write_checkpoint
import numpy as np
from dataclasses import replace
path = Path({folder!r}) / "c.npz"
write_checkpoint(path, state_of(1), {{}})
try:
    write_checkpoint(path, replace(state_of(), optimizer=[np.ones(1 << 19)]), {{}})
except OSError as error:
    print(error.strerror)
assert read_checkpoint(path)[0].history == state_of(1).history
print(*(file.name for file in path.parent.iterdir()))
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    """On a real file system of one megabyte, in a mount namespace that ends with the process."""
    tests, training = PROJECT / "tests", PROJECT / "tests/training"
    code = FULL_DISK.format(tests=str(tests), training=str(training), folder=str(tmp_path))
    shell = f'mount -t tmpfs -o size=1m none "{tmp_path}" && exec "{sys.executable}" -c "$CODE"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell],
        env=os.environ | {"CODE": code, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    if "Operation not permitted" in done.stderr or "must be superuser" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["No space left on device", "c.npz"]
