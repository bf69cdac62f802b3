import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from job_cases import PROJECT

from yolo3.commands.main import main
from yolo3.data.annotations import read_annotations, read_classes

COMMANDS = (
    *("anchors", "annotations", "check", "convert", "export"),
    *("detect", "evaluate", "pretrain", "promote", "reproduce", "sample"),
    *("score-spark", "weights"),
)


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def test_help_answers_without_loading_a_framework():
    code = (
        "import sys; from click.testing import CliRunner; from yolo3.commands.main import main\n"
        "import train; assert CliRunner().invoke(train.main, ['--help']).exit_code == 0\n"
        f"for name in {COMMANDS}:\n"
        "    assert CliRunner().invoke(main, [name, '--help']).exit_code == 0\n"
        "assert not {'keras', 'tensorflow', 'mlflow', 'openvino', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=60)


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "yolo3", "--help"],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "Usage: python -m yolo3" in done.stdout
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_sample_makes_a_data_set_of_any_number(tmp_path):
    words = ("--count", 3, "--seed", 7, "--output")
    done = call("sample", *words, tmp_path / "a")
    assert done.exit_code == 0 and "3 pictures, boxes: " in done.output
    call("sample", *words, tmp_path / "b")
    names = read_classes(tmp_path / "a" / "classes.txt")
    pictures, findings = read_annotations(tmp_path / "a" / "list_master.txt", names, tmp_path)
    assert len(pictures) == 3 and not findings.found
    for picture in pictures:
        same = tmp_path / "b" / picture.path.relative_to(tmp_path / "a")
        assert same.read_bytes() == picture.path.read_bytes()
    done = call("sample", *words, tmp_path / "a")
    assert done.exit_code == 1 and "not empty" in done.output


def test_the_themes_have_classes_of_their_own(tmp_path):
    done = call("sample", "--count", 1, "--theme", "pretrain", "--output", tmp_path / "p")
    assert done.exit_code == 0
    assert not set(read_classes(tmp_path / "p" / "classes.txt")) & {"helmet", "hat", "bare"}


def test_voc_folders_become_lists(scenes, tmp_path):
    listed, classes = tmp_path / "list.txt", tmp_path / "classes.txt"
    done = call("annotations", "--voc", scenes.folder, "--output", listed, "--classes", classes)
    assert done.exit_code == 0, done.output
    names = read_classes(classes)
    assert set(names) == {"helmet", "hat", "bare"}
    found, _ = read_annotations(listed, names, tmp_path)
    own, _ = read_annotations(scenes.every, ("helmet", "hat", "bare"), tmp_path)
    assert [picture.path for picture in found] == [picture.path for picture in own]
    for a, b in zip(found, own, strict=True):
        assert a.boxes_xyxy.tolist() == b.boxes_xyxy.tolist()
    classes.write_text("helmet\n")
    done = call("annotations", "--voc", scenes.folder, "--output", listed, "--classes", classes)
    assert done.exit_code == 1 and "hat" in done.output and "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sample",), "Missing option '--output'"),
        (("sample", "--output", "x", "--count", 0), "Invalid value for '--count'"),
        (("detect", "--model", "m", "--output", "x"), "Missing option '--input'"),
        (("detect", "--model", "m", "--input", "nowhere", "--output", "x"), "does not exist"),
        (("evaluate",), "Missing option '--model'"),
        (("pretrain", "--epochs", 0), "Invalid value for '--epochs'"),
        (("promote", "--annotation-path", "list.txt"), "Missing option '--name'"),
        (("promote", "--name", "detector"), "Missing option '--annotation-path'"),
        (("promote", "--force", "perhaps"), "Invalid value for '--force'"),
        (("train",), "No such command 'train'"),
    ],
)
def test_misuse_is_told(words, message):
    done = call(*words)
    assert done.exit_code == 2 and message in done.output


def test_bad_sizes_are_told(tracking, tmp_path):
    done = call("pretrain", "--input-size", "50", "--data", tmp_path / "s")
    assert (done.exit_code, done.output) == (
        1,
        "Error: input_size must be a multiple of 32, got '50'\n",
    )
    assert not (tmp_path / "s").exists()
