import subprocess
import sys

import numpy as np
import pytest
from detector_cases import file_bytes, make_photo

from yolo3.data.images import ImageError, letterbox, read_image
from yolo3.detector import decode_process
from yolo3.detector.decode_process import prepare_in_process, read_in_process


@pytest.fixture(scope="module")
def data():
    return file_bytes(make_photo(4, (333, 200)), "JPEG2000")


def test_another_process_reads_the_same_pixels(data):
    image = read_image(data)
    assert np.array_equal(np.asarray(read_in_process(data, 60)), np.asarray(image))
    pixels, placed = prepare_in_process(data, (96, 64), 60)
    expected, expected_placed = letterbox(image, (96, 64))
    assert np.array_equal(pixels, expected) and placed == expected_placed


def test_what_it_refuses_is_told_in_a_sentence(data):
    with pytest.raises(ImageError, match=r"^is damaged and cannot be decoded$"):
        read_in_process(data[:-500], 60)


def test_it_ends_in_time(data):
    with pytest.raises(TimeoutError):
        read_in_process(data, 0.01)


@pytest.mark.parametrize(
    ("program", "error", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", ImageError, "needs more memory than there is"),
        ("raise KeyError(5)", RuntimeError, "decoding ended with 1: .*KeyError: 5"),
    ],
)
def test_a_process_that_fails_is_an_error(data, monkeypatch, program, error, reason):
    run = subprocess.run
    other = [sys.executable, "-c", program]
    monkeypatch.setattr(
        decode_process.subprocess, "run", lambda _, **options: run(other, **options)
    )
    with pytest.raises(error, match=f"(?s){reason}"):
        read_in_process(data, 60)
