import numpy as np
import pytest
from batches_cases import write_picture, write_pictures
from learner_cases import SPEC, batches_of, small_learner
from network_cases import raw_of

from yolo3.data.images import place
from yolo3.network.grid import encode
from yolo3.network.loss import COMPONENTS, yolo_loss
from yolo3.training.validation import validate


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 9)


@pytest.fixture(scope="module")
def separate(tmp_path_factory):
    """Pictures of two boxes each that share no cell, so that encoding loses nothing."""
    folder, rng = tmp_path_factory.mktemp("separate"), np.random.default_rng(0)
    pictures = []
    for number, size_wh in enumerate([(64, 64), (200, 100), (90, 130), (40, 64), (64, 30)]):
        pixels = rng.integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
        boxes = np.array([[0.05, 0.1, 0.4, 0.5], [0.55, 0.5, 0.95, 1.0]]) * np.tile(size_wh, 2)
        pictures.append(write_picture(folder / f"{number}.png", pixels, boxes, [0, 1]))
    return pictures


class Answers:
    """Stand where a learner stands, and answer with raw outputs that were made beforehand."""

    def __init__(self, raw_of_pictures):
        self.spec, self.raw_of_pictures, self.given = SPEC, raw_of_pictures, 0

    def predict_on_batch(self, pixels):
        start, self.given = self.given, self.given + len(pixels)
        return [np.stack(scale) for scale in zip(*self.raw_of_pictures[start : self.given])]  # noqa: B905


def right_answers(pictures, move=0.0, other_class=False):
    raw = []
    for picture in pictures:
        boxes = place(picture.size_wh, SPEC.input_wh).to_network(picture.boxes_xyxy)
        moved = boxes + np.float32([move, 0, move, 0])
        class_ids = 1 - picture.class_ids if other_class else picture.class_ids
        raw.append(raw_of(encode(moved, class_ids, SPEC), SPEC))
    return Answers(raw)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_right_answers_score_one_in_pixels_of_every_size_of_picture(separate, batch_size):
    batches = batches_of(separate, batch_size=batch_size)
    found = validate(right_answers(separate), batches, separate)
    assert set(found) == {"val_loss", "val_AP50", "val_AP", *(f"val_{n}" for n in COMPONENTS)}
    assert found["val_AP50"] == pytest.approx(1.0)
    assert found["val_AP"] == pytest.approx(1.0)
    assert found["val_loss"] < 1e-3


def test_wrong_answers_score_less(separate):
    batches = batches_of(separate, batch_size=2)
    moved = validate(right_answers(separate, move=4.0), batches, separate)
    assert moved["val_AP"] < 0.9
    assert moved["val_box_loss"] > 0.1
    wrong = validate(right_answers(separate, other_class=True), batches, separate)
    assert wrong["val_AP50"] == 0
    assert wrong["val_class_loss"] > 1


def test_answers_for_other_pictures_score_nothing(separate):
    batches = batches_of(separate, batch_size=2)
    empty = np.zeros((0, 4), np.float32)
    nothing = Answers([raw_of(encode(empty, [], SPEC), SPEC) for _ in separate])
    assert validate(nothing, batches, separate)["val_AP50"] == 0


def test_loss_is_that_of_the_batches_weighted_by_their_pictures(pictures):
    learner, batches = small_learner(), batches_of(pictures, batch_size=4)
    expected = dict.fromkeys(COMPONENTS, 0.0)
    for number, share in enumerate((4 / 9, 4 / 9, 1 / 9)):
        pixels, (*targets, truths) = batches[number]
        parts = yolo_loss(learner.predict_on_batch(pixels), targets, truths, SPEC)
        for name in COMPONENTS:
            expected[name] += share * float(parts[name])
    found = validate(learner, batches, pictures)
    for name in COMPONENTS:
        assert found[f"val_{name}"] == pytest.approx(expected[name], rel=1e-5)
    assert found["val_loss"] == pytest.approx(sum(expected.values()), rel=1e-5)


def test_batch_size_changes_neither_the_scores_nor_the_loss_of_pictures_alike(separate):
    results = [
        validate(small_learner(), batches_of(separate, batch_size=size), separate)
        for size in (1, 2, 5)
    ]
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-4, abs=1e-6)


def test_validating_changes_nothing_and_repeats(pictures):
    learner, batches = small_learner(), batches_of(pictures)
    before = [weight.copy() for weight in learner.network.get_weights()]
    first = validate(learner, batches, pictures)
    assert validate(learner, batches, pictures) == first
    for a, b in zip(before, learner.network.get_weights(), strict=True):
        assert (a == b).all()


def test_pictures_without_boxes_give_finite_numbers(tmp_path):
    empty = [write_picture(tmp_path / "empty.png", np.zeros((64, 64, 3), np.uint8), [], [])]
    found = validate(small_learner(), batches_of(empty), empty)
    assert found["val_AP50"] == 0
    assert all(np.isfinite(value) for value in found.values())
