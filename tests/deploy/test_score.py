"""The exported folder under Azure ML's own inference server."""

import base64
import importlib.util
import io
import itertools
import json
import select
import shutil
import socket
import sys
from urllib.parse import urlsplit

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import yaml
from detector_cases import as_text, file_bytes, header_only
from inference_cases import ask, inference_server
from job_cases import PROJECT
from PIL import Image
from server_cases import assert_same_objects

from yolo3.deploy.texts import SERVE
from yolo3.detector.drawing import MAX_JPEG_SIDE

JSON = "application/json"
JPEG = "image/jpeg"


@pytest.fixture(scope="module")
def pictures(photos):
    return [file_bytes(photos[0], "JPEG"), file_bytes(photos[1]), file_bytes(photos[2], "WEBP")]


@pytest.fixture(scope="module")
def expected(package, pictures):
    loaded = mlflow.pyfunc.load_model(str(package.folder / "model"))
    table = pd.DataFrame({"image": [as_text(data) for data in pictures]})
    return loaded.predict(table).to_dict("records")


def assert_same_rows(rows, expected):
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert_same_objects(row["detections"], wanted["detections"])
        for name in ("width", "height", "error"):
            assert row[name] == wanted[name]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "application/octet-stream"])
def test_the_bytes_of_a_picture_are_answered_with_the_boxes_of_predict(
    served, pictures, expected, kind
):
    for data, wanted in zip(pictures, expected, strict=True):
        reply = ask(served, "POST", "/score", data, Content_Type=f"{kind}; name=x")
        assert reply.status == 200
        assert_same_rows(reply.json["predictions"], [wanted])


def tables(texts):
    split = {"columns": ["image"], "index": list(range(len(texts))), "data": [[t] for t in texts]}
    records = [{"image": text} for text in texts]
    wide = {"columns": ["id", "image"], "data": [[7, text] for text in texts]}
    return {
        "input_data": split,
        "dataframe_split": wide,
        "dataframe_records": records,
    }


@pytest.mark.parametrize("name", ["input_data", "dataframe_split", "dataframe_records"])
def test_tables_are_answered_with_the_boxes_of_predict(served, pictures, expected, name):
    body = json.dumps({name: tables([as_text(data) for data in pictures])[name]})
    reply = ask(served, "POST", "/score", body, Content_Type=JSON)
    assert reply.status == 200
    assert_same_rows(reply.json["predictions"], expected)


def test_azures_input_data_may_be_a_list(served, pictures, expected):
    texts = [as_text(data) for data in pictures]
    for rows in (texts, [{"image": text} for text in texts]):
        body = json.dumps({"input_data": rows})
        reply = ask(served, "POST", "/score", body, Content_Type=JSON)
        assert_same_rows(reply.json["predictions"], expected)


def test_the_exports_own_samples_are_answered(served, package):
    request = (package.folder / "sample-request.json").read_bytes()
    picture = (package.folder / "sample.jpg").read_bytes()
    table = ask(served, "POST", "/score", request, Content_Type=JSON)
    raw = ask(served, "POST", "/score", picture, Content_Type=JPEG)
    assert table.status == raw.status == 200 and table.json["predictions"][0]["detections"]
    assert_same_rows(raw.json["predictions"], table.json["predictions"])


def test_params_travel_with_a_table(served, pictures):
    body = {"input_data": [as_text(pictures[0])]}
    body["params"] = {"score_threshold": 0.0, "max_detections": 2}
    reply = ask(served, "POST", "/score", json.dumps(body), Content_Type=JSON)
    assert reply.status == 200 and len(reply.json["predictions"][0]["detections"]) == 2


@pytest.mark.parametrize(("accept", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_a_picture_with_boxes_is_answered_where_one_is_accepted(
    served, pictures, photos, expected, accept, kind
):
    reply = ask(served, "POST", "/score", pictures[1], Content_Type="image/png", Accept=accept)
    assert (reply.status, reply.headers["Content-Type"]) == (200, accept)
    drawn = Image.open(io.BytesIO(reply.body))
    assert (drawn.format, drawn.size) == (kind, photos[1].size)
    change = np.abs(np.asarray(drawn, int) - np.asarray(photos[1], int)).max(-1)
    box = expected[1]["detections"][0]
    across = int((box["xmin"] + box["xmax"]) / 2)
    edge = min(int(box["ymax"]), drawn.height - 1)
    assert change[max(edge - 3, 0) : edge + 1, across].max() > 40
    body = json.dumps({"input_data": [as_text(pictures[1])]})
    table = ask(served, "POST", "/score", body, Content_Type=JSON, Accept=accept)
    assert table.body == reply.body


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json, image/png;q=0.5", "?"])
def test_json_is_answered_to_all_others(served, pictures, accept):
    reply = ask(served, "POST", "/score", pictures[0], Content_Type=JPEG, Accept=accept)
    assert reply.status == 200 and reply.json["predictions"]


def test_bad_rows_fail_alone(served, pictures, expected):
    good = as_text(pictures[0])
    body = json.dumps({"input_data": ["?", good, "", as_text(pictures[1][:99])]})
    reply = ask(served, "POST", "/score", body, Content_Type=JSON)
    rows = reply.json["predictions"]
    assert reply.status == 200 and [bool(row["error"]) for row in rows] == [True, False, True, True]
    assert_same_rows(rows[1:2], expected[:1])
    body = json.dumps({"dataframe_records": [{"image": None}, {"image": 7}, {"image": good}]})
    rows = ask(served, "POST", "/score", body, Content_Type=JSON).json["predictions"]
    assert rows[0]["error"] == "image is missing (null)" and not rows[2]["error"]


HUGE = "1" * 5000
BAD_BODIES = {
    b"": "no JSON",
    b"{": "no JSON",
    b"\xff\xfe": "no JSON",
    b"[" * 100_000: "no JSON",
    HUGE.encode(): "no JSON",
    b"3": "a number, expected an object",
    b"{}": "has nothing, expected one of input_data",
    b'{"input_data": [], "dataframe_records": []}': "input_data, dataframe_records, expected one",
    b'{"inputs": []}': "'inputs', expected input_data",
    b'{"input_data": 3}': "input_data is a number",
    b'{"input_data": [3]}': "row 0 is a number",
    b'{"input_data": [[["x"]]]}': "row 0 is a list",
    b'{"input_data": {"columns": ["image"]}}': "expected an object with columns and data",
    b'{"input_data": {"columns": ["picture"], "data": []}}': "expected one column 'image'",
    b'{"input_data": {"columns": ["image", "image"], "data": []}}': "expected one column",
    b'{"input_data": {"columns": ["image"], "data": 3}}': "data is a number",
    b'{"input_data": {"columns": ["image"], "data": [["a", "b"]]}}': "row 0 is no list of 1",
    b'{"dataframe_records": ["x"]}': "row 0 is a text",
    b'{"dataframe_records": [{"picture": "x"}]}': "expected an object with 'image'",
    b'{"dataframe_records": {}}': "is an object, expected a list",
    b'{"input_data": ["x"], "params": 3}': "params is a number",
    b'{"input_data": ["x"], "params": {"much": 3}}': "params has 'much'",
    b'{"input_data": ["x"], "params": {"score_threshold": 2}}': "score_threshold",
    b'{"input_data": ["x"], "params": {"score_threshold": NaN}}': "score_threshold",
    b'{"input_data": ["x"], "params": {"score_threshold": "much"}}': "score_threshold",
    b'{"input_data": ["x"], "params": {"score_threshold": [1]}}': "score_threshold",
    b'{"input_data": ["x"], "params": {"max_detections": 1e400}}': "max_detections",
    b'{"input_data": ["x"], "params": {"max_detections": 12345678901234567890}}': "max_detections",
    b'{"input_data": ["x"]}': "not base64",
    b'{"input_data": [""]}': "empty",
    b'{"dataframe_records": [{"image": null}]}': "missing (null)",
    b'{"dataframe_records": [{"image": ["\\ud800"]}]}': "is a list",
}


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_is_no_request_is_refused_with_a_reason(served, body):
    reply = ask(served, "POST", "/score", body, Content_Type=JSON)
    assert reply.status == 400 and BAD_BODIES[body] in reply.json["message"], reply.body


def test_a_single_bad_picture_is_refused_with_a_reason(served, pictures):
    cut = pictures[0][: len(pictures[0]) // 2]
    for data, reason in ((b"", "empty"), (b"no picture", "picture"), (cut, "")):
        for accept in (JSON, "image/png"):
            reply = ask(served, "POST", "/score", data, Content_Type=JPEG, Accept=accept)
            assert reply.status == 400 and reason in reply.json["message"]
            assert reply.json["message"].startswith("image ")


def test_a_drawn_picture_needs_one_picture_and_room_for_it(served, pictures):
    text = as_text(pictures[0])
    body = json.dumps({"input_data": [text, text]})
    reply = ask(served, "POST", "/score", body, Content_Type=JSON, Accept="image/png")
    assert reply.status == 400 and "2 pictures" in reply.json["message"]
    long = file_bytes(Image.new("RGB", (MAX_JPEG_SIDE + 1, 4)))
    reply = ask(served, "POST", "/score", long, Content_Type="image/png", Accept="image/jpeg")
    assert reply.status == 400 and "image/png" in reply.json["message"]
    reply = ask(served, "POST", "/score", long, Content_Type="image/png", Accept="image/png")
    assert reply.status == 200 and reply.headers["Content-Type"] == "image/png"
    just = file_bytes(Image.new("RGB", (4, MAX_JPEG_SIDE)))
    reply = ask(served, "POST", "/score", just, Content_Type="image/png", Accept="image/jpeg")
    assert reply.status == 200 and reply.headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "?", ""]
)
def test_an_unknown_type_is_415(served, pictures, kind):
    reply = ask(served, "POST", "/score", pictures[0], Content_Type=kind)
    assert reply.status == 415 and "expected image/*" in reply.json["message"]


def test_a_missing_type_and_a_packed_body_are_415(served, pictures):
    assert ask(served, "POST", "/score", pictures[0]).status == 415
    headers = {"Content_Type": JPEG, "Content_Encoding": "gzip"}
    reply = ask(served, "POST", "/score", pictures[0], **headers)
    assert reply.status == 415 and "Content-Encoding" in reply.json["message"]


def test_what_is_too_large_is_413(served):
    size = (1 << 25) + 1
    reply = ask(served, "POST", "/score", bytes(size), Content_Type=JPEG)
    assert reply.status == 413 and "33,554,432" in reply.json["message"]
    text = base64.b64encode(bytes(size)).decode()
    reply = ask(served, "POST", "/score", json.dumps({"input_data": [text]}), Content_Type=JSON)
    assert reply.status == 413
    body = json.dumps({"input_data": [""] * 1001})
    reply = ask(served, "POST", "/score", body, Content_Type=JSON)
    assert reply.status == 413 and "1,001 pictures" in reply.json["message"]


def test_a_request_of_too_many_pixels_is_413_before_any_is_decoded(served):
    large = as_text(header_only(10_000, 9_000))
    body = json.dumps({"input_data": [large] * 3})
    reply = ask(served, "POST", "/score", body, Content_Type=JSON)
    assert reply.status == 413 and "270.0 million pixels, at most 200" in reply.json["message"]
    body = json.dumps({"input_data": [large] * 2})
    reply = ask(served, "POST", "/score", body, Content_Type=JSON)
    assert reply.status == 200 and "is cut short" in reply.json["predictions"][0]["error"]


def test_a_folder_without_one_model_is_named(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("score", PROJECT / "score.py")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=f"{tmp_path.name}, holds 0 files MLmodel, expected 1"):
        score.init()
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").touch()
    with pytest.raises(ValueError, match=f"{tmp_path.name}, holds 2 files MLmodel, expected 1"):
        score.init()


def raw(address, data, half_close=True):
    """Send bytes as they are; return the first line that comes back."""
    host = urlsplit(address)
    with socket.create_connection((host.hostname, host.port), 60) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096).split(b"\r\n")[0].decode()


def head(*lines):
    named = ("POST /score HTTP/1.1", "Host: x", "Content-Type: image/jpeg", *lines)
    return "\r\n".join((*named, "", "")).encode()


def test_a_body_that_is_announced_too_large_is_refused_unread(served):
    assert " 413 " in raw(served, head("Content-Length: 99999999999"), half_close=False)


def test_a_body_in_chunks_is_read_and_limited(served, pictures):
    data = pictures[0]
    chunked = f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n"
    assert " 200 " in raw(served, head("Transfer-Encoding: chunked") + chunked)
    for broken in (b"zz\r\nxx", b"5\r\nab"):
        assert " 400 " in raw(served, head("Transfer-Encoding: chunked") + broken)


def test_a_client_that_stops_in_the_middle_is_no_error_of_the_server(served, pictures):
    assert " 400 " in raw(served, head("Content-Length: 5000") + pictures[0][:100])


def test_the_servers_own_routes_keep_working(served):
    assert ask(served, "GET", "/").body == b"Healthy"
    for version in ("2", "3"):
        swagger = ask(served, "GET", f"/swagger.json?version={version}")
        assert swagger.status == 200 and "/score" in swagger.json["paths"]
    assert ask(served, "GET", "/elsewhere").status == 404
    assert ask(served, "OPTIONS", "/score").status == 200
    for method in ("GET", "PUT", "DELETE"):
        assert ask(served, method, "/score").status == 405


def slow_clients(address, count, sent=b""):
    """Open connections that have sent so much, and wait."""
    host = urlsplit(address)
    clients = [socket.create_connection((host.hostname, host.port), 60) for _ in range(count)]
    for client in clients:
        client.sendall(sent)
    return clients


def test_two_hundred_slow_clients_and_four_slow_bodies_stop_nobody(served, pictures, expected):
    kinds = ((100, b""), (100, b"GET / HTTP/1.1\r\nX-Slow: a"), (4, head("Content-Length: 50000")))
    clients = [slow_clients(served, count, sent) for count, sent in kinds]
    try:
        for _ in range(3):
            for client in clients[1] + clients[2]:
                client.sendall(b"a")
            assert ask(served, "GET", "/").body == b"Healthy"
            reply = ask(served, "POST", "/score", pictures[0], Content_Type=JPEG)
            assert_same_rows(reply.json["predictions"], [expected[0]])
    finally:
        for client in itertools.chain(*clients):
            client.close()


AZURES_OWN = (  # how Azure ML starts its server, which takes no options of gunicorn
    f"{SERVE.partition('gunicorn')[0]}GUNICORN_CMD_ARGS='%s' {sys.executable} -c "
    "'import azureml_inference_server_http.amlserver_linux as a; a.run(\"127.0.0.1\", 5001, 1)'"
)


def test_a_body_that_takes_too_long_is_refused_and_makes_way(package, pictures, tmp_path):
    """Under Azure ML's own start of the server, with the variables of deployment.yml."""
    deployment = yaml.safe_load((package.folder / "deployment.yml").read_text("utf-8"))
    serve = AZURES_OWN % deployment["environment_variables"]["GUNICORN_CMD_ARGS"]
    shutil.copytree(package.folder, tmp_path / "hasty")
    script = tmp_path / "hasty/code/score.py"
    text = script.read_text("utf-8")
    assert text.count("BODY_SECONDS = 60") == text.count("SMALL_BYTES = 1 << 22") == 1
    text = text.replace("BODY_SECONDS = 60", "BODY_SECONDS = 1")
    script.write_text(text.replace("SMALL_BYTES = 1 << 22", "SMALL_BYTES = 9"))
    with inference_server(tmp_path / "hasty", tmp_path / "log.txt", serve) as address:
        clients = slow_clients(address, 8, head("Content-Length: 50000"))  # more than take turns
        for _ in range(5):
            assert ask(address, "GET", "/").status == 200
        reply = ask(address, "POST", "/score", pictures[0], Content_Type=JPEG)
        assert reply.status == 200
        assert select.select(clients, [], [], 0.3)[0]  # one had to make way before
        for client in clients:
            with client:
                assert b" 400 " in client.recv(4096).split(b"\r\n")[0]
