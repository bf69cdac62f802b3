import json

import pytest

from yolo3.network.spec import MASKS, NetworkSpec, make_spec, parse_input_size, read_anchors

TINY = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
FULL = tuple((8.0 * n, 6.0 * n) for n in range(1, 10))


def test_json_gives_the_same_spec_back():
    spec = make_spec(["tête", "hat"], [(10.5, 14), *TINY[1:]], (416, 320))
    assert NetworkSpec.from_json(spec.to_json()) == spec
    assert "tête" in spec.to_json()
    assert hash(NetworkSpec.from_json(spec.to_json())) == hash(spec)


def test_json_keeps_a_mask_that_is_not_the_usual_one():
    darknet = NetworkSpec(("a",), TINY, ((3, 4, 5), (1, 2, 3)), (416, 416))
    assert NetworkSpec.from_json(darknet.to_json()).mask == ((3, 4, 5), (1, 2, 3))
    assert json.loads(darknet.to_json())["mask"] == [[3, 4, 5], [1, 2, 3]]


@pytest.mark.parametrize("anchors", [TINY, FULL])
def test_usual_mask_gives_each_anchor_one_owner_and_the_large_ones_to_the_coarse_scale(anchors):
    spec = make_spec(["a"], anchors, (64, 64))
    owned = [anchor for scale in spec.mask for anchor in scale]
    assert sorted(owned) == list(range(len(anchors)))
    assert spec.scale_anchors_wh(0) == tuple(map(tuple, spec.anchors_wh[-3:]))
    assert spec.mask == MASKS[len(anchors)]


def test_json_of_before_strides_were_written_is_read():
    usual = make_spec(["a"], FULL, (96, 64))
    fields = json.loads(usual.to_json())
    del fields["strides"]
    assert NetworkSpec.from_json(json.dumps(fields)) == usual


def test_strides_of_a_converted_network_travel():
    spec = NetworkSpec(("a",), TINY[:3], ((2,), (0, 1), (1,)), (48, 32), (16, 8, 8))
    assert spec.grids_hw == ((2, 3), (4, 6), (4, 6))
    assert NetworkSpec.from_json(spec.to_json()) == spec
    assert NetworkSpec(("a",), TINY, ((5,), (0,)), (64, 32)).strides == (32, 16)


def test_anchors_may_be_more_than_the_masks_name():
    spec = NetworkSpec(("a",), FULL, ((8,),), (32, 32))
    assert spec.scale_anchors_wh(0) == (FULL[8],) and spec.strides == (32,)


def test_strides_and_grids_are_coarse_first_and_rows_before_columns():
    assert make_spec(["a"], TINY, (96, 64)).strides == (32, 16)
    assert make_spec(["a"], TINY, (96, 64)).grids_hw == ((2, 3), (4, 6))
    assert make_spec(["a"], FULL, (96, 64)).strides == (32, 16, 8)
    assert make_spec(["a"], FULL, (96, 64)).grids_hw == ((2, 3), (4, 6), (8, 12))


@pytest.mark.parametrize(
    ("class_names", "anchors", "mask", "input_wh", "message"),
    [
        ((), TINY, MASKS[6], (64, 64), "at least one class, got none"),
        (("a",), TINY[:5], MASKS[6], (64, 64), "mask names anchor 5, expected 0 to 4"),
        (("a",), TINY, MASKS[9], (64, 64), "mask names anchor 6, expected 0 to 5"),
        (("a",), TINY, (), (64, 64), r"an anchor or more for each scale, got the mask \(\)"),
        (("a",), TINY, ((3, 4), ()), (64, 64), "an anchor or more for each scale"),
        (("a",), TINY, ((0,),) * 7, (64, 64), "expected strides from 1, coarse first, got"),
        (("a",), TINY, ((3, 4, 6), (0, 1, 2)), (64, 64), "mask names anchor 6, expected 0 to 5"),
        (("a",), TINY, MASKS[6], (64, 65), "input_size must be a multiple of 32, got 65"),
        (("a",), TINY, MASKS[6], (0, 64), "input_size must be a multiple of 32, got 0"),
        (("a",), TINY, MASKS[6], (-32, 64), "input_size must be a multiple of 32, got -32"),
    ],
)
def test_misuse_says_what_was_expected(class_names, anchors, mask, input_wh, message):
    with pytest.raises(ValueError, match=message):
        NetworkSpec(class_names, anchors, mask, input_wh)


@pytest.mark.parametrize(
    ("strides", "input_wh", "message"),
    [
        ((32,), (64, 64), r"has 2 scales, expected as many strides, got \(32,\)"),
        ((16, 32), (64, 64), r"expected strides from 1, coarse first, got \(16, 32\)"),
        ((16, 0), (64, 64), "expected strides from 1"),
        ((64, 32), (96, 64), "input_size must be a multiple of 64, got 96"),
        ((12, 8), (48, 36), "input_size must be a multiple of 24, got 36"),
        ((8, 4), (24, 0), "input_size must be a multiple of 8, got 0"),
    ],
)
def test_misuse_of_strides_says_what_was_expected(strides, input_wh, message):
    with pytest.raises(ValueError, match=message):
        NetworkSpec(("a",), TINY, MASKS[6], input_wh, strides)


def test_make_spec_names_the_number_of_anchors_not_the_mask():
    with pytest.raises(ValueError, match="expected 6 anchors .* got 7"):
        make_spec(["a"], FULL[:7], (64, 64))


@pytest.mark.parametrize(
    "text",
    [
        "10,14,  23,27,  37,58,  81,82,  135,169,  344,319",
        "10 14\r\n23 27\r\n\r\n37,58\r\n81,82\r\n135,169\r\n344,319\r\n",
        "\ufeff# width,height\n10,14,23,27,37,58, # small\n81,82,135,169,344,319",
    ],
)
def test_anchors_are_read_over_one_line_or_several(tmp_path, text):
    path = tmp_path / "anchors.txt"
    path.write_bytes(text.encode())
    assert read_anchors(path) == TINY


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10,14,23,27\n37,abc", r"anchors\.txt:2: expected a number, got 'abc'"),
        ("10,14\n\n# fine\n0,3", r"anchors\.txt:4: expected a size in pixels, got '0'"),
        ("10,-14", r"anchors\.txt:1: expected a size in pixels, got '-14'"),
        ("10,nan", r"anchors\.txt:1: expected a size in pixels, got 'nan'"),
        ("inf,10", r"anchors\.txt:1: expected a size in pixels, got 'inf'"),
        ("10,14,23,27,37,58,81,82,135,169,344", r"anchors\.txt: expected 6 anchors .* got 11 n"),
        ("", r"anchors\.txt: expected 6 anchors .* or 9 .* got 0 numbers"),
    ],
)
def test_wrong_anchors_are_named_by_file_and_line(tmp_path, text, message):
    path = tmp_path / "anchors.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_anchors(path)


def test_anchors_that_are_no_text_are_named_by_file(tmp_path):
    with pytest.raises(ValueError, match=r"none\.txt: cannot read the anchors: No such file"):
        read_anchors(tmp_path / "none.txt")
    (tmp_path / "anchors.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"anchors\.txt: cannot read the anchors: .*UTF-8"):
        read_anchors(tmp_path / "anchors.txt")


@pytest.mark.parametrize(
    ("text", "input_wh"),
    [
        ("416", (416, 416)),
        ("416x320", (416, 320)),
        (" 96 X 64 ", (96, 64)),
        ("32", (32, 32)),
        (416, (416, 416)),
    ],
)
def test_input_size_is_one_number_or_width_x_height(text, input_wh):
    assert parse_input_size(text) == input_wh


@pytest.mark.parametrize("text", ["415", "0", "416x0", "416x300", "31"])
def test_input_size_must_be_a_multiple_of_32(text):
    with pytest.raises(ValueError, match=f"must be a multiple of 32, got '{text}'"):
        parse_input_size(text)


@pytest.mark.parametrize("text", ["abc", "", "416x", "x416", "416x416x3", "-416", "416.0", "4 16"])
def test_input_size_that_is_no_size_is_quoted(text):
    with pytest.raises(ValueError, match=f"must be a number or WxH, got '{text}'"):
        parse_input_size(text)
