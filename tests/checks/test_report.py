import re
from html.parser import HTMLParser

import numpy as np
import pytest
from check_cases import SPEC, labelled, on_disk
from PIL import Image

from yolo3.checks.checkup import check_up
from yolo3.checks.report import MOST_EXAMPLES, verdict, write_check_report
from yolo3.data.images import Stored
from yolo3.data.pictures import Changed
from yolo3.network.spec import make_spec

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


class Balanced(HTMLParser):
    """Fail on tags that close nothing or are left open; gather what the page refers to."""

    EMPTY = ("meta", "image", "circle", "br", "img")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.links += [v for k, v in attributes if k in ("href", "src", "xlink:href")]
        self.ids += [v for k, v in attributes if k == "id"]

    def handle_startendtag(self, tag, attributes):
        self.links += [v for k, v in attributes if k == "href"]
        self.ids += [v for k, v in attributes if k == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def written(tmp_path, train, val=(), spec=SPEC, title="my list.txt"):
    path = write_check_report(check_up(train, val, spec), tmp_path / "check.html", title)
    return path.read_text("utf-8")


def parsed(text):
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    return parser


def test_a_clean_report_says_so(tmp_path):
    train = [labelled(n, [HAT, BARE], look=n) for n in range(10)]
    val = [labelled(10 + n, [HAT, BARE], look=10 + n) for n in range(10)]
    text = written(tmp_path, train, val)
    parsed(text)
    assert "Nothing deserves a look." in text and "my list.txt" in text
    assert "class='finding'" not in text


def test_each_finding_has_a_section_with_pictures(tmp_path):
    outside = Changed("boxes_outside", (900.0, 0.0, 950.0, 50.0), "list:a: box 2 outside")
    train = [
        on_disk(tmp_path, "a", [HAT, HAT, BARE], changed=(outside,)),
        on_disk(tmp_path, "b", [HAT], digest="a", look=3),
        on_disk(tmp_path, "c", [(50, 50, 51, 52, 1)]),
    ]
    checkup = check_up(train, [], SPEC)
    page_read = parsed(written(tmp_path, train))
    assert {f"#{kind}" for kind in checkup.by_kind()} <= set(page_read.links)
    inside = {link[1:] for link in page_read.links if link.startswith("#")}
    assert inside <= set(page_read.ids) and len(set(page_read.ids)) == len(page_read.ids)


def test_every_section_is_in_the_contents(tmp_path):
    train = [on_disk(tmp_path, "a", [HAT, HAT, BARE])]
    page_read = parsed(written(tmp_path, train))
    sections = ["#labelled", "#centres", "#batch", "#classes", "#sizes", "#found"]
    assert page_read.links[: len(sections)] == sections


def test_up_to_twelve_turned_images_are_shown_with_their_boxes(tmp_path):
    turned = Stored("JPEG", 3)
    train = [labelled(n, stored=turned) for n in range(3)]
    train += [on_disk(tmp_path, 9 + n, [HAT, BARE], seed=n, stored=turned) for n in range(14)]
    text = written(tmp_path, train)
    section = text.split("id='pictures_turned'")[1].split("</section>")[0]
    assert section.count('<svg class="shot"') == section.count("<figure>") == 12
    assert section.count('class="mark" d="M20 20H60V60H20ZM120 100H161V140H120Z"') == 12
    assert "python -m yolo3 annotations FOLDER --labelled-unrotated" in section


def test_the_report_needs_nothing_else(tmp_path):
    text = written(tmp_path, [on_disk(tmp_path, "a", [HAT, HAT])])
    links = parsed(text).links
    assert links and all(link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert not re.search(r"https?://", text)


def test_names_are_escaped(tmp_path):
    evil = "<script>alert('1')</script>"
    spec = make_spec((evil, "b & c"), SPEC.anchors_wh, (416, 416))
    train = [on_disk(tmp_path, "a", [HAT, HAT, BARE], source=f"{evil}:1")]
    text = written(tmp_path, train, spec=spec, title=evil)
    parsed(text)
    assert "<script" not in text and "&lt;script&gt;" in text and "b &amp; c" in text


def test_many_findings_show_a_few_examples(tmp_path):
    train = [on_disk(tmp_path, n, [HAT, HAT, HAT], seed=n) for n in range(MOST_EXAMPLES + 5)]
    text = written(tmp_path, train)
    section = text.split("id='boxes_repeated'")[1].split("</section>")[0]
    assert section.count("<figure>") == MOST_EXAMPLES
    assert section.count("… and 1 more here") == MOST_EXAMPLES
    assert section.count("<li>") == 2 * (MOST_EXAMPLES + 5)


def test_thousands_of_cases_make_a_page_below_five_megabytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    kinds = ("boxes_clipped", "boxes_outside", "boxes_degenerate")
    changed = tuple(Changed(kind, (0.0, 0.0, 9.0, 9.0), f"{kind} " * 9) for kind in kinds)
    train = [
        labelled(n, [HAT, HAT], path=tmp_path / "noise.png", changed=changed) for n in range(1500)
    ]
    assert len(written(tmp_path, train).encode()) < 5_000_000


def test_a_picture_that_is_gone_leaves_its_message(tmp_path):
    text = written(tmp_path, [labelled("gone", [HAT, HAT])])
    parsed(text)
    assert "list:gone: box 20,20,60,60 (hat) repeats box" in text and "<image" not in text


def test_data_without_boxes_have_a_report(tmp_path):
    text = written(tmp_path, [labelled("a")])
    parsed(text)
    assert "There is no box." in text and "nan" not in text


def test_commands_in_messages_are_code(tmp_path):
    text = written(tmp_path, [labelled("a", [(5, 5, 205, 20, 0)])])
    assert "<code>python -m yolo3 anchors</code> makes closer ones" in text and "`" not in text


def test_hundreds_of_classes_are_cut(tmp_path):
    spec = make_spec([f"class {n}" for n in range(250)], SPEC.anchors_wh, (416, 416))
    text = written(tmp_path, [labelled("a", [HAT])], spec=spec)
    assert "… and 150 classes with fewer boxes" in text


def test_the_same_data_make_the_same_report(tmp_path):
    train = [on_disk(tmp_path, "a", [HAT, HAT])]
    assert written(tmp_path, train) == written(tmp_path, train)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([HAT, BARE], "Nothing deserves a look. 2 notes."),
        ([HAT, HAT, BARE], "1 finding deserves a look. 2 notes."),
        ([HAT, HAT, BARE, BARE], "2 findings deserve a look. 2 notes."),
    ],
)
def test_the_verdict_counts(boxes, expected):
    assert verdict(check_up([labelled("a", boxes)], [], SPEC)) == expected
