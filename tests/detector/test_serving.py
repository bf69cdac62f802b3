import json
import platform
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from detector_cases import as_text, file_bytes, header_only
from docs_cases import bash_blocks, page, run_bash
from mlflow.models.cli import commands as mlflow_models
from server_cases import assert_same_objects, model_server, post, split

from yolo3.data.images import read_image
from yolo3.detector.load import load_detector
from yolo3.detector.pyfunc import as_objects


@pytest.fixture(scope="module")
def address(model_folder, tmp_path_factory):
    with model_server(model_folder, tmp_path_factory.mktemp("serving")) as address:
        yield address


@pytest.fixture(scope="module")
def expected(model_folder, photos):
    detector = load_detector(model_folder)
    return [as_objects(found, detector.spec.class_names) for found in detector.detect(photos)]


def test_served_boxes_are_the_detectors(address, photos, expected):
    texts = [as_text(file_bytes(image)) for image in photos]
    bodies = [split(*texts), {"dataframe_records": [{"image": text} for text in texts]}]
    for body in bodies:
        status, answer = post(address, body)
        assert status == 200
        for row, image, objects in zip(answer["predictions"], photos, expected, strict=True):
            assert_same_objects(row["detections"], objects)
            assert (row["width"], row["height"], row["error"]) == (*image.size, "")
    for text, objects in zip(texts, expected, strict=True):
        assert_same_objects(post(address, split(text))[1]["predictions"][0]["detections"], objects)


def test_bad_rows_fail_alone(address, photos, expected):
    data = file_bytes(photos[0])
    status, answer = post(address, split("?", as_text(data), as_text(data[:99]), None, 7, ""))
    assert status == 200
    rows = answer["predictions"]
    assert [bool(row["error"]) for row in rows] == [True, False, True, True, True, True]
    assert_same_objects(rows[1]["detections"], expected[0])
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


def test_an_unknown_parameter_is_ignored_as_documented(address, photos, expected):
    text = as_text(file_bytes(photos[0]))
    status, answer = post(address, split(text, treshold=0.9))
    assert status == 200
    assert_same_objects(answer["predictions"][0]["detections"], expected[0])
    assert "parameter that the model does not know is ignored" in page("serving.md")


@pytest.mark.parametrize("count", [2, 3])
def test_a_requests_pixels_are_limited(address, photos, expected, count):
    large = as_text(header_only(10_000, 9_000))  # says so, and holds no pixels
    status, answer = post(address, split(as_text(file_bytes(photos[0])), *[large] * count))
    if count == 3:
        assert status == 413 and "million pixels, at most 200" in answer["message"]
    else:
        assert status == 200
        assert_same_objects(answer["predictions"][0]["detections"], expected[0])


def test_rows_and_bytes_of_a_request_are_limited(address):
    status, answer = post(address, split(*["x"] * 1001))
    assert status == 413 and "1,001 pictures, at most 1,000" in answer["message"]
    status, answer = post(address, split(*["A" * (1 << 24)] * 4, "x"))
    assert status == 413 and "67,108,865 bytes, at most 67,108,864" in answer["message"]


def test_many_requests_at_once(address, photos, expected):
    texts = [as_text(file_bytes(image)) for image in photos]

    def ask(number):
        return post(address, split(texts[number % 6], "broken"))

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(60)))
    for number, (status, answer) in enumerate(answers):
        assert status == 200 and answer["predictions"][1]["error"]
        assert_same_objects(answer["predictions"][0]["detections"], expected[number % 6])


def test_the_docs_requests_run_as_written(address, photos, model_folder, tmp_path):
    image = photos[5].resize((1500, 1100))
    (tmp_path / "picture.jpg").write_bytes(file_bytes(image, "JPEG", quality=100))
    (tmp_path / "another.png").write_bytes(file_bytes(photos[1]))
    assert (tmp_path / "picture.jpg").stat().st_size > 128 * 1024  # more than an argument holds
    ping, one, several = (block for block in bash_blocks("serving.md") if "curl" in block)
    server = address.removesuffix("/invocations")
    run_bash(ping, tmp_path, SERVER=server)
    detector = load_detector(model_folder)
    first, second = (read_image(tmp_path / name) for name in ("picture.jpg", "another.png"))
    thresholds = {"score_threshold": 0.3, "iou_threshold": 0.5, "max_detections": 20}
    expected = {
        one: detector.detect([first]),
        several: detector.detect([first, second], **thresholds),
    }
    for block, found in expected.items():
        rows = json.loads(run_bash(block, tmp_path, SERVER=server))["predictions"]
        for row, detections in zip(rows, found, strict=True):
            assert_same_objects(
                row["detections"], as_objects(detections, detector.spec.class_names)
            )


def test_the_dockerfile_is_the_one_of_the_docs(model_folder, tmp_path):
    words = ["generate-dockerfile", "-m", str(model_folder), "-d", str(tmp_path / "image")]
    done = CliRunner().invoke(mlflow_models, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "image" / "Dockerfile").read_text("utf-8").splitlines()
    [block] = re.findall(r"^```dockerfile\n(.*?)^```", page("serving.md"), re.MULTILINE | re.DOTALL)
    # a model from a store is copied into model_dir, a folder under its own name there
    copy = f"model_dir/{model_folder.name}"
    told = block.replace("COPY model_dir ", f"COPY {copy} ").splitlines()
    assert [line for line in lines if line in told] == told
    assert {line for line in lines if line and not line.startswith("#")} - set(told) == {
        f"FROM python:{platform.python_version()}-slim",
        "WORKDIR /opt/mlflow",
        "RUN chmod o+rwX /opt/mlflow/",
        "RUN rm -rf /var/lib/apt/lists/*",
    }
    for name in ("MLmodel", "requirements.txt", "constraints.txt", "data/detector.json"):
        copied = tmp_path / "image" / copy / name
        assert copied.read_bytes() == (model_folder / name).read_bytes()
