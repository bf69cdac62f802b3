import re

import numpy as np
import pytest
import tensorflow as tf
from batches_cases import write_pictures
from learner_cases import SPEC, PlainLearner, batches_of, plain_learner, small_network

from yolo3.data.augmentation import Augmentation
from yolo3.network.spec import make_spec
from yolo3.training.memory import (
    CERTAIN,
    TIGHT,
    MemoryNeeded,
    check_memory,
    compare,
    explain_exhaustion,
    foresee_memory,
    held_bytes,
)
from yolo3.training.need import Need
from yolo3.training.room import Room
from yolo3.training.stages import Stage, run_stage

MB = 1_000_000
NEED = Need(fixed=200 * MB, cache=0, weights=100 * MB, per_picture=50 * MB, validation=300 * MB)
WIDE = make_spec(("hat",), SPEC.anchors_wh, (416, 320))


def machine(free, most=None):
    return Room(int(free), int(most or free), "on this machine")


def refusal(batch_size, *rooms, need=NEED):
    with pytest.raises(MemoryNeeded) as caught:
        compare("finetune", need, batch_size, WIDE, rooms)
    return caught.value


def number_after(word, text):
    return int(re.search(rf"{word} (\d+)", text)[1])


def test_what_fits_is_told_in_a_line():
    line = compare("finetune", NEED, 16, WIDE, [machine(9000 * MB)])
    assert line == "finetune: needs about 1.1 GB of memory; 9.0 GB are left on this machine"


def test_the_smallest_room_counts():
    group = Room(2000 * MB, 2000 * MB, "in the cgroup /a, limited to 4.0 GB")
    line = compare("frozen", NEED, 16, WIDE, [machine(9000 * MB), group])
    assert line.endswith("2.0 GB are left in the cgroup /a, limited to 4.0 GB")
    assert "batch_size 30 fits" in str(refusal(64, machine(9000 * MB), group))
    assert str(group.origin) in str(refusal(64, machine(9000 * MB), group))


def test_tight_is_a_warning_that_names_what_is_not():
    room = machine(1.1 * NEED.at(16))
    line = compare("finetune", NEED, 16, WIDE, [room])
    smaller = number_after("tight: batch_size", line)
    assert NEED.at(smaller) <= TIGHT * room.free < NEED.at(smaller + 1)
    least = compare("finetune", NEED, 1, WIDE, [machine(1.1 * NEED.at(1))])
    assert least.endswith("which is tight")


def test_what_an_estimate_cannot_be_sure_of_is_not_refused():
    assert "tight" in compare("finetune", NEED, 16, WIDE, [machine(0.91 * NEED.at(16))])
    refusal(16, machine(0.89 * NEED.at(16)))


def test_memory_that_can_go_to_disk_is_a_warning():
    line = compare("finetune", NEED, 16, WIDE, [machine(0.8 * NEED.at(16), 2 * NEED.at(16))])
    assert "tight: batch_size" in line


@pytest.mark.parametrize("left", [640, 700, 2000, 10_000])
def test_a_refusal_names_the_largest_batch_that_fits(left):
    error = refusal(1000, machine(left * MB))
    assert str(error).startswith(
        f"finetune needs about {NEED.at(1000) / 1e9:.1f} GB of memory with batch_size 1000, "
        f"and {left / 1000:.1f} GB are left on this machine: batch_size "
    )
    named = number_after("this machine: batch_size", str(error))
    assert named == error.batch_size
    assert NEED.at(named) <= CERTAIN * left * MB < NEED.at(named + 1)


def test_where_no_batch_fits_a_smaller_input_is_named():
    error = refusal(16, machine(450 * MB))
    assert error.batch_size == 0
    found = re.search(
        r"no batch_size fits; input_size (\d+)x(\d+) does, with batch_size (\d+)", str(error)
    )
    width, height, batch_size = map(int, found.groups())
    assert width % 32 == height % 32 == 0 and width / height == pytest.approx(416 / 320, rel=0.2)
    assert NEED.resized(width * height / (416 * 320)).at(batch_size) <= CERTAIN * 450 * MB


def test_where_nothing_fits_that_is_said():
    assert "no batch_size fits; end other programs" in str(refusal(1, machine(250 * MB)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 6)


def training(pictures, **options):
    return batches_of(pictures, augmentation=Augmentation(), seed=1, **options)


def run(learner, batches, folder):
    numbers = {"val_AP50": 0.0, "val_AP": 0.0, "val_loss": 1.0}
    run_stage(learner, Stage("finetune", 1, 0.1), batches, lambda: numbers, lambda *_: None, folder)


def test_a_stage_that_cannot_fit_is_refused_before_its_first_step(pictures, tmp_path):
    learner = plain_learner()
    before = learner.network.get_weights()
    too_large = training(pictures, batch_size=10**8)
    with pytest.raises(MemoryNeeded, match="^finetune needs about .* with batch_size 100000000"):
        run(learner, too_large, tmp_path / "logs")
    assert all(map(np.array_equal, before, learner.network.get_weights()))
    assert not (tmp_path / "logs").exists()
    with pytest.raises(MemoryNeeded, match="batch_size 1000000000") as caught:
        foresee_memory("later", learner.network, SPEC, (), pictures, 10**9)
    fits = caught.value.batch_size
    assert fits > 1000
    foresee_memory("later", learner.network, SPEC, (), pictures, fits)


def test_the_need_is_printed_and_returned(pictures, capsys):
    learner = plain_learner()
    need = check_memory("frozen", learner, (), training(pictures))
    line = capsys.readouterr().out
    assert line.startswith(f"frozen: needs about {need.at(2) / 1e9:.1f} GB of memory; ")
    assert need == foresee_memory("frozen", learner.network, SPEC, (), pictures, 2)


def test_what_a_stage_leaves_counts_as_left(pictures):
    batches = training(pictures)
    before = held_bytes(batches)
    for number in range(len(batches)):
        batches[number]
    assert held_bytes(batches) - before >= batches.cached_bytes > 0
    tensor = tf.zeros(50 * MB)
    del tensor
    if held_bytes(batches) == batches.cached_bytes:
        pytest.skip("this TensorFlow counts no memory")
    assert held_bytes(batches) - batches.cached_bytes >= 200 * MB


class Greedy(PlainLearner):
    """Ask for more memory than any machine has, in the middle of a step."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return float(np.zeros(1 << 50).sum())


def test_exhaustion_in_a_step_names_half_the_batch(pictures, tmp_path):
    learner = Greedy(small_network(), SPEC)
    with pytest.raises(
        MemoryNeeded, match="^finetune ran out of .* 4: try batch_size 2$"
    ) as caught:
        run(learner, training(pictures, batch_size=4), tmp_path)
    assert caught.value.batch_size == 2
    assert isinstance(caught.value.__cause__, MemoryError)


@pytest.mark.parametrize("workers", [1, 2])
def test_exhaustion_while_a_batch_is_made_comes_as_tensorflows_error(pictures, tmp_path, workers):
    batches = training(pictures, workers=workers)
    stack, made = batches._targets, []

    def greedy(samples):
        made.append(samples)
        return stack(samples) if len(made) < 4 else np.zeros(1 << 50)

    batches._targets = greedy
    with pytest.raises(MemoryNeeded, match="try batch_size 1$") as caught:
        run(plain_learner(), batches, tmp_path)
    assert isinstance(caught.value.__cause__, tf.errors.ResourceExhaustedError)


def test_other_errors_pass_and_results_come_back():
    guarded = explain_exhaustion("s", 8)
    assert guarded(max)(1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 / 0)()


def test_errors_of_other_backends_are_known():
    class OutOfMemoryError(RuntimeError):
        """As PyTorch names it."""

    jax = RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")
    for error in (OutOfMemoryError("CUDA out of memory"), jax):
        with (
            pytest.raises(MemoryNeeded, match="1: try a smaller input_size") as caught,
            explain_exhaustion("s", 1),
        ):
            raise error
        assert caught.value.__cause__ is error and caught.value.batch_size == 0
