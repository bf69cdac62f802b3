import numpy as np
import pytest
from batches_cases import write_pictures
from keras import ops
from learner_cases import SPEC, batches_of, small_learner
from numpy.testing import assert_allclose

from yolo3.data.augmentation import Augmentation
from yolo3.network.loss import COMPONENTS, yolo_loss


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    return batches_of(write_pictures(tmp_path_factory.mktemp("pictures"), 4), batch_size=4)[0]


def test_pixels_of_8_bits_are_scaled_to_one(batch):
    learner, (pixels, _) = small_learner(), batch
    expected = learner.network.predict_on_batch(pixels.astype(np.float32) / 255)
    for a, b in zip(learner.predict_on_batch(pixels), expected, strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_loss_is_the_sum_of_its_components_and_each_is_a_metric(batch):
    learner, (pixels, labels) = small_learner(), batch
    learner.compile(optimizer="sgd")
    *targets, truths = labels
    expected = yolo_loss(learner.predict_on_batch(pixels), targets, truths, SPEC)
    found = learner.test_on_batch(pixels, labels, return_dict=True)
    assert set(found) == {"loss", *COMPONENTS}
    for name in COMPONENTS:
        assert found[name] == pytest.approx(float(expected[name]), rel=1e-5)
        assert found[name] > 0
    assert found["loss"] == pytest.approx(sum(found[name] for name in COMPONENTS), rel=1e-5)


def test_training_lowers_every_component_and_metrics_start_anew_with_each_pass(batch):
    learner, (pixels, labels) = small_learner(), batch
    learner.compile(optimizer="adam")
    first = learner.train_on_batch(pixels, labels, return_dict=True)
    for _ in range(40):
        learner.reset_metrics()
        last = learner.train_on_batch(pixels, labels, return_dict=True)
    assert all(last[name] < first[name] for name in COMPONENTS)
    learner.reset_metrics()
    assert {metric.name for metric in learner.metrics} == {"loss", *COMPONENTS}
    assert all(float(ops.convert_to_numpy(metric.result())) == 0 for metric in learner.metrics)


def test_only_the_network_has_weights():
    learner = small_learner()
    learner.build((None, 64, 64, 3))
    assert len(learner.trainable_weights) == len(learner.network.trainable_weights) == 10


def test_fit_counts_its_epochs(tmp_path):
    batches = batches_of(write_pictures(tmp_path, 4), augmentation=Augmentation(), workers=2)
    learner = small_learner()
    learner.compile(optimizer="sgd")
    learner.fit(batches, epochs=2, shuffle=False, verbose=0)
    assert batches.epoch == 2
