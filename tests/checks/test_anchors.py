import numpy as np
import pytest
from check_cases import ANCHORS, labelled

from yolo3.checks.anchors import (
    BOXES_PER_ANCHOR,
    LEAST_RISE,
    best_iou,
    better_anchors,
    cluster_anchors,
    fit_of,
    network_sizes_wh,
    write_anchors,
)
from yolo3.data.pictures import DataError
from yolo3.network.spec import read_anchors


def sizes_around(centres, each=80, spread=0.04, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [np.array(centre) * np.exp(rng.normal(0, spread, (each, 2))) for centre in centres]
    )


def test_sizes_are_measured_after_letterboxing():
    wide = labelled("wide", [(0, 0, 100, 50, 0), (10, 10, 20, 60, 0)], size_wh=(400, 200))
    assert network_sizes_wh([wide], (416, 416)) == pytest.approx(
        np.array([[104, 52], [10.4, 52]]), rel=1e-6
    )
    assert network_sizes_wh([wide], (96, 64))[0] == pytest.approx([24, 12], rel=1e-6)
    assert network_sizes_wh([], (96, 64)).shape == (0, 2)


def test_the_fit_is_told_as_defined():
    sizes = np.array([[10.0, 10.0], [20.0, 20.0], [10.0, 40.0]])
    assert best_iou(sizes, [(10, 10)]).tolist() == [1.0, 0.25, 0.25]
    fit = fit_of(sizes, [(10, 10), (10, 20)])
    assert (fit.mean_iou, fit.recall) == pytest.approx(((1 + 0.5 + 0.5) / 3, 1.0))
    assert str(fit) == "mean IoU 0.667, best possible recall 1.000"
    assert fit_of(sizes, [(10, 10)]).recall == pytest.approx(1 / 3)
    assert np.isnan(fit_of(np.zeros((0, 2)), [(10, 10)]).recall)


@pytest.mark.parametrize("count", [6, 9])
def test_clusters_are_found(count):
    centres = [(8 * 1.6**n, (11 if n % 2 else 7) * 1.6**n) for n in range(count)]
    found = cluster_anchors(sizes_around(centres), count)
    areas = [width * height for width, height in found]
    assert areas == sorted(areas) and len(found) == count
    expected = sorted(centres, key=lambda wh: wh[0] * wh[1])
    assert np.array(found) == pytest.approx(np.array(expected), rel=0.05)


def test_anchors_are_made_only_where_they_fit_better_and_there_are_boxes_enough():
    centres = [(8 * 1.6**n, 11 * 1.6**n) for n in range(6)]
    sizes = sizes_around(centres, each=BOXES_PER_ANCHOR)
    far = [(3 * width, height / 3) for width, height in centres]
    own, line = better_anchors(sizes, far)
    assert own == cluster_anchors(sizes, 6)
    before, after = (fit_of(sizes, anchors).mean_iou for anchors in (far, own))
    assert after - before >= LEAST_RISE
    assert line == (
        f"anchors: clustered from the boxes, mean IoU {after:.3f}; the published ones {before:.3f}"
    )
    kept, line = better_anchors(sizes, own)
    assert kept is None and "less than 0.03 above" in line and line.count(f"{after:.3f}") == 2
    few, line = better_anchors(sizes[1:], far)
    assert few is None and "119 boxes are too few to make others, which takes 120" in line
    same, line = better_anchors(np.full((500, 2), 30.0), far)
    assert same is None and "too few sizes for others" in line


def test_neither_order_nor_time_changes_the_anchors():
    sizes = sizes_around([(20, 30), (60, 50), (200, 300)], spread=0.5)
    first = cluster_anchors(sizes, 6)
    assert cluster_anchors(sizes.copy(), 6) == first
    shuffled = np.random.default_rng(1).permutation(sizes)
    assert cluster_anchors(shuffled, 6) == first
    assert {cluster_anchors(sizes, 6, seed=seed) for seed in range(1, 6)} != {first}


def test_own_anchors_fit_better_than_others():
    sizes = sizes_around([(200, 60), (90, 300), (30, 200)], spread=0.3)
    assert fit_of(sizes, cluster_anchors(sizes, 6)).mean_iou > fit_of(sizes, ANCHORS).mean_iou + 0.1


def test_nine_anchors_fit_no_worse_than_six():
    sizes = sizes_around([(20, 30), (60, 50), (200, 300)], spread=0.5)
    six, nine = (fit_of(sizes, cluster_anchors(sizes, count)).mean_iou for count in (6, 9))
    assert nine > six


@pytest.mark.parametrize("sizes", [np.zeros((0, 2)), np.full((50, 2), 7.0), np.eye(2) + 5])
def test_too_few_sizes_are_told(sizes):
    with pytest.raises(DataError, match="different sizes, expected at least 6 for 6 anchors"):
        cluster_anchors(sizes, 6)


def test_more_boxes_than_are_clustered_are_sampled(monkeypatch):
    monkeypatch.setattr("yolo3.checks.anchors._MOST_SIZES", 100)
    sizes = sizes_around([(20, 30), (60, 50), (200, 300)], spread=0.1)
    assert fit_of(sizes, cluster_anchors(sizes, 6)).mean_iou > 0.8


def test_written_anchors_are_read_back(tmp_path):
    anchors = cluster_anchors(sizes_around([(20.5, 30.2), (200, 300)], spread=0.6), 9)
    write_anchors(anchors, tmp_path / "anchors.txt", "for my list, at 416x416")
    assert read_anchors(tmp_path / "anchors.txt") == anchors
