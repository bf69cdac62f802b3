"""One file of known size and SHA-256 over HTTP: checked, and resumed where it broke off."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.parse import unquote, urlsplit

import requests
from tqdm import tqdm

from yolo3.tracking.secrets import redact

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and seconds without a byte, after which a source is given up."""

TRIES = 5
"""How often one source is asked to resume, as long as each try brought more bytes."""

CHUNK = 1 << 16


class DownloadError(ValueError):
    """Say in one sentence why a file is not there, and how to place it by hand."""


class SourceError(Exception):
    """Say why one source does not give the file."""


class Stopped(Exception):
    """Leave a download that nobody waits for any more."""


@dataclass(frozen=True)
class PublishedFile:
    """Describe a published file by its name, size in bytes and SHA-256."""

    file: str
    size: int
    sha256: str

    def difference(self, path: Path) -> str:
        """Say how a local file differs from the published one, '' where it does not."""
        if _size(path) != self.size:
            return f"expected {self.size:,} bytes, found {_size(path):,}"
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        return "" if found == self.sha256 else f"its SHA-256 is {found}, not {self.sha256}"


@dataclass(frozen=True)
class Address:
    """Hold a URL without user and password, these apart, and the CA certificates to trust."""

    url: str
    auth: tuple[str, str] | None = field(default=None, repr=False)
    verify: str | bool = True

    @classmethod
    def parse(cls, url: str, verify: str | bool = True) -> "Address":
        """Split user and password off a URL; ValueError where it is none."""
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        auth = (unquote(name), unquote(password)) if user else None
        return cls(parts._replace(netloc=host).geturl(), auth, verify)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc or self.url


@dataclass(frozen=True)
class Transfer:
    """Hold how long sources are waited for, and what another thread follows a download by.

    begun: set once a source serves the file. stopped: set it to end the download.
    """

    timeout: tuple[float, float] = TIMEOUT
    begun: Event = field(default_factory=Event)
    stopped: Event = field(default_factory=Event)

    def get(self, address: Address, **headers: str) -> requests.Response:
        """Ask for an address; HTTPError where the answer is an error, Stopped after the end."""
        self.check()
        answer = requests.get(
            address.url,
            headers=headers,
            auth=address.auth,
            verify=address.verify,
            stream=True,
            timeout=self.timeout,
        )
        answer.raise_for_status()
        return answer

    def check(self) -> None:
        if self.stopped.is_set():
            raise Stopped

    def complete(self, address: Address, part: Path, published: PublishedFile) -> None:
        """Complete the part of a file from one source; SourceError when it is not the file."""
        resumed = part.exists()
        self._resume(address, part, published)
        wrong = published.difference(part)
        if wrong and resumed:  # the beginning may be another source's: once more, from nothing
            part.unlink()
            self._resume(address, part, published)
            wrong = published.difference(part)
        if wrong:
            part.unlink()
            raise SourceError(f"served another file, {wrong}")

    def _resume(self, address, part, published):
        """Ask for the rest of the part, again where the answer broke off but brought something."""
        for _ in range(TRIES):
            before = _size(part)
            if before >= published.size:
                return
            try:
                self._append(address, part, before, published)
                return
            except requests.RequestException:
                if _size(part) <= before:
                    raise
        came = f"{_size(part):,} of {published.size:,} bytes came"
        raise SourceError(f"broke off {TRIES} times, {came}")

    def _append(self, address, part, start, published):
        """Write one answer to the part, from `start` where the source can."""
        headers = {"Accept-Encoding": "identity"}  # sizes must be those of the file
        if start:
            headers["Range"] = f"bytes={start}-"
        with self.get(address, **headers) as answer:
            resumes = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            begin = start if answer.status_code == 206 and resumes else 0
            _check_answer(answer, published.size - begin)
            shown = {"unit": "B", "unit_scale": True, "desc": published.file, "disable": None}
            with (
                part.open("ab" if begin else "wb") as file,
                tqdm(total=published.size, initial=begin, **shown) as bar,
            ):
                for chunk in answer.iter_content(CHUNK):
                    self.check()
                    self.begun.set()
                    if file.tell() + len(chunk) > published.size:
                        raise SourceError(f"serves more than the {published.size:,} bytes")
                    file.write(chunk)
                    bar.update(len(chunk))


def reason(error: Exception) -> str:
    """Say in a few words why a source failed."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached, or broke off"
    return redact(str(error))


def _check_answer(answer, expected):
    """Refuse before writing a byte what says by its headers that it is not the file."""
    if "text/html" in answer.headers.get("Content-Type", ""):
        raise SourceError("answers with a web page in place of the file")
    length = answer.headers.get("Content-Length")
    if length and int(length) != expected:
        raise SourceError(f"offers {int(length):,} bytes, expected {expected:,}")
    answer.raw.headers.discard("Content-Encoding")  # of a .tar.gz that is served as a .tar


def _size(file):
    return file.stat().st_size if file.exists() else 0
