"""Tell before a stage whether its memory will do, and what would fit where it will not.

A stage that trains all layers takes several times what a frozen one takes, so that a training may
end at the second stage, after an hour; and on a CPU it ends without a word, since the system ends
the process. An estimate is no certainty: a stage is refused only where nine tenths of it are more
than there is, and a warning is printed where it is merely tight.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import keras

from yolo3.data.batches import Batches
from yolo3.data.pictures import Picture
from yolo3.network.spec import NetworkSpec
from yolo3.training.learner import Learner
from yolo3.training.need import Need, estimate_need
from yolo3.training.room import Room, find_rooms

CERTAIN = 0.9
"""Part of an estimate that a stage takes at least; and part of a room that is safe to plan with."""
TIGHT = 0.8
"""Part of what is free from which on a need is called tight."""


class MemoryNeeded(ValueError):
    """Say that a stage has too little memory, and what would fit.

    batch_size: what fits; 0 where none does.
    """

    def __init__(self, message: str, batch_size: int):
        super().__init__(message)
        self.batch_size = batch_size


def check_memory(name: str, learner: Learner, frozen: Collection[str], batches: Batches) -> Need:
    """Compare the need of a stage with the memory that is left, and print a line of it.

    What an earlier stage leaves in TensorFlow's pool, and the pictures that are kept by now, count
    as left. On a GPU nothing is compared: its allocator raises an error for `explain_exhaustion`.
    Raises MemoryNeeded.
    """
    sources = batches.augmentation.sources if batches.augmentation else 1
    need = estimate_need(learner.network, learner.spec, frozen, batches.pictures, sources)
    device = _device()
    if device != "cpu":
        print(f"{name}: trains on a {device}, whose memory is not checked before", flush=True)
        return need
    held = held_bytes(batches)
    rooms = [Room(free + held, most + held, origin) for free, most, origin in find_rooms()]
    print(compare(name, need, batches.batch_size, learner.spec, rooms), flush=True)
    return need


def held_bytes(batches: Batches) -> int:
    """Give what an earlier stage left that a later one uses again: pictures, TensorFlow's pool."""
    return batches.cached_bytes + _pool_bytes()


def foresee_memory(
    name: str,
    network: keras.Model,
    spec: NetworkSpec,
    frozen: Collection[str],
    pictures: Sequence[Picture],
    batch_size: int,
) -> Need:
    """Refuse before anything is trained what `check_memory` would refuse at a later stage.

    Raises MemoryNeeded.
    """
    need = estimate_need(network, spec, frozen, pictures)
    if _device() == "cpu":
        compare(name, need, batch_size, spec, find_rooms())
    return need


def compare(
    name: str, need: Need, batch_size: int, spec: NetworkSpec, rooms: Sequence[Room]
) -> str:
    """Say in a line what a stage needs and what is left; MemoryNeeded where it cannot fit."""
    wanted = need.at(batch_size)
    hardest = min(rooms, key=lambda room: room.most)
    if CERTAIN * wanted > hardest.most:
        raise MemoryNeeded(
            f"{name} needs about {_gb(wanted)} of memory with batch_size {batch_size}, and "
            f"{_gb(hardest.most)} are left {hardest.origin}: {_advice(need, hardest.most, spec)}",
            need.largest_batch(CERTAIN * hardest.most),
        )
    tightest = min(rooms, key=lambda room: room.free)
    line = (
        f"{name}: needs about {_gb(wanted)} of memory; "
        f"{_gb(tightest.free)} are left {tightest.origin}"
    )
    if wanted <= TIGHT * tightest.free:
        return line
    smaller = min(need.largest_batch(TIGHT * tightest.free), batch_size - 1)
    wiser = f": batch_size {smaller} needs about {_gb(need.at(smaller))}" if smaller else ""
    return f"{line}, which is tight{wiser}"


@contextmanager
def explain_exhaustion(name: str, batch_size: int) -> Iterator[None]:
    """Turn any backend's error for want of memory into MemoryNeeded; wraps a function as well.

    That the estimate let it pass says that it is no guide here: the advice is half the batch size.
    """
    try:
        yield
    except Exception as error:
        if not _is_exhaustion(error):
            raise
        half = batch_size // 2
        advice = f"try batch_size {half}" if half else "try a smaller input_size"
        raise MemoryNeeded(
            f"{name} ran out of memory with batch_size {batch_size}: {advice}", half
        ) from error


def _is_exhaustion(error):
    """Know the errors of TensorFlow, PyTorch and JAX by name: only one of them is installed."""
    names = {kind.__name__ for kind in type(error).__mro__}
    known = {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    return bool(names & known) or "RESOURCE_EXHAUSTED" in str(error)


def _advice(need, left, spec):
    limit = CERTAIN * left
    if fits := need.largest_batch(limit):
        return f"batch_size {fits} fits (about {_gb(need.at(fits))})"
    for size_wh in _smaller_sizes(spec):
        part = math.prod(size_wh) / math.prod(spec.input_wh)
        if fits := need.resized(part).largest_batch(limit):
            return f"no batch_size fits; input_size {_shown(size_wh)} does, with batch_size {fits}"
    return "no batch_size fits; end other programs, or take a machine with more"


def _smaller_sizes(spec):
    """Give smaller inputs of about the same shape, from the largest on."""
    unit = math.lcm(*spec.strides)
    width, height = spec.input_wh
    for columns in range(width // unit - 1, 0, -1):
        rows = max(1, columns * height // width)
        yield columns * unit, rows * unit


def _shown(size_wh):
    width, height = size_wh
    return str(width) if width == height else f"{width}x{height}"


def _gb(number):
    return f"{number / 1e9:.1f} GB"


def _device():
    """Name the kind of device that Keras trains on: cpu, gpu or tpu."""
    return keras.distribution.list_devices()[0].split(":")[0]


def _pool_bytes():
    """Give what TensorFlow's allocator keeps of earlier steps for later ones; 0 if it won't say."""
    if keras.backend.backend() != "tensorflow":
        return 0
    import tensorflow as tf

    try:
        told = tf.config.experimental.get_memory_info("CPU:0")
    except ValueError:  # an allocator without statistics, as in builds without oneDNN
        return 0
    return told["peak"] - told["current"]
