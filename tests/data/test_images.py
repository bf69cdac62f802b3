import contextlib
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from yolo3.data.images import (
    BAR_GREY,
    MAX_SCANS,
    ImageError,
    image_size,
    letterbox,
    place,
    read_header,
    read_image,
    stored_as,
)


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_orientation(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def quarters():
    """Four colours, so that each way of turning looks different: 40x20."""
    image = Image.new("RGB", (40, 20), "red")
    image.paste("lime", (20, 0, 40, 10))
    image.paste("blue", (0, 10, 20, 20))
    return image


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width, height):
    """A PNG file that says it is large and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_honoured(kind, orientation):
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = quarters() if undo is None else quarters().transpose(undo)
    data = encoded(stored, kind, exif=with_orientation(orientation))
    image = read_image(data)
    assert image.size == image_size(data) == (40, 20)
    difference = np.asarray(image, int) - np.asarray(quarters(), int)
    assert np.abs(difference[4:6, 8:12]).max() < 40  # away from the edges, which JPEG blurs
    assert np.abs(difference[4:6, 28:32]).max() < 40
    assert np.abs(difference[14:16, 8:12]).max() < 40


def test_a_turned_picture_is_not_turned_again_when_it_is_saved():
    turned = read_image(encoded(quarters(), "JPEG", exif=with_orientation(6)))
    assert turned.size == (20, 40)
    for kind in ("PNG", "JPEG", "WEBP"):
        assert read_image(encoded(turned, kind)).size == (20, 40)


def test_broken_exif_is_no_reason_to_refuse_a_picture():
    data = encoded(quarters(), "JPEG", exif=b"Exif\x00\x00nonsense")
    assert read_image(data).size == image_size(data) == (40, 20)


@pytest.mark.parametrize(
    "brightest, white",
    [
        (0, 255),
        (255, 255),
        (256, 1023),
        (1023, 1023),
        (1024, 4095),
        (4095, 4095),
        (4096, 16383),
        (16383, 16383),
        (16384, 65535),
        (65535, 65535),
    ],
)
@pytest.mark.parametrize(
    "kind, kept_as",
    [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2"), ("TIFF", "<i4"), ("TIFF", "<f4")],
)
def test_numbers_are_scaled_by_the_bits_that_they_use(kind, kept_as, brightest, white):
    values = np.linspace(0, brightest, 12).round().reshape(3, 4)
    data = encoded(Image.fromarray(values.astype(kept_as)), kind)
    expected = np.rint(values * 255 / white).astype(int)
    assert np.asarray(read_image(data)).tolist() == np.dstack([expected] * 3).tolist()


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.float32([[0, 0.5, 1]]), [0, 128, 255]),
        (np.float32([[0, 128, 255]]), [0, 128, 255]),
        (np.float32([[np.nan, -1, 1]]), [0, 0, 255]),
        (np.int32([[0, 25700, 65535]]), [0, 100, 255]),
        (np.int32([[0, 100_000, 200_000]]), [0, 128, 255]),
    ],
)
def test_floats_and_long_integers_are_scaled(values, expected):
    image = read_image(encoded(Image.fromarray(values), "TIFF"))
    assert np.asarray(image)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF of LZW"])
@pytest.mark.parametrize("brightest, white", [(200, 255), (4095, 4095), (9000, 16383)])
def test_colours_of_sixteen_bits_are_scaled_by_the_bits_that_they_use(kind, brightest, white):
    values = np.linspace(0, brightest, 5 * 7 * 3).round().astype(np.uint16).reshape(5, 7, 3)
    data = sixteen_bit_colours(values, kind)
    expected = np.rint(values * 255.0 / white).astype(int)
    assert np.asarray(read_image(data)).tolist() == expected.tolist()


def test_colours_of_full_sixteen_bits_keep_their_high_bytes():
    values = np.linspace(0, 65535, 5 * 7 * 3).astype(np.uint16).reshape(5, 7, 3)
    image = read_image(sixteen_bit_colours(values, "PNG"))
    assert np.asarray(image).tolist() == (values >> 8).tolist()


def sixteen_bit_colours(values, kind):
    """Encode RGB (H, W, 3) of uint16, which Pillow does not write."""
    options = {"TIFF": (cv2.IMWRITE_TIFF_COMPRESSION, 1), "TIFF of LZW": ()}.get(kind, ())
    done, data = cv2.imencode(f".{kind[:4].lower()}", values[:, :, ::-1], options)
    assert done
    return data.tobytes()


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    half = Image.new("RGBA", (2, 2), (255, 0, 0, 128))
    assert read_image(encoded(clear)).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(encoded(half)).getpixel((0, 0)) == (255, 127, 127)
    assert read_image(encoded(Image.new("LA", (2, 2), (0, 0)))).getpixel((0, 0)) == (255,) * 3


def test_palettes():
    palette = quarters().quantize(4)
    assert read_image(encoded(palette)).getpixel((30, 5)) == (0, 255, 0)
    red = palette.getpixel((0, 0))
    assert read_image(encoded(palette, transparency=red)).getpixel((0, 0)) == (255, 255, 255)
    alphas = bytes(0 if index == red else 255 for index in range(4))
    image = read_image(encoded(palette, transparency=alphas))
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((30, 5)) == (0, 255, 0)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "YCbCr", "CMYK"])
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_modes_keep_their_white(kind, mode):
    image = read_image(encoded(Image.new("RGB", (16, 16), "white").convert(mode), kind))
    assert image.mode == "RGB"
    assert min(image.getpixel((8, 8))) > 250


def test_cmyk_keeps_its_colours():
    image = read_image(encoded(quarters().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(np.subtract(image.getpixel((10, 5)), (255, 0, 0))).max() < 10


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    image = read_image(data)
    assert image.size == (8, 6)
    assert np.abs(np.subtract(image.getpixel((4, 3)), (255, 0, 0))).max() < 10


@pytest.mark.parametrize("size", [(1, 1), (20000, 20), (1, 5000)])
def test_extreme_sizes_are_read_and_letterboxed(size):
    image = read_image(encoded(Image.new("RGB", size, "red")))
    assert image.size == size
    pixels, box = letterbox(image, (416, 416))
    assert pixels.shape == (416, 416, 3)
    assert min(box.resized_wh) >= 1
    assert (pixels == (255, 0, 0)).all(-1).sum() == box.resized_wh[0] * box.resized_wh[1]
    whole = np.float32([[0, 0, *size]])
    np.testing.assert_allclose(box.to_picture(box.to_network(whole)), whole, rtol=1e-5)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "is empty (0 bytes)"),
        (b"not a picture", "is not a picture of a known kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture of a known kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture of a known kind"),
        (b"\xff\xd8\xff", "is not a picture"),
        (b"\x89PNG\r\n\x1a\n", "is not a picture"),
        (png_header(90, 110), "is cut short"),
        (png_header(9500, 11_000), "is 9500x11000 and has more than 100 million pixels"),
        (png_header(60_000, 60_000), "has more than 100 million pixels"),
    ],
)
def test_what_is_no_picture_is_told_in_a_sentence(data, reason):
    with pytest.raises(ImageError) as caught:
        read_image(data)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000"])
def test_a_picture_that_is_cut_short_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    read_image(data)
    for kept in (0.2, 0.5, 0.9):
        with pytest.raises(ImageError):
            read_image(data[: int(len(data) * kept)])


def test_a_cut_jpeg_is_called_cut_and_still_has_a_size():
    data = encoded(quarters().resize((400, 200)), "JPEG")[:-500]
    with pytest.raises(ImageError, match="is cut short"):
        read_image(data)
    assert image_size(data) == (400, 200)


def test_garbled_pictures_raise_nothing_but_image_error():
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        clean = np.frombuffer(encoded(quarters(), kind), np.uint8)
        for _ in range(60):
            data = clean.copy()
            places = rng.integers(0, len(data), 4)
            data[places] = rng.integers(0, 256, 4)
            with contextlib.suppress(ImageError):
                read_image(data.tobytes())


def test_a_jpeg_of_endless_scans_is_refused_before_they_are_decoded():
    data = encoded(quarters(), "JPEG", progressive=True)
    assert read_image(data).size == (40, 20)
    last = data[data.rindex(b"\xff\xda") : -2]  # each scan is decoded over all pixels
    scans = data.count(b"\xff\xda")
    assert read_image(data[:-2] + (MAX_SCANS - scans) * last + data[-2:]).size == (40, 20)
    with pytest.raises(ImageError, match=f"has more than {MAX_SCANS} scans"):
        read_image(data[:-2] + (MAX_SCANS + 1 - scans) * last + data[-2:])


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        image_size(tmp_path / "none.jpg")


def test_threads_may_read_at_the_same_time():
    data = encoded(quarters(), "JPEG", exif=with_orientation(6))
    with ThreadPoolExecutor(8) as pool:
        sizes = set(pool.map(lambda _: read_image(data).size, range(200)))
    assert sizes == {(20, 40)}


def test_letterbox_centres_between_grey_bars():
    pixels, box = letterbox(Image.new("RGB", (100, 50), "red"), (64, 96))
    assert pixels.shape == (96, 64, 3)
    assert pixels.dtype == np.uint8
    assert (pixels[:32] == BAR_GREY).all()
    assert (pixels[32:64] == (255, 0, 0)).all()
    assert (pixels[64:] == BAR_GREY).all()
    assert box == place((100, 50), (64, 96))
    assert box.offset_xy == (0, 32)
    assert box.scale_xy == (0.64, 0.64)


def test_letterbox_maps_boxes_to_where_the_pixels_went():
    image = Image.new("RGB", (300, 200))
    image.paste("white", (60, 50, 150, 120))
    pixels, box = letterbox(image, (416, 320))
    ys, xs = np.nonzero(pixels[:, :, 0] > 200)
    expected = box.to_network(np.float32([[60, 50, 150, 120]]))
    assert np.abs(expected - [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).max() <= 1


@pytest.mark.parametrize("network_wh", [(416, 416), (320, 608), (32, 32)])
@pytest.mark.parametrize("size_wh", [(640, 480), (17, 23), (1, 1), (4001, 2999)])
def test_letterbox_is_its_own_inverse(size_wh, network_wh):
    box = place(size_wh, network_wh)
    corners = np.random.default_rng(0).random((50, 4)) * (size_wh * 2)
    np.testing.assert_allclose(box.to_picture(box.to_network(corners)), corners, atol=1e-3)
    assert box.to_network(corners).dtype == box.to_picture(corners).dtype == np.float32


def test_boxes_past_the_picture_are_clipped_on_the_way_back():
    box = place((100, 50), (64, 64))
    assert box.to_picture([[-9, 0, 99, 64]]).tolist() == [[0, 0, 100, 50]]


def test_no_boxes_stay_no_boxes():
    box = place((100, 50), (64, 64))
    assert box.to_network(np.zeros((0, 4))).shape == (0, 4)
    assert box.to_picture(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_file_tells_how_it_is_stored(kind):
    assert stored_as(encoded(quarters(), kind)) == (kind, 1)


@pytest.mark.parametrize(("orientation", "told"), [(6, 6), (3, 3), (1, 1), (9, 1), (0, 1)])
def test_only_real_orientations_are_told(orientation, told):
    file = encoded(quarters(), "JPEG", exif=with_orientation(orientation))
    assert stored_as(file).orientation == told


def test_a_jpeg_with_further_pictures_is_a_jpeg():
    file = encoded(quarters(), "MPO", save_all=True, append_images=[quarters()])
    assert stored_as(file).format == "JPEG"


def test_what_is_no_picture_is_not_stored_as_one():
    with pytest.raises(ImageError, match="is not a picture"):
        stored_as(b"text")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_no_smaller_than_what_suffices(orientation):
    picture = Image.linear_gradient("L").convert("RGB").resize((800, 400))
    data = encoded(picture, "JPEG", quality=95, exif=with_orientation(orientation))
    whole = read_image(data)
    for suffices, part in ((0, 1), (201, 1), (200, 2), (120, 2), (100, 4), (10, 8), (1, 8)):
        smaller = read_image(data, suffices)
        assert smaller.size == (whole.width // part, whole.height // part)
        expected = np.asarray(whole.reduce(part), int) if part > 1 else np.asarray(whole, int)
        assert np.abs(np.asarray(smaller, int) - expected).max() <= 3


def test_other_kinds_are_decoded_whole():
    data = encoded(quarters(), "PNG")
    assert read_image(data, 1).size == (40, 20)


def test_what_lies_behind_a_jpegs_end_is_no_part_of_it():
    data = encoded(quarters(), "JPEG")
    assert read_image(data + b"\xff\xda" * (MAX_SCANS + 1)).size == (40, 20)
    several = encoded(quarters(), "MPO", save_all=True, append_images=[quarters()] * MAX_SCANS)
    assert several.count(b"\xff\xda") > MAX_SCANS and read_image(several).size == (40, 20)


def rows_png(rows, height, mode, depth):
    """A sound PNG of 40 columns, its bytes all 7, whose data ends after some of its rows."""
    row = b"\0" + b"\7" * (40 * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[mode] * depth // 8)
    head = struct.pack(">IIBBBBB", 40, height, depth, mode, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(row * rows)) + chunk(b"IEND", b"")
    palette = chunk(b"PLTE", bytes(range(48))) if mode == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + data


@pytest.mark.parametrize(
    ("mode", "depth"), [(0, 8), (0, 16), (2, 8), (2, 16), (3, 4), (4, 8), (6, 8)]
)
def test_a_png_that_ends_before_its_last_row_is_refused(mode, depth):
    for rows in (1, 99):
        with pytest.raises(ImageError, match="is cut short"):
            read_image(rows_png(rows, 100, mode, depth))
    assert read_image(rows_png(100, 100, mode, depth)).size == (40, 100)


def test_a_tiff_that_lists_too_few_strips_is_refused():
    data = bytearray(encoded(quarters(), "TIFF"))
    entry = data.index(struct.pack("<HHI", 257, 4, 1))  # its height
    struct.pack_into("<I", data, entry + 8, 200)
    with pytest.raises(ImageError, match="is cut short"):
        read_image(bytes(data))


def test_the_header_tells_what_decoding_takes():
    for kind, each in (("JPEG", 9), ("PNG", 9), ("WEBP", 18), ("JPEG2000", 25)):
        assert read_header(encoded(quarters(), kind)) == (kind, 800, 800 * each)
    assert read_header(encoded(quarters(), "JPEG", progressive=True)).decoding_bytes == 800 * 13
    with pytest.raises(ImageError, match="has more than 100 million pixels"):
        read_header(png_header(9500, 11_000))


def test_a_header_is_read_without_decoding():
    assert read_header(png_header(9999, 9999)).pixels == 9999**2  # holds no pixels
