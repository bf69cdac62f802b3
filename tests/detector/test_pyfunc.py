import io
import json
import tracemalloc

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from detector_cases import as_text, file_bytes, make_photo
from mlflow.exceptions import MlflowException
from PIL import Image

from yolo3.detector.load import load_detector
from yolo3.detector.pyfunc import as_objects, picture_bytes, read_settings


@pytest.fixture(scope="module")
def model(model_folder):
    return mlflow.pyfunc.load_model(str(model_folder))


def predict(model, *values, **params):
    return model.predict(pd.DataFrame({"image": list(values)}, dtype=object), params=params)


def test_boxes_are_the_detectors_own(model, model_folder, photos):
    detector = load_detector(model_folder)
    table = predict(model, *(as_text(file_bytes(image)) for image in photos))
    found = detector.detect(photos)
    for row, image, detections in zip(table.itertuples(), photos, found, strict=True):
        assert row.detections == as_objects(detections, detector.spec.class_names)
        assert len(row.detections) and (row.width, row.height) == image.size and row.error == ""


def test_values_are_plain_and_json_takes_them(model, photo):
    table = predict(model, as_text(file_bytes(photo)))
    assert list(table.columns) == ["detections", "width", "height", "error"]
    first = table.detections[0][0]
    assert list(first) == ["label", "class_id", "score", "xmin", "ymin", "xmax", "ymax"]
    assert [type(value) for value in first.values()] == [str, int] + [float] * 5
    assert first["label"] == ("hat", "helmet", "tête nue")[first["class_id"]]
    json.dumps(table.to_dict("records"))
    assert table.width.dtype == table.height.dtype == np.int64


def test_bytes_and_data_urls_are_the_same_picture(model, photo):
    data = file_bytes(photo)
    text = as_text(data)
    wrapped = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    address = f"data:image/png;base64,{text}"
    forms = (text, wrapped, address, data, bytearray(data), memoryview(data))
    table = predict(model, *forms)
    assert table.error.tolist() == [""] * 6
    assert all(row == table.detections[0] for row in table.detections)


def test_a_bad_picture_fills_its_own_row_only(model, photo):
    data = file_bytes(photo, "JPEG")
    bomb = io.BytesIO()
    Image.new("1", (16000, 16000)).save(bomb, "PNG")
    bad = {
        "no base64 !": "is not base64",
        as_text(b"these are no pixels"): "is not a picture",
        as_text(data[: len(data) // 2]): "is cut short",
        data[:20]: "image ",
        "": "is empty",
        b"": "is empty",
        "data:image/png;base64,": "is empty",
        as_text(bomb.getvalue()): "million pixels",
        "/etc/hostname": "image ",
    }
    table = predict(model, data, *bad, None, float("nan"), 5, data)
    expected = ["", *bad.values(), "is missing", "is missing", "is a int", ""]
    for row, message in zip(table.itertuples(), expected, strict=True):
        assert isinstance(row.error, str) and message in row.error
        assert bool(row.error) == bool(message)
        if message:
            assert (row.detections, row.width, row.height) == ([], 0, 0)
    assert table.detections.iloc[0] == table.detections.iloc[-1] != []


def test_white_space_takes_no_memory_to_speak_of():
    text = "AB " * 200_000
    tracemalloc.start()
    try:
        assert len(picture_bytes(text)) == 300_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * len(text)


def odd_pictures():
    photo = make_photo(5, (60, 40))
    grey = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    frames = [make_photo(seed, (60, 40)) for seed in range(3)]
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "cmyk": (file_bytes(photo.convert("CMYK"), "JPEG"), (60, 40)),
        "sixteen bit": (file_bytes(Image.fromarray(grey)), (60, 40)),
        "palette": (file_bytes(photo.convert("P")), (60, 40)),
        "alpha": (file_bytes(photo.convert("RGBA")), (60, 40)),
        "animated": (
            file_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]),
            (60, 40),
        ),
        "one pixel": (file_bytes(Image.new("RGB", (1, 1))), (1, 1)),
        "a line": (file_bytes(Image.new("RGB", (20000, 20))), (20000, 20)),
        "turned": (file_bytes(photo, "JPEG", exif=turned), (40, 60)),
    }


def test_odd_pictures_get_an_answer(model):
    pictures = odd_pictures()
    table = predict(model, *(as_text(data) for data, _ in pictures.values()), score_threshold=0.1)
    assert table.error.tolist() == [""] * len(pictures)
    sizes = list(zip(table.width, table.height, strict=True))
    assert sizes == [size for _, size in pictures.values()]
    for row in table.itertuples():
        assert row.detections and all(box["xmax"] <= row.width for box in row.detections)


def test_more_rows_than_a_batch_keep_their_order_and_index(model, photos):
    values = [as_text(file_bytes(photos[number % 6])) for number in range(40)]
    values[17] = "broken"
    index = pd.Index([f"row {number // 2}" for number in range(40)])
    table = model.predict(pd.DataFrame({"image": values}, index=index))
    assert table.index.equals(index)
    assert [bool(error) for error in table.error] == [number == 17 for number in range(40)]
    assert table.width.tolist()[20:26] == [photos[number % 6].size[0] for number in range(20, 26)]


def test_no_rows_give_no_rows(model):
    table = predict(model)
    assert list(table.columns) == ["detections", "width", "height", "error"] and not len(table)


def test_params_go_before_the_models_defaults(model, photo):
    text = as_text(file_bytes(photo))
    own = predict(model, text).detections[0]
    assert 1 < len(own) <= 7 and all(box["score"] >= 0.5 for box in own)
    assert predict(model, text, max_detections=1).detections[0] == own[:1]
    assert len(predict(model, text, max_detections=500, score_threshold=0).detections[0]) > 7
    assert predict(model, text, score_threshold=1.0).detections[0] == []


@pytest.mark.parametrize(
    "params", [{"score_threshold": 2.0}, {"iou_threshold": -0.5}, {"max_detections": 0}]
)
def test_params_out_of_range_are_the_callers_error(model, photo, params):
    with pytest.raises(MlflowException, match=next(iter(params))) as caught:
        predict(model, as_text(file_bytes(photo)), **params)
    assert caught.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"network": {}}', '{"network": 3}', "\ud800", "[" * 100_000],
    ids=range(8),
)
def test_damaged_settings_are_named(tmp_path, text):
    (tmp_path / "detector.json").write_text(text, "utf-8", "surrogatepass")
    with pytest.raises(ValueError, match="^detector.json cannot be read: ."):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": {"score_threshold": 7}},
        {"engine": {"name": "none"}},
        {"thresholds": {"score_threshold": "x"}},
    ],
    ids=str,
)
def test_settings_that_are_out_of_range_name_their_file(model_folder, tmp_path, change):
    values = json.loads((model_folder / "data/detector.json").read_text("utf-8"))
    (tmp_path / "detector.json").write_text(json.dumps(values | change), "utf-8")
    with pytest.raises(ValueError, match="^detector.json cannot be read: ."):
        read_settings(tmp_path)
