import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from batches_cases import write_pictures

from benchmarks.contest import split as contest_split
from benchmarks.contest.__main__ import KEY, MEASURED, summary
from benchmarks.contest.contestants import Contestant, Project, _run, read_found


def row(contestant, data, ap):
    key = dict(zip(KEY, ("chip", contestant, data, "1", "8"), strict=True))
    return key | dict.fromkeys(MEASURED, ap) | {"start": "COCO"}


def test_differences_are_paired_over_sets_and_seeds():
    rows = [row("now", "a", 0.5), row("now", "b", 0.3), row("other", "b", 0.1)]
    rows += [row("before", "a", 0.4), row("before", "b", 0.1)]
    text = summary(rows, "chip")
    assert "| now | COCO | 0.400 | 0.400 | 0.400 | +0.000 ± 0.000 | 2 |" in text
    assert "| before | COCO | 0.250 | 0.250 | 0.250 | -0.150 ± 0.050 | 2 |" in text
    assert "| other | COCO | 0.100 | 0.100 | 0.100 |  | 1 |" in text  # one pair has no error
    assert summary(rows, "another chip") == ""


class Clock(Contestant):
    """Takes 30 seconds, and 10 an epoch, for ten images."""

    name, start = "clock", "none"

    def train(self, split, epochs, place, core):
        assert place.is_dir() and not any(place.iterdir())
        return (30 + 10 * epochs) * len(split.train) / 10

    def judge(self, split, place, core):
        return {"AP50": 0.5, "AP75": 0.25, "AP": 1 / 3, "AR": 1.0}


@pytest.mark.parametrize(("images", "budget", "epochs"), [(10, 130, 10), (20, 130, 4), (10, 1, 1)])
def test_two_trials_tell_how_many_epochs_fill_the_budget(images, budget, epochs, tmp_path):
    clock = Clock()
    measured = clock.measure(_split(10, tmp_path), 130, tmp_path, 0)
    assert measured["epochs"] == 10 and measured["AP"] == 0.3333 and "AR" not in measured
    assert clock.measure(_split(images, tmp_path), budget, tmp_path, 0)["epochs"] == epochs


def _split(images, folder):
    return contest_split.Split(tuple(range(images)), (), (), (), 1, folder)


def test_a_project_is_read_with_its_options(tmp_path):
    project = Project.parse(f"old={tmp_path} --weights-path none --classes-path 'my names.txt'")
    assert (project.name, project.start) == ("old", "random")
    assert project._options[-1] == "my names.txt"
    assert Project.parse("now=.").start == "COCO"


def test_a_command_that_fails_names_its_log(tmp_path):
    with pytest.raises(subprocess.CalledProcessError, match=r"see .*log\.txt"):
        _run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, 0)
    assert _run([sys.executable, "-c", "sum(range(10**6))"], tmp_path, 0) > 0


def test_the_held_out_third_is_apart_and_copied_without_labels(tmp_path, monkeypatch):
    pictures = write_pictures(tmp_path / "images", 12)
    imported = SimpleNamespace(pictures=pictures, class_names=("a", "b"))
    monkeypatch.setattr(contest_split, "read_labels", lambda source: imported)
    split = contest_split.hold_out(tmp_path, 1, tmp_path / "work")
    parts = (split.train, split.val, split.held_out)
    paths = [{picture.path for picture in part} for part in parts]
    assert len(set.union(*paths)) == sum(map(len, paths)) == 12 and len(split.held_out) == 4
    assert len(split.annotations.read_text("utf-8").splitlines()) == 8
    folder, stems = split.copy_held_out()
    assert sorted(file.stem for file in folder.iterdir()) == stems
    data = split.write_yolo()
    assert len(list((data.parent / "train" / "images").iterdir())) == len(split.train)


def test_what_a_peer_found_is_read_in_pixels_best_first(tmp_path):
    file = tmp_path / "1.txt"
    file.write_text("1 0.5 0.5 0.2 0.4 0.3\n0 0.9 0.5 0.4 0.5 0.8\n", "utf-8")
    found = read_found(file, (100, 50))
    np.testing.assert_allclose(found.boxes_xyxy, [[70, 12.5, 100, 37.5], [40, 15, 60, 35]], 1e-6)
    assert found.class_ids.tolist() == [0, 1]
    assert len(read_found(tmp_path / "2.txt", (100, 50))) == 0
    for wrong, reason in (("0 1 1", "has 3 numbers"), ("0 1 1 1 x 1", "x")):
        file.write_text(f"{wrong}\n", "utf-8")
        with pytest.raises(ValueError, match=rf"1\.txt:1: .*{reason}"):
            read_found(file, (100, 50))
