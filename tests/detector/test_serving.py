import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from detector_cases import as_text, file_bytes

from yolo3.detector.mlflow_model import load_detector
from yolo3.detector.pyfunc import as_objects

START_SECONDS = 120


@pytest.fixture(scope="module")
def address(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", str(model_folder), "-h", "127.0.0.1", "-p", str(port)]
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"  # for uvicorn
    with open(folder / "log.txt", "w+b") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def wait_for(url, server, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def post(address, body):
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def split(*values, **params):
    table = {"columns": ["image"], "data": [[value] for value in values]}
    return {"dataframe_split": table} | ({"params": params} if params else {})


@pytest.fixture(scope="module")
def expected(model_folder, photos):
    detector = load_detector(model_folder)
    return [as_objects(found, detector.spec.class_names) for found in detector.detect(photos)]


def assert_same(served, expected):
    assert len(served) == len(expected) > 0
    for a, b in zip(served, expected, strict=True):
        assert (a["label"], a["class_id"]) == (b["label"], b["class_id"])
        for name in ("xmin", "ymin", "xmax", "ymax"):
            assert a[name] == pytest.approx(b[name], abs=0.01)
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)


def test_served_boxes_are_the_detectors(address, photos, expected):
    texts = [as_text(file_bytes(image)) for image in photos]
    bodies = [split(*texts), {"dataframe_records": [{"image": text} for text in texts]}]
    for body in bodies:
        status, answer = post(address, body)
        assert status == 200
        for row, image, objects in zip(answer["predictions"], photos, expected, strict=True):
            assert_same(row["detections"], objects)
            assert (row["width"], row["height"], row["error"]) == (*image.size, "")
    for text, objects in zip(texts, expected, strict=True):
        assert_same(post(address, split(text))[1]["predictions"][0]["detections"], objects)


def test_bad_rows_fail_alone(address, photos, expected):
    data = file_bytes(photos[0])
    status, answer = post(address, split("?", as_text(data), as_text(data[:99]), None, 7, ""))
    assert status == 200
    rows = answer["predictions"]
    assert [bool(row["error"]) for row in rows] == [True, False, True, True, True, True]
    assert_same(rows[1]["detections"], expected[0])
    status, answer = post(address, split(None))
    assert status == 200 and answer["predictions"][0]["error"] == "image is missing (null)"


def test_params_travel_with_the_request(address, photos):
    text = as_text(file_bytes(photos[1]))
    status, answer = post(address, split(text, score_threshold=0, max_detections=2))
    assert status == 200 and len(answer["predictions"][0]["detections"]) == 2
    bad = {"score_threshold": 2, "iou_threshold": "much", "max_detections": 0}
    for name, value in bad.items():
        status, answer = post(address, split(text, **{name: value}))
        assert status == 400 and name in answer["message"]
    status, _ = post(address, {"dataframe_records": [{"picture": text}]})
    assert status == 400


def test_many_requests_at_once(address, photos, expected):
    texts = [as_text(file_bytes(image)) for image in photos]

    def ask(number):
        return post(address, split(texts[number % 6], "broken"))

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(60)))
    for number, (status, answer) in enumerate(answers):
        assert status == 200 and answer["predictions"][1]["error"]
        assert_same(answer["predictions"][0]["detections"], expected[number % 6])
