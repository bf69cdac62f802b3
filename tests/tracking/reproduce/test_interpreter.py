import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from reproduce_cases import changed, record_of

from yolo3.tracking.reproduce.interpreter import find_interpreter
from yolo3.tracking.reproduce.record import ReproduceError


@pytest.fixture
def record(trained, tmp_path):
    return record_of(trained, tmp_path / "record")


def lock(record, text):
    (record.folder / "requirements.txt").write_text(text, "utf-8")
    return record


def test_the_present_environment_serves_if_it_holds_every_pin(record, tmp_path):
    lock(record, f"click=={version('click')}\nnone==1.0 ; python_version < '3'\n")
    found = find_interpreter(record, "auto", tmp_path / "venv")
    assert (found.python, found.new) == (Path(sys.executable), False)
    assert found.line == "environment: the present one, which holds all 1 pins of the run's lock"
    assert not (tmp_path / "venv").exists()


def test_the_present_environment_is_taken_as_it_is_if_that_is_said(record, tmp_path):
    lock(record, "click==0.1\nno-such-package==2.0\n")
    older = changed(record, environment={"python": "3.2.1"})
    line = find_interpreter(older, "present", tmp_path / "venv").line
    assert line.startswith("environment: the present one, with Python 3.")
    assert f" for 3.2, click {version('click')} for 0.1, no-such-package missing for 2.0" in line


def test_a_new_environment_holds_the_lock_and_nothing_else(record, tmp_path):
    """An empty lock, since tests need no network; another Python is told where it is missing."""
    older = changed(lock(record, ""), environment={"python": "3.2.1"})
    found = find_interpreter(older, "auto", tmp_path / "venv")
    assert found.new and found.python.is_relative_to(tmp_path / "venv")
    assert found.line.endswith("; Python 3.2 is not on the path")
    code = "import importlib.util as u, sys; print(u.find_spec('mlflow'), sys.prefix)"
    told = subprocess.check_output([found.python, "-c", code], env=found.variables({}), text=True)
    assert told.split() == ["None", str(tmp_path / "venv")]


@pytest.mark.parametrize(
    "line", ["--extra-index-url=https://example.org", "-e .", "click", "x @ https://example.org/x"]
)
def test_a_lock_that_is_more_than_pins_is_refused(record, tmp_path, line):
    with pytest.raises(ReproduceError, match="requirements.txt:2: expected NAME==VERSION"):
        find_interpreter(lock(record, f"click==8.1\n{line}\n"), "new", tmp_path / "venv")


def test_the_variables_are_those_of_the_run(record, tmp_path, monkeypatch):
    lock(record, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("ANOTHER", "stays")
    found = find_interpreter(record, "present", tmp_path).variables({"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert found["TF_ENABLE_ONEDNN_OPTS"] == "0" and found["ANOTHER"] == "stays"
    assert "OMP_NUM_THREADS" not in found
    assert found["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
