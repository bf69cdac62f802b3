import hashlib
import shutil
import subprocess

import pytest

from yolo3.detector.checksums import SUMS_FILE, check_sums, write_sums


@pytest.fixture
def folder(tmp_path):
    for name in ("data/network.bin", "code/a b.py", "data/tête.json", "MLmodel"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 99)
    write_sums(tmp_path)
    return tmp_path


def test_each_file_is_recorded_as_sha256sum_does(folder):
    lines = (folder / SUMS_FILE).read_text("utf-8").splitlines()
    assert [line[66:] for line in lines] == [
        "MLmodel",
        "code/a b.py",
        "data/network.bin",
        "data/tête.json",
    ]
    assert lines[2][:64] == hashlib.sha256(b"data/network.bin" * 99).hexdigest()
    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not installed")
    subprocess.run(["sha256sum", "--check", "--strict", SUMS_FILE], cwd=folder, check=True)
    check_sums(folder)


def test_one_bit_is_found_in_what_is_loaded_only(folder):
    for name, found in (("data/network.bin", True), ("code/a b.py", True), ("MLmodel", False)):
        data = bytearray((folder / name).read_bytes())
        data[50] ^= 1
        (folder / name).write_bytes(data)
        if found:
            with pytest.raises(ValueError, match=f"^{name} differs from its checksum in SHA256SUM"):
                check_sums(folder)
            data[50] ^= 1
            (folder / name).write_bytes(data)
        else:
            check_sums(folder)
    with pytest.raises(ValueError, match="^MLmodel differs"):
        check_sums(folder, ("MLmodel",))


def test_a_missing_file_is_found_and_one_more_is_not_minded(folder):
    (folder / "code/__pycache__").mkdir()
    (folder / "code/__pycache__/a.pyc").touch()
    check_sums(folder)
    (folder / "data/network.bin").unlink()
    with pytest.raises(ValueError, match="^data/network.bin is missing$"):
        check_sums(folder)


def test_damaged_checksums_are_no_traceback(folder):
    for text in (b"0123\n", b"\xff\xfe  data/network.bin\n"):
        (folder / SUMS_FILE).write_bytes(text)
        with pytest.raises(ValueError, match=SUMS_FILE):
            check_sums(folder)


def test_a_folder_of_before_there_were_checksums_passes(folder):
    (folder / SUMS_FILE).unlink()
    (folder / "data/network.bin").unlink()
    check_sums(folder)
