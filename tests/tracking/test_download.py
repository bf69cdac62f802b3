import re
from dataclasses import replace

import pytest
from download_cases import CONTENT, FILE, PAGE, mirrors, serving

from yolo3.tracking import download
from yolo3.tracking.download import OFFICIAL, DownloadError, cache_folder, fetch
from yolo3.tracking.transfer import Transfer

PATIENCE = (20.0, 20.0)  # seconds, for a machine that is busy
HASTE = (20.0, 0.5)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


def get(server, folder, *kinds, timeout=PATIENCE):
    return fetch(FILE, folder, mirrors(server, *kinds), Transfer(timeout))


def part(folder):
    return folder / f"{FILE.file}.part"


def start_part(folder, content):
    folder.mkdir(exist_ok=True)
    part(folder).write_bytes(content)


def test_good_file_is_fetched_once(server, tmp_path, capsys):
    folder = tmp_path / "deep" / "cache"
    path = get(server, folder, "good")
    assert path == folder / FILE.file and path.read_bytes() == CONTENT
    assert f"300,000 bytes, SHA-256 {FILE.sha256}, as published" in capsys.readouterr().out
    assert get(server, folder, "good") == path
    assert server.asked == [("good", None)] and not part(folder).exists()


def test_file_placed_by_hand_needs_no_network(tmp_path):
    (tmp_path / FILE.file).write_bytes(CONTENT)
    assert fetch(FILE, tmp_path, ["http://127.0.0.1:9/"]) == tmp_path / FILE.file


@pytest.mark.parametrize("kind", ["good", "without_ranges"])
def test_broken_off_download_goes_on(server, tmp_path, kind):
    start_part(tmp_path, CONTENT[:123_456])
    assert get(server, tmp_path, kind).read_bytes() == CONTENT
    assert server.asked == [(kind, "bytes=123456-")]
    assert not part(tmp_path).exists()


def test_connection_that_breaks_is_taken_up_again(server, tmp_path):
    assert get(server, tmp_path, "breaking").read_bytes() == CONTENT
    kinds, ranges = zip(*server.asked, strict=True)
    assert set(kinds) == {"breaking"} and ranges[0] is None and len(ranges) >= 3
    starts = [int(text.removeprefix("bytes=").rstrip("-")) for text in ranges[1:]]
    assert starts == sorted(set(starts)) and starts[0] > 0


def test_truncated_download_is_an_error_that_the_next_call_goes_on_from(server, tmp_path):
    with pytest.raises(DownloadError, match="broke off"):
        get(server, tmp_path, "stuck")
    assert not (tmp_path / FILE.file).exists()
    kept = part(tmp_path).stat().st_size
    assert 0 < kept <= 100_000
    assert get(server, tmp_path, "good").read_bytes() == CONTENT
    assert server.asked[-1] == ("good", f"bytes={kept}-")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("corrupted", f"served another file, its SHA-256 is [0-9a-f]+, not {FILE.sha256}"),
        ("short", "offers 299,999 bytes, expected 300,000"),
        ("long", "serves more than the 300,000 bytes"),
        ("page", "answers with a web page in place of the file"),
        ("moved", "answers with a web page in place of the file"),
        ("disguised", f"served another file, expected 300,000 bytes, found {len(PAGE)}"),
        ("missing", "HTTP 404"),
    ],
)
def test_bad_mirror_is_named_and_the_next_one_serves(server, tmp_path, kind, reason):
    with pytest.raises(DownloadError, match=rf"\(127\.0\.0\.1:\d+: {reason}"):
        get(server, tmp_path, kind)
    assert not (tmp_path / FILE.file).exists()
    assert get(server, tmp_path, kind, "good").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["silent", "hanging"])
def test_mirror_that_hangs_is_given_up(server, tmp_path, kind):
    with pytest.raises(DownloadError, match="no answer in time"):
        get(server, tmp_path, kind, timeout=HASTE)
    assert not server.closing.is_set() and not (tmp_path / FILE.file).exists()
    assert get(server, tmp_path, "good").read_bytes() == CONTENT


def test_beginning_from_elsewhere_is_thrown_away(server, tmp_path):
    start_part(tmp_path, PAGE)
    assert get(server, tmp_path, "good").read_bytes() == CONTENT
    assert server.asked == [("good", f"bytes={len(PAGE)}-"), ("good", None)]


@pytest.mark.parametrize("extra", [0, 1])
def test_wrong_part_of_full_length_is_thrown_away(server, tmp_path, extra):
    start_part(tmp_path, bytes(len(CONTENT) + extra))
    assert get(server, tmp_path, "good").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PAGE, f"expected 300,000 bytes, found {len(PAGE)}"),
        (b"", "expected 300,000 bytes, found 0"),
        (bytes(len(CONTENT)), "its SHA-256 is "),
    ],
)
def test_another_file_in_the_cache_is_refused_and_kept(server, tmp_path, content, reason):
    (tmp_path / FILE.file).write_bytes(content)
    with pytest.raises(DownloadError, match=f"is not the official file, {reason}.*delete it"):
        get(server, tmp_path, "good")
    assert (tmp_path / FILE.file).read_bytes() == content and not server.asked


def test_without_network_one_sentence_says_what_to_do(tmp_path):
    with serving() as server:
        port = server.server_port
    closed = [f"http://127.0.0.1:{port}/a/", f"http://127.0.0.1:{port}/b/"]
    with pytest.raises(DownloadError) as caught:
        fetch(replace(OFFICIAL["yolov3-tiny"], package=None), tmp_path, closed)
    message = str(caught.value)
    assert message.count("cannot be reached") == 2 and "\n" not in message
    assert (
        f"place it at {tmp_path}/yolov3-tiny.weights, or give its path as weights_path" in message
    )
    assert "35,434,956 bytes" in message and OFFICIAL["yolov3-tiny"].sha256 in message


def test_folder_that_cannot_be_written_is_told(tmp_path, server):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="File exists|Not a directory"):
        get(server, tmp_path / "file", "good")


def test_cache_lies_in_keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "yolov3"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".keras" / "yolov3"


def test_official_files_and_mirrors_are_well_formed():
    for name, official in OFFICIAL.items():
        assert official.file == f"{name}.weights" and re.fullmatch("[0-9a-f]{64}", official.sha256)
    assert all(re.match(r"https://.*/$", mirror) for mirror in download.MIRRORS)
