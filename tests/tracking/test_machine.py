import platform
from importlib.metadata import version

import keras
import pytest
from job_cases import PROJECT

from yolo3.tracking.machine import environment, installed, pins
from yolo3.training.determinism import running_threads


def test_the_environment_tells_machine_threads_and_versions(tmp_path):
    found = environment(PROJECT / "requirements.txt")
    assert found["python"] == platform.python_version()
    assert found["keras_backend"] == keras.backend.backend()
    assert found["threads"]["intra_op"] == running_threads().intra_op > 0
    assert found["cores"]["usable"] >= 1 and found["processor"]["name"]
    assert len(found["packages"]) > 80
    for name in ("tensorflow", "keras", "mlflow", "numpy"):
        assert found["packages"][name] == version(name)


def test_versions_are_those_installed_not_those_pinned(tmp_path):
    (tmp_path / "lock.txt").write_text("click==0.1\nno-such-package==1.0\n")
    packages = environment(tmp_path / "lock.txt")["packages"]
    assert packages == {"click": version("click"), "no-such-package": None}


def test_only_variables_that_change_numbers_are_recorded(tmp_path, monkeypatch):
    (tmp_path / "lock.txt").write_text("")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("TF_API_TOKEN", "hunter2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    found = environment(tmp_path / "lock.txt")
    assert found["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("click==8.1", True),
        ("click==8.1 ; python_version < '3'", False),
        ("click==8.1 ; python_version >= '3'  # why", True),
        ("# nothing", False),
        ("--index-url https://example.org/click", False),
        ("", False),
    ],
)
def test_pins_are_those_of_this_python(line, counts):
    assert [pin.name for pin in pins(f"{line}\n")] == ["click"] * counts


def test_a_package_that_is_missing_has_no_version():
    assert installed("no-such-package") is None and installed("click") == version("click")
