import base64
import re
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from detector_cases import file_bytes, make_photo
from docs_cases import page
from mlflow.exceptions import MlflowException
from PIL import Image
from server_cases import environment

from yolo3.data.images import read_header, read_image
from yolo3.detector import reading
from yolo3.detector.fair_semaphore import FairSemaphore
from yolo3.detector.limits import Deadline
from yolo3.detector.reading import DECODING_BYTES, prepare, read

LARGE_WEBP = bytes.fromhex("524946461a000000574542505650384c0d0000002f0fe7c319071011118888fe0700")
LARGE_JPEG_2000 = zlib.decompress(
    base64.b85decode(
        b"c-muNVBpCLP*C9IYUg5LU=T?wsVvAUFj4@r8KAU3kj?<oVwo8!MGOq;0$|L-&JI$;z@MC-Q^W{n0woxfl2cOC7+A"
        b"o3Mh1{L6A&^mFasf26>9^~xa9x-{{tC}KzyiiaDc{VVP|B7qyIq+JYaKKSy&ht|Hm*0J2-fF1R$gTDGaI%jLt==i"
        b"6yBi3Q3g;{spOdUIDJ|3T3H9#hLke3PyUSdM5uTFmQp5{{}Q?^6!6)@dvcQ#D53%AFTBZ>mP{zVcOr|4<f>$M14c"
        b"}2QILpA1wbXK#IUB|1l~E2868tU;nZ*p`IAl!LXBqR>S}5^m<}gyTm+418p?WMgwio23i9a@c$+NQCY2q"
    )
)
"""Both are of 10,000 x 10,000 pixels, RGBA, all clear; to write the second takes ten seconds."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="measures memory by Linux's /proc")


@pytest.mark.parametrize(("share", "most"), [(1.0, 1), (0.5, 2), (0.3, 3), (0.01, 4)])
def test_as_many_are_decoded_as_memory_and_cores_allow(monkeypatch, share, most):
    monkeypatch.setattr(reading, "usable_cores", lambda: 4)
    monkeypatch.setattr(reading, "_memory", FairSemaphore(DECODING_BYTES))
    data = file_bytes(make_photo(1, (50, 40)), "JPEG")
    header = read_header(data)._replace(decoding_bytes=share * DECODING_BYTES)
    meeting, lock, inside, at_once = threading.Barrier(most), threading.Lock(), set(), []

    def watched(data):
        with lock:
            inside.add(threading.get_ident())
            at_once.append(len(inside))
        meeting.wait(30)  # as many as may come in meet here, or the test fails
        with lock:
            inside.remove(threading.get_ident())
        return read_image(data)

    monkeypatch.setattr(reading, "read_image", watched)
    count = 2 * most
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda _: prepare(data, header, (96, 64), Deadline()), range(count)))
    assert max(at_once) == most


def test_who_waits_for_memory_until_the_deadline_is_told(monkeypatch):
    monkeypatch.setattr(reading, "_memory", FairSemaphore(DECODING_BYTES))
    data = file_bytes(make_photo(1, (50, 40)), "JPEG")
    with (
        reading._memory.take(DECODING_BYTES),
        pytest.raises(MlflowException, match=r"took more than 0.05 seconds"),
    ):
        prepare(data, read_header(data), (96, 64), Deadline(0.05))


def test_a_large_jpeg_2000_lets_other_threads_run(monkeypatch):
    asked = []
    monkeypatch.setattr(reading, "read_in_process", lambda data, left: asked.append("read"))
    monkeypatch.setattr(
        reading, "prepare_in_process", lambda data, size, left: asked.append("prepare")
    )
    data = file_bytes(make_photo(1, (50, 40)), "JPEG2000")
    header = read_header(data)
    assert prepare(data, header, (96, 64), Deadline())[1].size_wh == read_image(data).size
    large = header._replace(pixels=5_000_000)
    prepare(data, large, (96, 64), Deadline())
    read(data, large, Deadline())
    assert asked == ["prepare", "read"]


def kinds():
    """Give images whose reading takes most, for each format and mode."""
    photo = make_photo(2, (2000, 1500))
    clear = photo.copy()
    clear.putalpha(photo.convert("L"))
    grey = np.asarray(photo.convert("L"))
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "turned JPEG": (photo, "JPEG", {"exif": turned}),
        "CMYK JPEG": (photo.convert("CMYK"), "JPEG", {}),
        "progressive JPEG": (photo.convert("CMYK"), "JPEG", {"progressive": True}),
        "RGBA PNG": (clear, "PNG", {"exif": turned, "compress_level": 1}),
        "palette PNG": (photo.quantize(16), "PNG", {"transparency": 3}),
        "16-bit PNG": (Image.fromarray(grey.astype(np.uint16) * 257), "PNG", {}),
        "float TIFF": (Image.fromarray(grey.astype(np.float32)), "TIFF", {}),
        "RGBA TIFF": (clear, "TIFF", {}),
        "GIF": (photo.quantize(16), "GIF", {"transparency": 3}),
        "BMP": (photo, "BMP", {}),
        "JPEG 2000": (clear, "JPEG2000", {}),
        "WebP": (clear, "WEBP", {"method": 0}),
        "AVIF": (clear, "AVIF", {"speed": 10}),
    }


MEASURE = """
import sys
from pathlib import Path
from yolo3.data.images import read_header, read_image

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
"""
READ = """
for path in map(Path, sys.argv[1:]):
    data = path.read_bytes()
    header = read_header(data)
    Path("/proc/self/clear_refs").write_text("5")  # begin to measure the peak
    before = peak()
    read_image(data)
    print(path.name, header.pixels, header.decoding_bytes, peak() - before, sep=":")
"""
PREDICT = """
import resource
import pandas as pd
from yolo3.detector.pyfunc import _load_pyfunc

model = _load_pyfunc(sys.argv[1])
before = peak()
rows = [Path(sys.argv[3]).read_bytes()] * int(sys.argv[2])
table = model.predict(pd.DataFrame({"image": rows}))
apart = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(before, peak() + apart, *table.error, *table.width, sep=":")
"""


def measured(program, *arguments):
    """Run a program in a fresh process; give the fields of the lines that it prints."""
    command = [sys.executable, "-c", MEASURE + program, *map(str, arguments)]
    variables = environment(_MLFLOW_IS_IN_SERVING_ENVIRONMENT="true")
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    return [line.split(":") for line in done.stdout.splitlines()]


@on_linux
def test_reading_takes_no_more_memory_than_estimated(tmp_path):
    files = []
    for name, (image, kind, options) in kinds().items():
        files.append(tmp_path / name)
        files[-1].write_bytes(file_bytes(image, kind, **options))
    rows = measured(READ, *files)
    assert len(rows) == len(files)
    for name, _, estimate, taken in rows:
        assert int(taken) < int(estimate) + 8_000_000, name
    assert sum(int(row[3]) for row in rows) > 3 * sum(
        int(row[1]) for row in rows
    )  # measured at all


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize(
    ("data", "rows", "share"),
    [(LARGE_JPEG_2000, 1, 0.9), (LARGE_WEBP, 2, 0.6)],
    ids=["JPEG 2000", "WebP"],
)
def test_the_largest_requests_take_no_more_memory_than_documented(
    model_folder, tmp_path, data, rows, share
):
    (tmp_path / "large").write_bytes(data)
    [(before, most, *told)] = measured(PREDICT, model_folder / "data", rows, tmp_path / "large")
    assert told == [""] * rows + ["10000"] * rows
    [documented] = re.findall(r"request takes (\d\.\d) GB at most", page("security.md"))
    taken = int(most) - int(before)
    assert share * DECODING_BYTES < taken < float(documented) * 1e9
