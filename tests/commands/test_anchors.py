import re

import numpy as np
import pytest
from check_cases import SIDE, clean_data
from click.testing import CliRunner

from yolo3.checks.anchors import fit_of
from yolo3.commands.main import main
from yolo3.network.spec import read_anchors


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data set with boxes of many sizes, mostly narrow and high."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    data = clean_data(tmp_path / "data")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(12):
        sizes = np.exp(rng.uniform(np.log((8, 30)), np.log((50, 200)), (6, 2)))
        boxes = (f"0,0,{width:.1f},{height:.1f},0" for width, height in sizes)
        lines.append(f"{number}.jpg {' '.join(boxes)}\n")
    data.list.write_text("".join(lines), "utf-8")
    return data


def make(data, *words):
    arguments = ["anchors", *data.options, *words]
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


def fits(output):
    """Give (mean IoU, recall) of the present anchors and of the new ones."""
    found = re.findall(r"anchors.*: mean IoU ([\d.]+), best possible recall ([\d.]+)", output)
    return [tuple(map(float, numbers)) for numbers in found[:2]]


@pytest.mark.parametrize("count", [6, 9])
def test_new_anchors_are_told_beside_the_present_ones(data, tmp_path, count):
    done = make(data, "--count", count, "--output", tmp_path / "new" / "anchors.txt")
    assert done.exit_code == 0, done.output
    present, new = fits(done.output)
    assert new[0] > present[0] + 0.05 and new[1] > present[1]
    anchors = read_anchors(tmp_path / "new" / "anchors.txt")
    assert len(anchors) == count and "72 boxes at 416x416" in done.output
    sizes = [
        (float(w) * 416 / SIDE, float(h) * 416 / SIDE)
        for w, h in re.findall(r" 0,0,([\d.]+),([\d.]+),0", data.list.read_text("utf-8"))
    ]
    fit = fit_of(np.array(sizes), anchors)
    assert new == pytest.approx((fit.mean_iou, fit.recall), abs=1e-3)


def test_the_same_data_give_the_same_anchors(data):
    assert make(data).output == make(data).output
    lines = data.list.read_text("utf-8").splitlines(keepends=True)
    before = make(data).output
    data.list.write_text("".join(lines[::-1]), "utf-8")
    assert make(data).output == before


def test_anchors_follow_the_input_size(data, tmp_path):
    for size in ("416", "832"):
        make(data, "--input-size", size, "--output", tmp_path / f"{size}.txt")
    small, large = (np.array(read_anchors(tmp_path / f"{size}.txt")) for size in ("416", "832"))
    assert large == pytest.approx(2 * small, rel=0.02)


def test_given_anchors_are_the_present_ones(data, tmp_path):
    make(data, "--output", tmp_path / "own.txt")
    done = make(data, "--anchors-path", tmp_path / "own.txt")
    present, new = fits(done.output)
    assert present == new and "own.txt" in done.output


def test_without_output_nothing_is_written(data, tmp_path):
    assert make(data).exit_code == 0
    assert list((tmp_path / "here").iterdir()) == []


def test_the_present_anchors_are_not_overwritten(data, tmp_path):
    make(data, "--output", tmp_path / "own.txt")
    before = (tmp_path / "own.txt").read_bytes()
    for path in (tmp_path / "own.txt", data.list):
        done = make(data, "--anchors-path", tmp_path / "own.txt", "--output", path)
        assert done.exit_code == 1 and "is one of the files that are read" in done.output
    assert (tmp_path / "own.txt").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--count", 7), 2, "Invalid value for '--count'"),
        (("--input-size", "415"), 1, "input_size must be a multiple of 32"),
        (("--anchors-path", "nowhere.txt"), 1, "nowhere.txt: cannot read the anchors"),
    ],
)
def test_misuse_is_told(data, words, status, told):
    done = make(data, *words)
    assert (done.exit_code, told in done.output) == (status, True), done.output


def test_too_few_sizes_are_told(data):
    data.list.write_text("0.jpg 0,0,10,10,0 20,20,30,30,1\n1.jpg\n", "utf-8")
    done = make(data)
    assert done.exit_code == 1 and "1 different sizes, expected at least 6" in done.output
