import errno
import json
import os
import shutil
from functools import partial

import numpy as np
import pytest
from batches_cases import write_pictures
from learner_cases import batches_of, small_learner
from numpy.testing import assert_allclose, assert_array_equal

from yolo3.data.augmentation import Augmentation
from yolo3.training import features
from yolo3.training.checkpoint import arrays_of
from yolo3.training.features import HeadLearner, Seen, see_features
from yolo3.training.interrupt import Interrupted
from yolo3.training.stages import Stage, run_stage
from yolo3.training.validation import validate

BODY = frozenset({"conv_1", "conv_1_bn", "conv_2", "conv_2_bn"})
STAGE = Stage("frozen", 3, 0.01, BODY)
ROOM = 1e9


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 9)


def seen_of(pictures, seed=0, precision="float32"):
    train = batches_of(pictures[:6], batch_size=4, augmentation=Augmentation(), seed=1)
    return Seen(small_learner(seed, precision), train, batches_of(pictures[6:]))


def flat(batch):
    given, labels = batch
    return [*given, *labels]


def stop_at(call):
    """Ask to stop at the given call."""
    calls = iter(range(100))
    return lambda: next(calls) >= call


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_features_are_what_the_frozen_layers_give(pictures, tmp_path, precision):
    seen = seen_of(pictures, precision=precision)
    learner, train, val = see_features(seen, STAGE, tmp_path, ROOM)
    assert isinstance(learner, HeadLearner) and len(train) == len(seen.train)
    learner.compile()
    seen.learner.compile()
    for number in range(len(val)):
        given, labels = val[number]
        pixels, expected = seen.val[number]
        for a, b in zip(labels, expected, strict=True):
            assert_array_equal(a, b)
        near = 2e-3 if precision == "float32" else 0  # float16 holds 11 bits; bfloat16 all of them
        for a, b in zip(
            learner.predict_on_batch(given), seen.learner.predict_on_batch(pixels), strict=True
        ):
            assert_allclose(a, b, atol=near * np.abs(b).max())


def test_each_epoch_takes_the_next_view(pictures, tmp_path):
    _, train, _ = see_features(seen_of(pictures), STAGE, tmp_path, ROOM)
    batches = {}
    for epoch in range(3):
        train.epoch = epoch
        batches[epoch] = np.concatenate([train[number][0][0] for number in range(len(train))])

    def rows(epoch):
        return {row.tobytes() for row in batches[epoch]}

    assert len(rows(0)) == 6 and rows(0) == rows(2) and not rows(0) & rows(1)
    assert not np.array_equal(batches[0], batches[2])  # in another order


def test_boxes_lie_in_the_view_that_the_features_are_of(pictures, tmp_path):
    seen = seen_of(pictures)
    _, train, _ = see_features(seen, STAGE, tmp_path, ROOM)
    ordered = batches_of(
        pictures[:6], batch_size=4, augmentation=Augmentation(), seed=1, in_order=True
    )
    for view in range(2):
        _, labels = train._features.read(view, np.arange(6))
        expected = [label for index in range(2) for label in ordered.labelled(view, index)[1]]
        for (boxes, class_ids), (wanted, wanted_ids) in zip(labels, expected, strict=True):
            assert_array_equal(boxes, wanted)
            assert_array_equal(class_ids, wanted_ids)


def train_stage(pictures, folder, out, asked_to_stop=lambda: False):
    seen = see_features(seen_of(pictures), STAGE, folder, ROOM, asked_to_stop)
    checking = partial(validate, seen.learner, seen.val, pictures[6:])
    ran = run_stage(seen.learner, STAGE, seen.train, checking, lambda *_: None, out)
    return ran, arrays_of(seen.learner.network.weights)


def test_a_stage_trains_from_features_and_repeats_to_the_bit(pictures, tmp_path):
    before = arrays_of(small_learner().network.weights)
    ran, weights = train_stage(pictures, tmp_path / "features", tmp_path / "a")
    assert len(ran) == 3
    changed = [not np.array_equal(a, b) for a, b in zip(before, weights, strict=True)]
    assert sum(changed) == 4  # kernels and biases of the two outputs
    again, same = train_stage(pictures, tmp_path / "features", tmp_path / "b")
    with pytest.raises(Interrupted, match="features"):
        train_stage(
            pictures, tmp_path / "other", tmp_path / "c", stop_at(1)
        )  # the second batch is the first view's last
    done = [json.loads(file.read_text()) for file in (tmp_path / "other").rglob("done.json")]
    assert done == [6]  # of the 12 rows; it goes on from there
    other, alike = train_stage(pictures, tmp_path / "other", tmp_path / "d")
    for numbers, arrays in ((again, same), (other, alike)):
        for a, b in zip(weights, arrays, strict=True):
            assert_array_equal(a, b)
        assert [n["val_loss"] for n in numbers] == [n["val_loss"] for n in ran]


def keys(folder):
    return {place.name for place in folder.iterdir() if place.is_dir()}


def test_features_are_kept_by_all_that_decides_them(pictures, tmp_path, monkeypatch):
    def look(seen, stage=STAGE):
        before = keys(tmp_path)
        see_features(seen, stage, tmp_path, ROOM)
        return len(keys(tmp_path) - before)

    (tmp_path / "kept").mkdir()
    seen = seen_of(pictures)
    assert look(seen) == 2  # training and validation pictures
    assert look(seen_of(pictures)) == 0
    assert look(seen_of(pictures, seed=5)) == 2  # other weights
    assert look(seen._replace(train=batches_of(pictures[:5], augmentation=Augmentation()))) == 1
    other = batches_of(pictures[:6], batch_size=4, augmentation=Augmentation(flip=0.0), seed=1)
    assert look(seen._replace(train=other)) == 1
    other = batches_of(pictures[:6], batch_size=4, augmentation=Augmentation(), seed=2)
    assert look(seen._replace(train=other)) == 1
    assert look(seen, Stage("frozen", 1, 0.01, BODY)) == 1  # one view of the training pictures
    code = tmp_path / "changed.py"
    code.write_text("")
    monkeypatch.setattr(features.augmentation, "__file__", str(code))
    assert look(seen) == 2


def test_weights_above_the_cut_do_not_matter(pictures, tmp_path):
    see_features(seen_of(pictures), STAGE, tmp_path, ROOM)
    before, seen = keys(tmp_path), seen_of(pictures)
    layer = seen.learner.network.get_layer("output_32")
    layer.bias.assign(layer.bias + 1)
    see_features(seen, STAGE, tmp_path, ROOM)
    assert keys(tmp_path) == before


def test_disk_is_bounded_and_the_least_recent_gives_way(pictures, tmp_path, capsys):
    seen = seen_of(pictures)
    first = see_features(seen, STAGE, tmp_path, ROOM)
    assert first is not seen
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
    before = keys(tmp_path)
    assert see_features(seen_of(pictures, seed=5), STAGE, tmp_path, 1.5 * size) is not seen
    assert len(keys(tmp_path) & before) < 2
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.npy")) <= 1.5 * size
    capsys.readouterr()
    assert see_features(seen, STAGE, tmp_path, 0.5 * size) is seen
    assert "cache_gb allows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stage", "room"),
    [(STAGE, 0), (Stage("finetune", 3, 0.01), ROOM), (Stage("frozen", 0, 0.01, BODY), ROOM)],
)
def test_without_room_frozen_layers_or_epochs_nothing_is_kept(pictures, tmp_path, stage, room):
    seen = seen_of(pictures)
    assert see_features(seen, stage, tmp_path / "features", room) is seen
    assert not (tmp_path / "features").exists()


def test_a_folder_that_takes_nothing_is_told_and_the_stage_computes_anew(
    pictures, tmp_path, capsys
):
    (tmp_path / "features").write_text("in the way")
    seen = seen_of(pictures)
    assert see_features(seen, STAGE, tmp_path / "features", ROOM) is seen
    assert "computed anew" in capsys.readouterr().out


def test_a_full_disk_is_told_and_the_stage_computes_anew(pictures, tmp_path, capsys, monkeypatch):
    """Written to a mapped file without room, a byte ends the process: SIGBUS."""
    seen = seen_of(pictures)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert see_features(seen, STAGE, tmp_path / "features", ROOM) is seen
    told = capsys.readouterr().out
    assert os.strerror(errno.ENOSPC) in told and "computed anew" in told
    monkeypatch.undo()
    assert see_features(seen, STAGE, tmp_path / "features", ROOM) is not seen
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: usage._replace(free=0))
    assert see_features(seen, STAGE, tmp_path / "features", ROOM) is not seen  # all is there


def test_large_numbers_stay_finite(pictures, tmp_path):
    seen = seen_of(pictures)
    for layer in ("conv_1", "conv_2"):
        kernel = seen.learner.network.get_layer(layer).kernel
        kernel.assign(kernel * 1e6)
    norm = seen.learner.network.get_layer("conv_2_bn")
    _, train, _ = see_features(seen, STAGE, tmp_path, ROOM)
    assert norm.weights and all(np.isfinite(kept).all() for kept in flat(train[0]))


def test_damaged_files_are_not_taken_for_features(pictures, tmp_path):
    see_features(seen_of(pictures), STAGE, tmp_path, ROOM)
    place = next(tmp_path / key for key in keys(tmp_path))
    (place / "feature-0.npy").unlink()
    shutil.rmtree(next(tmp_path / key for key in keys(tmp_path) - {place.name}))
    learner, train, _ = see_features(seen_of(pictures), STAGE, tmp_path, ROOM)
    assert isinstance(learner, HeadLearner) and len(train[0][0]) == 2
