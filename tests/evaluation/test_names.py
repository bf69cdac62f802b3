import re
from pathlib import Path

import pytest

from yolo3.evaluation.names import metric_names, plain_name, short_names


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [
        (["helmet", "traffic light"], ["helmet", "traffic light"]),
        (["Mütze", "a/b", "50% off"], ["Mutze", "a_b", "50_ off"]),
        (["帽子", "шлем"], ["class.0", "class.1"]),
        (["a(b", "a)b", "c"], ["a_b.0", "a_b.1", "c"]),
        (["Hat", "hat"], ["Hat.0", "hat.1"]),
    ],
)
def test_metric_names_are_safe_and_distinct(class_names, expected):
    assert metric_names(class_names) == expected
    assert all(re.fullmatch(r"[A-Za-z0-9_\-. /]+", name) for name in expected)


def test_plain_name_is_never_too_long():
    assert len(plain_name("x" * 500)) == 80


def test_short_names_take_folders_only_where_needed():
    paths = [Path("/home/me/a/1.jpg"), Path("/home/me/b/1.jpg"), Path("/home/me/b/2.jpg")]
    assert short_names(paths) == ("a/1.jpg", "b/1.jpg", "2.jpg")


def test_short_names_of_no_paths_and_of_the_same_path():
    assert short_names([]) == ()
    assert len(short_names([Path("/x/1.jpg"), Path("/x/1.jpg")])) == 2
