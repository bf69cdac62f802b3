from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from yolo3.data.images import letterbox
from yolo3.detector.cores import usable_cores
from yolo3.detector.detector import Detector
from yolo3.detector.keras_engine import KerasEngine
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec


@pytest.fixture(scope="module")
def detector(network, spec):
    return Detector(
        KerasEngine(network, spec), spec, batch_size=4, thresholds=Thresholds(0.5, 0.4, 10)
    )


def same(a, b, tolerance=0.0):
    np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, rtol=0, atol=tolerance)
    np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(a.class_ids, b.class_ids)


def test_boxes_lie_in_the_picture_by_falling_score(detector, photos):
    for image, found in zip(photos, detector.detect(photos), strict=True):
        assert 0 < len(found) <= 10
        assert (np.diff(found.scores) <= 0).all() and (found.scores >= 0.5).all()
        low, high = found.boxes_xyxy[:, :2], found.boxes_xyxy[:, 2:]
        assert (low >= 0).all() and (high <= image.size).all() and (high > low).all()


def test_company_in_the_batch_changes_nothing(detector, photos):
    together = detector.detect(photos)
    for image, found in zip(photos, together, strict=True):
        same(detector.detect([image])[0], found)
    backwards = detector.detect(photos[::-1])
    for found, again in zip(together, backwards[::-1], strict=True):
        same(found, again)


def test_no_pictures_give_no_detections(detector):
    assert detector.detect([]) == []


def test_pictures_are_asked_for_little_by_little(network, spec, photos):
    given, batches = [], []
    engine = KerasEngine(network, spec)

    def watch(pixels):
        batches.append((len(pixels), len(given)))
        return engine(pixels)

    def read():
        for image in photos * 5:
            given.append(image)
            yield image

    found = Detector(watch, spec, batch_size=4).detect(read())
    assert [count for count, _ in batches] == [4] * 7 + [2] and len(found) == len(given) == 30
    ready = 2 * usable_cores() + 1  # made ready ahead; and one batch more waits for the engine
    for number, (_, asked) in enumerate(batches):
        assert asked <= 4 * (number + 2) + ready
    for expected, again in zip(found[:6], found[6:12], strict=True):
        same(expected, again)


def test_an_error_of_the_engine_or_a_picture_is_raised(spec, photos):
    def fail(pixels):
        raise RuntimeError("no engine")

    def broken():
        yield from photos[:3]
        raise ValueError("no picture")

    for images in (photos[:1], photos):
        with pytest.raises(RuntimeError, match="no engine"):
            Detector(fail, spec, batch_size=2).detect(images)
    with pytest.raises(ValueError, match="no picture"):
        Detector(fail, spec, batch_size=16).detect(broken())


def test_the_network_sees_the_letterboxed_picture_and_boxes_go_back(spec, photo):
    seen = []

    def engine(batch):
        seen.append(batch)
        boxes = np.array([[[0, 0, 96, 64], [48, 32, 52, 36], [0, 0, 96, 4]]], np.float32)
        return boxes, np.array([[[0.9, 0, 0], [0, 0.8, 0], [0, 0, 0.7]]], np.float32)

    pixels, placed = letterbox(photo, (96, 64))
    assert placed.offset_xy == (0, 5)  # the third box above lies in the upper bar alone
    found = Detector(engine, spec).detect([photo])[0]
    np.testing.assert_array_equal(seen[0], pixels[None])
    assert found.class_ids.tolist() == [0, 1]
    np.testing.assert_allclose(found.boxes_xyxy[0], (0, 0, 500, 281))
    expected = placed.to_picture(np.array([[48, 32, 52, 36]]))[0]
    np.testing.assert_allclose(found.boxes_xyxy[1], expected)


def test_given_thresholds_go_before_the_detectors_own(detector, photo):
    own = detector.detect([photo])[0]
    assert len(detector.detect([photo], max_detections=3)[0]) == 3
    high = float(own.scores[1])
    assert len(detector.detect([photo], score_threshold=high)[0]) == 2
    most = detector.detect([photo], score_threshold=0.0, iou_threshold=1.0, max_detections=1000)[0]
    assert len(most) > len(own)
    with pytest.raises(ValueError, match="iou_threshold must be a number from 0 to 1, got 7"):
        detector.detect([photo], iou_threshold=7)


def test_threads_share_a_detector(detector, photos):
    expected = detector.detect(photos)
    with ThreadPoolExecutor(8) as pool:
        rounds = list(pool.map(lambda _: detector.detect(photos), range(16)))
    for found in rounds:
        for a, b in zip(found, expected, strict=True):
            same(a, b)


def test_sides_of_very_different_length_get_an_answer(detector):
    for size in ((1, 1), (20000, 20), (3, 5000)):
        found = detector.detect([Image.new("RGB", size, "red")], score_threshold=0.0)[0]
        assert len(found) and (found.boxes_xyxy[:, 2:] <= size).all()


def test_a_network_that_the_spec_does_not_describe_is_an_error(network, spec):
    other = make_spec(("one",), spec.anchors_wh, spec.input_wh)
    with pytest.raises(ValueError, match=r"outputs are .* expected .* for 1 classes"):
        KerasEngine(network, other)
    larger = make_spec(spec.class_names, spec.anchors_wh, (128, 128))
    with pytest.raises(ValueError, match=r"input is .*, expected \(None, 128, 128, 3\)"):
        KerasEngine(network, larger)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Detector(None, spec, batch_size=0)
