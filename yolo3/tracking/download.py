"""The official Darknet weights: fetched once, resumed where it broke off, checked before use."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm


@dataclass(frozen=True)
class Official:
    """Describe a published file by its name, size in bytes and SHA-256."""

    file: str
    size: int
    sha256: str


OFFICIAL = {
    "yolov3-tiny": Official(
        "yolov3-tiny.weights",
        35_434_956,
        "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
    ),
    "yolov3": Official(
        "yolov3.weights",
        248_007_048,
        "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297",
    ),
}
"""Joseph Redmon's files of 2018, trained on COCO."""

MIRRORS = (
    "https://data.pjreddie.com/files/",
    "https://github.com/hank-ai/darknet/releases/download/v2.0/",
    "https://github.com/patrick013/Object-Detection---Yolov3/raw/master/model/",
    "https://pjreddie.com/media/files/",
)
"""Folders that hold both files, in the order in which they are asked; the last was the first home,
and has answered with a web page since 2025 (pjreddie/darknet#2655)."""

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and seconds without a byte, after which a mirror is given up."""

TRIES = 5
"""How often one mirror is asked to go on, as long as each time brought it further."""

CHUNK = 1 << 16


class DownloadError(ValueError):
    """Say in one sentence why a file is not there, and how to place it by hand."""


class _MirrorError(Exception):
    """Say why one mirror's answer is not the file."""


def cache_folder() -> Path:
    """Give the folder that downloads are kept in: `yolov3` in Keras's own (KERAS_HOME)."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "yolov3"


def fetch(official: Official, folder: Path, mirrors=MIRRORS, timeout=TIMEOUT) -> Path:
    """Give the path of an official file in a folder, downloading it where it is not there yet.

    What broke off stays beside it as `.part`, and the next mirror, or the next call, goes on there.
    The file appears under its name only when its size and SHA-256 are those published; one that is
    there already is checked as well. Raises DownloadError when it is another file, or when no
    mirror has it.
    """
    target = folder / official.file
    if target.exists():
        if wrong := _difference(target, official):
            raise DownloadError(
                f"{target}: is not the official file, {wrong}; delete it to download it again"
            )
        return target
    failures = []
    for mirror in mirrors:
        url = mirror + official.file
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _fetch_from(url, target.with_name(f"{target.name}.part"), official, timeout)
            target.with_name(f"{target.name}.part").replace(target)
            print(f"{target}: {official.size:,} bytes, SHA-256 as published", flush=True)
            return target
        except (_MirrorError, requests.RequestException, OSError) as error:
            failures.append(f"{urlsplit(url).netloc}: {_reason(error)}")
    raise DownloadError(_by_hand(official, target, failures, mirrors))


def _by_hand(official, target, failures, mirrors):
    return (
        f"{official.file} could not be downloaded ({'; '.join(failures)}); fetch it where "
        f"{mirrors[0]}{official.file} can be reached and place it at {target}, or give its path "
        f"as weights_path: it has {official.size:,} bytes and SHA-256 {official.sha256}"
    )


def _reason(error):
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached, or broke off"
    return str(error)


def _fetch_from(url, part, official, timeout):
    """Complete the part from one mirror; _MirrorError when what results is not the file."""
    resumed = part.exists()
    _complete(url, part, official, timeout)
    wrong = _difference(part, official)
    if wrong and resumed:  # the beginning may have come from elsewhere: once more, from nothing
        part.unlink()
        _complete(url, part, official, timeout)
        wrong = _difference(part, official)
    if wrong:
        part.unlink()
        raise _MirrorError(f"served another file, {wrong}")


def _complete(url, part, official, timeout):
    """Ask a mirror for the rest of the part, again when it breaks off but brought something."""
    for _ in range(TRIES):
        before = _size(part)
        if before >= official.size:
            return
        try:
            _transfer(url, part, before, official, timeout)
            return
        except requests.RequestException:
            if _size(part) <= before:
                raise
    raise _MirrorError(f"broke off {TRIES} times, {_size(part):,} of {official.size:,} bytes came")


def _transfer(url, part, start, official, timeout):
    """Write one answer to the part, from `start` where the mirror can."""
    headers = {"Accept-Encoding": "identity"}  # sizes must be those of the file
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        answer.raise_for_status()
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        begin = start if answer.status_code == 206 and goes_on else 0
        _check_answer(answer, official.size - begin)
        shown = {"unit": "B", "unit_scale": True, "desc": official.file, "disable": None}
        with (
            part.open("ab" if begin else "wb") as file,
            tqdm(total=official.size, initial=begin, **shown) as bar,
        ):
            for chunk in answer.iter_content(CHUNK):
                if file.tell() + len(chunk) > official.size:
                    raise _MirrorError(f"serves more than the {official.size:,} bytes of the file")
                file.write(chunk)
                bar.update(len(chunk))


def _check_answer(answer, expected):
    """Refuse before writing a byte what says by its headers that it is not the file."""
    if "text/html" in answer.headers.get("Content-Type", ""):
        raise _MirrorError("answers with a web page in place of the file")
    length = answer.headers.get("Content-Length")
    if length and int(length) != expected:
        raise _MirrorError(f"offers {int(length):,} bytes, expected {expected:,}")


def _size(file):
    return file.stat().st_size if file.exists() else 0


def _difference(file, official):
    """Say in what a file differs from the official one, '' where it does not."""
    if _size(file) != official.size:
        return f"expected {official.size:,} bytes, found {_size(file):,}"
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return "" if found == official.sha256 else f"its SHA-256 is {found}, not {official.sha256}"
