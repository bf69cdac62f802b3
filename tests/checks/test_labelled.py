import re
from itertools import pairwise

import numpy as np
import pytest
from check_cases import SPEC, labelled, on_disk
from PIL import Image

from yolo3.checks import labelled as module
from yolo3.checks.checkup import check_up
from yolo3.checks.labelled import choose_images, images_by_class, labelled_images
from yolo3.network.spec import make_spec

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def chosen(pictures, class_count=2, most=12):
    return choose_images(images_by_class(pictures, class_count), most)


def numbers(pictures):
    return sorted(int(picture.digest) for picture in pictures)


@pytest.mark.parametrize("most", [3, 5, 12])
def test_images_are_spread_over_the_data(most):
    [hats, bare] = chosen([labelled(n, [HAT]) for n in range(400)], most=most)
    assert len(hats) == most and not bare
    gaps = [b - a for a, b in pairwise([0, *numbers(hats), 400])]
    assert max(gaps) <= 2 * 400 / most


def test_the_same_data_choose_the_same_images():
    pictures = [labelled(n, [HAT, BARE]) for n in range(50)]
    assert [numbers(own) for own in chosen(pictures)] == [numbers(own) for own in chosen(pictures)]


def test_classes_show_different_images_where_there_are_enough():
    pictures = [labelled(n, [HAT, BARE]) for n in range(24)]
    hats, bare = chosen(pictures)
    assert len(hats) == len(bare) == 12 and not set(numbers(hats)) & set(numbers(bare))
    hats, bare = chosen(pictures[:15])
    assert len(hats) == len(bare) == 12 and len({*numbers(hats), *numbers(bare)}) == 15


def test_a_rare_class_shows_all_its_images():
    pictures = [labelled(n, [HAT, BARE] if n < 2 else [HAT]) for n in range(40)]
    hats, bare = chosen(pictures)
    assert numbers(bare) == [0, 1] and not {0, 1} & set(numbers(hats))


def test_copies_of_an_image_count_once():
    pictures = [labelled(n, [HAT, HAT], digest="1") for n in range(5)]
    assert len(images_by_class(pictures, 2)[0]) == 1


def test_the_boxes_of_the_class_are_marked(tmp_path):
    train = [on_disk(tmp_path, "a", [HAT, BARE])]
    text = labelled_images(check_up(train, [on_disk(tmp_path, "b", [BARE])], SPEC))
    bare, hat = text.split("<section")[1:]
    assert "bare <span class='soft'>2 of 2 images" in bare and "hat <span" in hat
    assert hat.count('class="mark" d="M20 20H60V60H20Z"') == hat.count('class="mark"') == 1
    assert "<title>bare</title>" in hat and ">bare</text>" in hat
    assert bare.count('class="mark" d="M120 100H161V140H120Z"') == 2
    assert text.count("data:image") == 2 and text.count("<use") == 1


def test_a_page_without_boxes_or_files_has_no_labelled_images(tmp_path):
    assert labelled_images(check_up([on_disk(tmp_path, "a")], [], SPEC)) == ""
    assert labelled_images(check_up([labelled("gone", [HAT])], [], SPEC)) == ""


def noise_of_many_classes(folder, images, class_count):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (72, 96, 3), np.uint8)).save(folder / "noise.png")
    spec = make_spec([f"class {n}" for n in range(class_count)], SPEC.anchors_wh, (416, 416))
    train = [
        labelled(n, [(20, 20, 60, 60, n % class_count)], path=folder / "noise.png")
        for n in range(images)
    ]
    return check_up(train, [], spec)


def test_many_classes_get_equally_many_images_within_the_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 700_000)
    text = labelled_images(noise_of_many_classes(tmp_path, 160, 80))
    assert 600_000 < len(text) < 750_000
    shown = [int(number) for number in re.findall(r">(\d+) of 2 images", text)]
    assert len(shown) == 80 and set(shown) == {1, 2} and shown == sorted(shown, reverse=True)
    assert "as many as this page holds" in text and "<text" not in text


def test_classes_beyond_a_hundred_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IMAGES_PER_CLASS", 1)
    text = labelled_images(noise_of_many_classes(tmp_path, 120, 120))
    assert text.count("<section") == 100 and "of the 100 largest classes" in text
