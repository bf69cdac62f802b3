from types import SimpleNamespace

import mlflow.pyfunc
import pandas as pd
import pytest
from detector_cases import as_text, file_bytes, header_only
from mlflow.exceptions import MlflowException

from yolo3.detector import limits
from yolo3.detector.limits import MEGAPIXELS, SECONDS, Deadline, Limits
from yolo3.detector.service import respond

LARGE = header_only(10_000, 9_000)  # says that it has 90 million pixels, and holds none


@pytest.fixture
def serving(monkeypatch):
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")


def rows(*values):
    return pd.DataFrame({"image": list(values)}, dtype=object)


def test_a_requests_pixels_are_summed_before_any_is_decoded(model_folder, photo, serving):
    model = mlflow.pyfunc.load_model(str(model_folder))
    photo_row = as_text(file_bytes(photo))
    with pytest.raises(MlflowException, match=r"have 270.1 million pixels, at most 200") as caught:
        model.predict(rows(photo_row, LARGE, as_text(LARGE), "no base64!", LARGE))
    assert caught.value.get_http_status_code() == 413
    table = model.predict(rows(photo_row, LARGE, LARGE, "no base64!"))
    assert [bool(error) for error in table.error] == [False, True, True, True]


def test_limits_come_from_the_environment(model_folder, photo, serving, monkeypatch):
    monkeypatch.setenv(MEGAPIXELS, "0.2")
    model = mlflow.pyfunc.load_model(str(model_folder))
    one = file_bytes(photo)  # of 140,500 pixels
    assert model.predict(rows(one)).error[0] == ""
    with pytest.raises(MlflowException, match="have 0.3 million pixels, at most 0.2"):
        model.predict(rows(one, one))


@pytest.mark.parametrize("name", [MEGAPIXELS, SECONDS])
@pytest.mark.parametrize("value", ["many", "0", "-1", "nan"])
def test_a_limit_that_is_none_is_refused_when_the_model_is_loaded(
    model_folder, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} is '{value}', expected a number above 0"):
        mlflow.pyfunc.load_model(str(model_folder))


def test_no_limit_applies_outside_a_server(model_folder, photo, monkeypatch):
    monkeypatch.delenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", raising=False)
    monkeypatch.setenv(MEGAPIXELS, "0.001")
    monkeypatch.setenv(SECONDS, "1e-9")
    monkeypatch.setattr(limits, "MAX_REQUEST_ROWS", 1)
    model = mlflow.pyfunc.load_model(str(model_folder))
    assert model.predict(rows(file_bytes(photo), file_bytes(photo))).error.tolist() == ["", ""]


@pytest.mark.parametrize("name", ["MAX_REQUEST_ROWS", "MAX_REQUEST_BYTES"])
def test_rows_and_bytes_are_limited_in_any_server(model_folder, photo, serving, monkeypatch, name):
    model = mlflow.pyfunc.load_model(str(model_folder))
    monkeypatch.setattr(limits, name, 1)
    with pytest.raises(MlflowException, match="at most 1") as caught:
        model.predict(rows(file_bytes(photo), file_bytes(photo)))
    assert caught.value.get_http_status_code() == 413


def test_a_request_that_takes_too_long_is_ended_between_its_rows(
    model_folder, photo, serving, monkeypatch
):
    monkeypatch.setenv(SECONDS, "1e-9")
    model = mlflow.pyfunc.load_model(str(model_folder))
    with pytest.raises(MlflowException, match="took more than 1e-09 seconds") as caught:
        model.predict(rows(file_bytes(photo)))
    assert caught.value.get_http_status_code() == 503
    answer = respond(model, "image/png", "application/json", file_bytes(photo))
    assert answer.status == 503 and SECONDS.encode() in answer.body


def test_time_is_looked_at_before_each_row(model_folder, photo, serving, monkeypatch):
    model = mlflow.pyfunc.load_model(str(model_folder))
    model._model_impl.limits = Limits(seconds=3)
    ticks = iter([0.0] * 6 + [4.0] * 9)  # the start, three headers, two rows; and the third row
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with pytest.raises(MlflowException, match="took more than 3 seconds"):
        model.predict(rows(*[file_bytes(photo)] * 3))


def test_a_deadline_without_an_end_leaves_all_time():
    assert Deadline().remaining() > 1e9
