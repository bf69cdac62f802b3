import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from time import sleep

import numpy as np
import pytest
from job_cases import PROJECT

from yolo3.data.images import letterbox
from yolo3.detector.detector import Detector
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.openvino_engine import BFLOAT16, FLOAT32, OpenVINOEngine, fastest_precision
from yolo3.detector.openvino_model import write_in_other_process, write_openvino
from yolo3.detector.parity import compare_engines
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec


@pytest.fixture(scope="module")
def path(network, spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openvino")
    write_openvino(network, spec, folder)
    return folder / "detector.xml"


@pytest.fixture(scope="module")
def pixels(photos, spec):
    return np.stack([letterbox(photo, spec.input_wh)[0] for photo in photos])


def assert_same_bits(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def test_in_float32_it_finds_what_keras_finds(network, spec, path, photos):
    prepared = [letterbox(photo, spec.input_wh) for photo in photos]
    engine = OpenVINOEngine(path, spec)
    found = compare_engines(KerasEngine(network, spec), engine, prepared)
    assert found.candidates > 50 and found.box_pixels < 0.01 and found.score < 1e-4
    boxes, scores = engine(prepared[0][0][None])
    assert boxes.dtype == scores.dtype == np.float32


@pytest.mark.skipif(fastest_precision() != BFLOAT16, reason="no bfloat16 units in this processor")
def test_in_bfloat16_it_finds_nearly_the_same(network, spec, path, photos):
    prepared = [letterbox(photo, spec.input_wh) for photo in photos]
    engine = OpenVINOEngine(path, spec, BFLOAT16)
    found = compare_engines(KerasEngine(network, spec), engine, prepared)
    assert engine.precision == BFLOAT16 and 0 < found.score < 0.1


def test_precision_is_never_more_than_the_processor_has(spec, path):
    assert OpenVINOEngine(path, spec).precision == FLOAT32
    assert OpenVINOEngine(path, spec, BFLOAT16).precision == fastest_precision()
    with pytest.raises(ValueError, match="precision is 'float8', expected float32 or bfloat16"):
        OpenVINOEngine(path, spec, "float8")


@pytest.mark.parametrize("precision", [FLOAT32, BFLOAT16])
def test_neither_company_nor_cores_change_a_bit(spec, path, pixels, precision):
    engine = OpenVINOEngine(path, spec, precision, cores=2)
    together = engine(pixels)
    for number in range(len(pixels)):
        alone = engine(pixels[number : number + 1])
        assert_same_bits(alone, [found[number : number + 1] for found in together])
    for cores in (1, 8):  # 8: two pictures at once
        assert_same_bits(OpenVINOEngine(path, spec, precision, cores)(pixels), together)


@pytest.mark.parametrize("cores", [1, 12])
def test_threads_share_an_engine(spec, path, pixels, cores):
    engine = OpenVINOEngine(path, spec, cores=cores)
    expected = engine(pixels)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: engine(pixels), range(16)):
            assert_same_bits(found, expected)


class Watched:
    """A request to the engine that keeps the first pixel of each picture that it computes."""

    def __init__(self, request, computed):
        self._request, self._computed = request, computed

    def infer(self, **options):
        self._computed.append(int(self._request.get_input_tensor().data[0, 0, 0, 0]))
        self._request.infer(**options)

    def __getattr__(self, name):
        return getattr(self._request, name)


def test_threads_are_served_in_order_of_arrival(spec, path, pixels):
    engine, computed = OpenVINOEngine(path, spec, cores=1), []
    requests = engine._together
    requests._idle = [Watched(request, computed) for request in requests._idle]
    threads = []
    with requests._turns.take():
        for number in range(12):
            picture = np.full_like(pixels[:1], number)
            threads.append(Thread(target=engine, args=(picture,)))
            threads[-1].start()
            while len(requests._turns._waiting) <= number:
                sleep(0.001)
    engine(np.full_like(pixels[:1], 99))  # asks last, and does not pass those who wait
    for thread in threads:
        thread.join()
    assert computed == [*range(12), 99]


def test_answers_stay_when_more_is_asked(spec, path, pixels):
    engine = OpenVINOEngine(path, spec)
    first = engine(pixels[:1])
    kept = [found.copy() for found in first]
    engine(pixels[1:2])
    assert_same_bits(first, kept)


def test_a_detector_runs_it(spec, path, photos):
    detector = Detector(OpenVINOEngine(path, spec), spec, 4, Thresholds(0.5, 0.4, 10))
    assert all(0 < len(found) <= 10 for found in detector.detect(photos))


def test_another_process_makes_the_same_model(network, spec, path, pixels, tmp_path):
    write_in_other_process(network, spec, tmp_path)
    made = OpenVINOEngine(tmp_path / "detector.xml", spec)
    assert_same_bits(made(pixels), OpenVINOEngine(path, spec)(pixels))


def test_making_and_running_it_connects_to_nothing(network, spec, pixels, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda *args: asked.append(args))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args) or [])
    write_openvino(network, spec, tmp_path)
    OpenVINOEngine(tmp_path / "detector.xml", spec)(pixels[:1])
    assert asked == []


def test_a_model_that_the_spec_does_not_describe_is_an_error(network, spec, path, tmp_path):
    other = make_spec(("one",), spec.anchors_wh, spec.input_wh)
    with pytest.raises(ValueError, match=r"detector.xml has .* of shapes .*, expected"):
        OpenVINOEngine(path, other)
    with pytest.raises(ValueError, match=r"outputs are .* expected .* for 1 classes"):
        write_openvino(network, other, tmp_path)
    with pytest.raises(ValueError, match="could not be made: ValueError: the network's outputs"):
        write_in_other_process(network, other, tmp_path)


def test_damaged_files_are_errors(spec, path, tmp_path):
    described, numbers = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    damages = {
        "nothing": (b"", numbers),
        "no model": (b"no model", numbers),
        "cut": (described[: len(described) // 2], numbers),
        "cut numbers": (described, numbers[: len(numbers) // 2]),
        "no numbers": (described, None),
    }
    for name, (xml, weights) in damages.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "detector.xml").write_bytes(xml)
        if weights is not None:
            (folder / "detector.bin").write_bytes(weights)
        with pytest.raises(ValueError, match="detector.xml cannot be read: ."):
            OpenVINOEngine(folder / "detector.xml", spec)
    with pytest.raises(ValueError, match="detector.xml cannot be read"):
        OpenVINOEngine(tmp_path / "nowhere" / "detector.xml", spec)


CTRL_C = """
import signal, sys
from yolo3.detector.load import load_detector
for number in range(2):
    load_detector(sys.argv[1])
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("as usual")
"""


def test_ctrl_c_after_an_engine_is_gone_is_one_as_usual(model_folder):
    command = [sys.executable, "-c", CTRL_C, str(model_folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "as usual\n", (done.returncode, done.stderr)
