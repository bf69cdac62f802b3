import os
import shutil
import signal
import subprocess
import sys
import time
from urllib.parse import quote

import pandas as pd
import pytest
from click.testing import CliRunner
from detector_cases import file_bytes
from job_cases import NO_THRESHOLD, PROJECT, as_arguments
from PIL import Image
from server_cases import assert_same_objects, environment

from yolo3.commands.main import main
from yolo3.data.images import read_image
from yolo3.deploy.spark import ScoringError, Source, has_java, spark_session
from yolo3.detector.load import load_detector
from yolo3.detector.pyfunc import MAX_PICTURE_BYTES, as_objects
from yolo3.tracking.job import FINAL_MODEL

pytestmark = pytest.mark.slow

pytest.importorskip("pyspark", reason="PySpark is not installed: the extra `spark`")
if not has_java():
    pytest.skip("Spark needs Java, and there is none", allow_module_level=True)

LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def model(trained):
    return str(trained.model_folder(FINAL_MODEL))


@pytest.fixture(scope="module")
def pictures(scenes, tmp_path_factory):
    """Eight photographs, some at places that are hard to spell, and four that cannot be read."""
    folder = tmp_path_factory.mktemp("spark") / "my pictures"
    (folder / "deep" / "er").mkdir(parents=True)
    good = sorted((scenes.folder / "JPEGImages").iterdir())[:8]
    names = ["a.jpg", "b.JPEG", "deep/ü %20{c}[1].jpg", "deep/er/d,e=f.jpg"]
    for number, path in enumerate(good):
        shutil.copy(path, folder / (names[number] if number < len(names) else path.name))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "empty.webp").write_bytes(b"")
    with open(folder / "huge.png", "wb") as huge:
        huge.truncate(MAX_PICTURE_BYTES + 1)
    (folder / "deep" / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "notes.txt").write_text("no picture either")
    return folder


@pytest.fixture(scope="module")
def killed(model, pictures, tmp_path_factory):
    """The output of a call that was killed between two of its chunks, and its files."""
    output = tmp_path_factory.mktemp("spark") / "my output"
    options = {"model": model, "folder": pictures, "output": output, "chunk": 1}
    command = [sys.executable, "-m", "yolo3", "score-spark", *as_arguments(options | NO_THRESHOLD)]
    settings = [word for pair in LOOPBACK.items() for word in ("--conf", "=".join(pair))]
    process = subprocess.Popen(
        [*command, "--master", "local[1]", *settings],
        cwd=output.parent,
        env=environment(PYTHONPATH=str(PROJECT), SPARK_LOCAL_IP="127.0.0.1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + WAIT_SECONDS
    try:
        while len(rows_of(output)) < 1 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        told = process.communicate()[1].decode()
    assert len(rows_of(output)) >= 1, told
    return output


@pytest.fixture(scope="module")
def session(killed):
    """Two workers of one core each, on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        with spark_session("local-cluster[2,1,1024]", LOOPBACK) as session:
            yield session


def rows_of(output):
    """Read what other programs than Spark see."""
    parts = [pd.read_parquet(path) for path in sorted(output.glob("*.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def score(**options):
    words = as_arguments(options | NO_THRESHOLD)
    return CliRunner().invoke(main, ["score-spark", *words], catch_exceptions=False)


@pytest.fixture(scope="module")
def scored(session, model, pictures, killed):
    before = rows_of(killed)
    done = score(model=model, folder=pictures, output=killed)
    assert done.exit_code == 0, done.output
    return before, done, rows_of(killed)


def test_a_killed_call_is_gone_on_with(scored):
    before, done, after = scored
    assert 1 <= len(before) < 12
    assert f"{12 - len(before)} pictures scored, {len(before)} were there before" in done.output
    assert "4 rows tell an error" in done.stderr
    assert len(after) == 12 and after.path.is_unique and set(before.path) < set(after.path)


def test_each_picture_has_the_detectors_boxes_or_its_error(scored, model, pictures):
    after = scored[2].set_index("path")
    assert list(scored[2].columns) == ["path", "width", "height", "detections", "error"]
    detector = load_detector(model)
    errors = {
        "broken.png": "image is not a picture of a known kind",
        "empty.webp": "image is empty (0 bytes)",
        "huge.png": f"image has {MAX_PICTURE_BYTES + 1:,} bytes",
        "deep/gone.jpg": "image does not exist",
    }
    files = [path for path in pictures.rglob("*.*") if path.suffix != ".txt"]
    assert set(after.index) == {str(path) for path in files}
    for path in files:
        row = after.loc[str(path)]
        if start := errors.get(path.relative_to(pictures).as_posix()):
            assert row.error.startswith(start) and len(row.detections) == 0
            assert (row.width, row.height) == (0, 0)
            continue
        image = read_image(path)
        assert (row.width, row.height, row.error) == (*image.size, "")
        [found] = detector.detect([image], **NO_THRESHOLD)
        assert_same_objects(row.detections, as_objects(found, detector.spec.class_names))


def test_what_is_written_is_skipped_and_another_models_is_refused(
    session, scored, model, pictures, killed
):
    files = {path.name for path in killed.glob("*.parquet")}
    done = score(model=model, folder=pictures, output=killed)
    assert "0 pictures scored, 12 were there before" in done.output
    assert {path.name for path in killed.glob("*.parquet")} == files
    words = as_arguments({"model": model, "folder": pictures, "output": killed})
    done = CliRunner().invoke(main, ["score-spark", *words], catch_exceptions=False)
    assert done.exit_code == 1 and "name another output" in done.output


def test_a_folder_may_be_a_uri(session, scored, model, pictures, tmp_path):
    name = "ü %20{c}[1].jpg"
    (tmp_path / "some pictures" / ".cache").mkdir(parents=True)
    shutil.copy(pictures / "deep" / name, tmp_path / "some pictures")
    shutil.copy(pictures / "a.jpg", tmp_path / "some pictures" / ".cache")
    uri = (tmp_path / "some pictures").as_uri()
    done = score(model=model, folder=f"{uri}/", output=tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "out")
    assert (rows.path.tolist(), rows.error.tolist()) == ([f"{uri}/{quote(name)}"], [""])
    expected = scored[2].set_index("path").detections
    assert_same_objects(rows.detections[0], expected[str(pictures / "deep" / name)])


def test_tables_with_paths_and_with_pictures(session, scored, model, pictures, tmp_path):
    expected = scored[2].set_index("path").detections
    table = pictures / "table.csv"
    table.write_text("path,taken\na.jpg,monday\nb.JPEG,\nmissing.jpg,tuesday\n")
    done = score(model=model, table=table, output=tmp_path / "by path")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "by path").set_index("path")
    assert rows.error.to_dict() == {
        "a.jpg": "",
        "b.JPEG": "",
        "missing.jpg": "image does not exist",
    }
    assert_same_objects(rows.detections["a.jpg"], expected[str(pictures / "a.jpg")])
    contents = [(pictures / "a.jpg").read_bytes(), file_bytes(Image.new("RGB", (9, 7))), None]
    frame = pd.DataFrame({"path": ["one", "two", "three"], "content": contents})
    frame.to_parquet(tmp_path / "table.parquet")
    done = score(model=model, table=tmp_path / "table.parquet", output=tmp_path / "by content")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "by content").set_index("path")
    assert (rows.width["two"], rows.height["two"]) == (9, 7)
    assert rows.error.to_dict() == {"one": "", "two": "", "three": "image is missing (null)"}
    assert_same_objects(rows.detections["one"], expected[str(pictures / "a.jpg")])


def test_mistakes_are_told(session, scored, model, pictures, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "names.csv").write_text("name\na.jpg\n")
    (tmp_path / "holes.csv").write_text("path,note\na.jpg,x\n,y\n")
    mistakes = {
        "holds no pictures": {"folder": tmp_path / "empty"},
        "no folder that can be listed": {"folder": tmp_path / "nowhere"},
        "no such table": {"table": tmp_path / "nowhere.parquet"},
        "no such table; expected a .parquet": {"table": "nowhere"},
        "expected a column 'path' of type string": {"table": tmp_path / "names.csv"},
        "expected a path in each row, got rows without one": {"table": tmp_path / "holes.csv"},
        "one of both": {"folder": pictures, "table": "both"},
        "expected KEY=VALUE": {"folder": pictures, "conf": "spark.ui.enabled"},
        "is no Parquet": {"folder": pictures, "output": tmp_path / "empty"},
        "no model at 'nowhere'": {"folder": pictures, "model": "nowhere"},
    }
    for message, options in mistakes.items():
        done = score(**{"model": model, "output": tmp_path / "out"} | options)
        assert done.exit_code == 1 and "Traceback" not in done.output, done.output
        assert message in done.output
    options = {"model": model, "folder": pictures, "output": tmp_path / "out"}
    words = as_arguments(options | {"max_detections": 5000})
    done = CliRunner().invoke(main, ["score-spark", *words], catch_exceptions=False)
    assert done.exit_code == 1 and "from 1 to 1000, got 5000" in done.output
    assert not (tmp_path / "out").exists()


def test_a_source_is_one_of_both():
    with pytest.raises(ScoringError, match="from a folder or from a table"):
        Source()


def test_java_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert not has_java()
