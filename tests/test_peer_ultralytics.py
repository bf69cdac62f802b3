import re
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.peer_ultralytics import Peer, count_epochs, main, read_found


def test_a_label_line_becomes_a_box_in_pixels_by_falling_score(tmp_path):
    labels = tmp_path / "1.txt"
    labels.write_text("1 0.5 0.25 0.25 0.5 0.125\n0 0.9 0.5 0.4 1 0.75\n")
    found = read_found(labels, (200, 100))
    np.testing.assert_allclose(found.boxes_xyxy, [[140, 0, 200, 100], [75, 0, 125, 50]], rtol=1e-6)
    assert found.scores.tolist() == [0.75, 0.125]
    assert found.class_ids.tolist() == [0, 1]


def test_no_label_file_is_a_picture_without_boxes(tmp_path):
    found = read_found(tmp_path / "none.txt", (200, 100))
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1 0.1 nan"])
def test_a_line_without_score_is_refused_with_its_place(tmp_path, line):
    labels = tmp_path / "1.txt"
    labels.write_text(f"0 0.5 0.5 0.1 0.1 0.9\n{line}\n")
    with pytest.raises(ValueError, match=re.escape(f"{labels}:2: ")):
        read_found(labels, (200, 100))


def test_epochs_fill_the_budget_rounded_up():
    assert count_epochs(100, one=30, two=40) == 8
    assert count_epochs(101, one=30, two=40) == 9
    assert count_epochs(10, one=30, two=40) == 1
    with pytest.raises(click.ClickException, match="--epochs"):
        count_epochs(100, one=30, two=30)


def test_a_missing_command_is_refused_before_anything_is_read(tmp_path):
    options = ["--voc", str(tmp_path), "--output", str(tmp_path / "out")]
    refused = CliRunner().invoke(main, [*options, "--yolo", str(tmp_path / "yolo")])
    assert refused.exit_code == 2
    assert "pip install ultralytics" in refused.output
    assert not (tmp_path / "out").exists()


def test_a_command_that_fails_is_told_with_its_log(tmp_path):
    command = tmp_path / "yolo"
    command.write_text(f"#!{sys.executable}\nraise SystemExit('no such setting')\n")
    command.chmod(0o755)
    with pytest.raises(click.ClickException, match="ended with 1, see .*settings.log"):
        Peer(str(command), tmp_path / "out", 416)
    assert (tmp_path / "out" / "settings.log").read_text() == "no such setting\n"
