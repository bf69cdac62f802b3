from pathlib import Path

import numpy as np
import pytest
from check_cases import scene

from yolo3.data.annotations import DataError, Picture
from yolo3.data.likeness import fingerprint
from yolo3.data.splits import check_apart, split_pictures


def picture(name, classes=(), digest=None, look=b""):
    boxes = np.tile(np.float32([[0, 0, 9, 9]]), (len(classes), 1))
    ids = np.array(classes, np.int64)
    content = str(name if digest is None else digest)
    path, source = Path(f"/pictures/{name}.jpg"), f"list:{name}"
    return Picture(path, boxes, ids, (99, 99), content, source, fingerprint=look)


def names(pictures):
    return [one.path.stem for one in pictures]


@pytest.mark.parametrize(
    "count, val_split, expected",
    [(2, 0.1, 1), (3, 0.99, 2), (10, 0.1, 1), (10, 0, 1), (100, 0.1, 10), (481, 0.1, 48)],
)
def test_about_the_share_and_at_least_one_on_each_side(count, val_split, expected):
    pictures = [picture(n, (0,)) for n in range(count)]
    train, val = split_pictures(pictures, val_split, seed=0)
    assert len(val) == expected
    assert len(train) == count - expected
    assert sorted(names(train) + names(val)) == sorted(names(pictures))


def test_the_seed_decides_and_nothing_else():
    pictures = [picture(n, (n % 3,)) for n in range(50)]
    first = split_pictures(pictures, 0.2, seed=1)
    assert [names(side) for side in first] == [
        names(side) for side in split_pictures(pictures, 0.2, seed=1)
    ]
    assert names(first[1]) != names(split_pictures(pictures, 0.2, seed=2)[1])
    turned = split_pictures(pictures[::-1], 0.2, seed=1)
    assert names(turned[1]) == names(first[1])[::-1]


def test_both_sides_keep_the_order_of_the_list():
    pictures = [picture(n) for n in range(30)]
    for side in split_pictures(pictures, 0.3, seed=5):
        assert side == sorted(side, key=lambda one: int(one.path.stem))


@pytest.mark.parametrize("seed", range(10))
def test_the_same_content_stays_on_one_side(seed):
    pictures = [picture(n, (0,), digest=n // 3) for n in range(30)]
    train, val = split_pictures(pictures, 0.3, seed)
    assert len(val) == 9
    assert not {one.digest for one in train} & {one.digest for one in val}


LOOKS = [fingerprint(scene(seed)) for seed in range(40)]


@pytest.mark.parametrize("seed", range(10))
def test_pictures_that_look_alike_stay_on_one_side(seed):
    pictures = [picture(n, (0,), look=LOOKS[n // 3]) for n in range(60)]
    train, val = split_pictures(pictures, 0.2, seed)
    assert len(val) == 12 and len(train) == 48
    assert not {one.fingerprint for one in train} & {one.fingerprint for one in val}
    turned = split_pictures(pictures[::-1], 0.2, seed)
    assert names(turned[1]) == names(val)[::-1]


def test_different_looks_change_no_split():
    plain = [picture(n, (n % 3,)) for n in range(40)]
    looked = [picture(n, (n % 3,), look=LOOKS[n]) for n in range(40)]
    sides = [[names(side) for side in split_pictures(p, 0.2, seed=3)] for p in (plain, looked)]
    assert sides[0] == sides[1]


@pytest.mark.parametrize(
    "alike",
    [
        lambda n: 0,  # a fixed camera
        lambda n: n // 25,  # two films, of which either is too much
        lambda n: min(n, 3),  # nearly all
    ],
)
def test_where_too_many_look_alike_only_the_same_content_stays_together(alike):
    pictures = [picture(n, (0,), digest=n // 2, look=LOOKS[alike(n)]) for n in range(50)]
    train, val = split_pictures(pictures, 0.2, seed=0)
    assert (len(train), len(val)) == (40, 10)
    assert not {one.digest for one in train} & {one.digest for one in val}


def test_two_pictures_that_look_alike_still_split():
    train, val = split_pictures([picture(n, look=LOOKS[0]) for n in range(2)], 0.1, seed=0)
    assert (len(train), len(val)) == (1, 1)


def test_contents_larger_than_the_share_still_split():
    pictures = [picture(n, digest="a" if n < 5 else "b") for n in range(12)]
    train, val = split_pictures(pictures, 0.1, seed=0)
    assert (len(train), len(val)) == (7, 5)


@pytest.mark.parametrize("seed", range(10))
def test_rare_classes_reach_both_sides(seed):
    rare = [picture(f"rare{n}", (1, 0)) for n in range(2)]
    single = [picture("single", (2,))]
    empty = [picture(f"empty{n}") for n in range(10)]
    pictures = [picture(n, (0, 0)) for n in range(87)] + rare + single + empty
    train, val = split_pictures(pictures, 0.1, seed)
    assert len(val) == 10
    assert sum(name.startswith("rare") for name in names(val)) == 1
    assert "single" in names(train)
    assert sum(name.startswith("empty") for name in names(val)) == 1


def test_training_keeps_the_last_picture_of_a_class():
    pictures = [picture(n, (n,)) for n in range(4)] + [picture("more", (0,))]
    train, val = split_pictures(pictures, 0.6, seed=0)
    assert len(val) == 1
    assert {int(one.class_ids[0]) for one in train} == {0, 1, 2, 3}


def test_where_no_class_has_a_picture_to_spare_one_is_taken():
    train, val = split_pictures([picture(n, (n,)) for n in range(4)], 0.5, seed=0)
    assert (len(train), len(val)) == (3, 1)


def test_large_lists_split_quickly():
    rng = np.random.default_rng(0)
    pictures = [picture(n, rng.integers(0, 80, 3)) for n in range(5000)]
    assert len(split_pictures(pictures, 0.2, seed=0)[1]) == 1000


@pytest.mark.parametrize(
    "pictures",
    [[], [picture("a")], [picture("a", digest="same"), picture("b", digest="same")]],
)
def test_too_few_pictures_stop(pictures):
    with pytest.raises(DataError) as caught:
        split_pictures(pictures, 0.1, seed=0)
    assert "are too few to split, expected at least 2" in str(caught.value)
    assert "add pictures, or give val_annotation_path" in str(caught.value)


@pytest.mark.parametrize("val_split", [-0.1, 1, 1.5, float("nan")])
def test_a_share_that_is_none_stops(val_split):
    with pytest.raises(DataError, match="expected at least 0 and less than 1"):
        split_pictures([picture(n) for n in range(9)], val_split, seed=0)


def test_a_picture_in_both_lists_stops():
    with pytest.raises(DataError) as caught:
        check_apart([picture("a"), picture("b")], [picture("b"), picture("c")])
    assert str(caught.value) == (
        "list:b: validation picture /pictures/b.jpg is a training picture too, at list:b,"
        " expected it in one list"
    )


def test_content_in_both_lists_is_counted():
    findings = check_apart([picture("a"), picture("b", digest="x")], [picture("c", digest="x")])
    assert findings.counts["pictures_shared"] == 1
    assert findings.lines()[1] == (
        "  list:c: validation picture has the content of the training picture at list:b"
    )
    assert check_apart([picture("a")], [picture("b")]).lines() == []
