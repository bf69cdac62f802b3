import numpy as np
import pytest
from PIL import Image

from yolo3.data import decoding
from yolo3.data.decoding import BACKGROUND, to_rgb


def images():
    rng = np.random.default_rng(0)
    rgba = Image.fromarray(rng.integers(0, 256, (40, 70, 4), np.uint8))
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    shades = np.asarray(grey)
    palette, keyed = rgb.quantize(9), rgb.copy()
    palette.info["transparency"] = bytes(range(9))
    keyed.info["transparency"] = rgb.getpixel((3, 3))
    return {
        "RGBA": rgba,
        "LA": rgba.convert("LA"),
        "P": palette,
        "RGB with one clear colour": keyed,
        "I;16": Image.fromarray(shades.astype(np.uint16) * 257),
        "I;16 of 12 bits": Image.fromarray(shades.astype(np.uint16) * 16),
        "I": Image.fromarray(shades.astype(np.int32) * 999),
        "F": Image.fromarray(shades.astype(np.float32)),
    }


@pytest.mark.parametrize("name", images())
def test_blocks_give_what_the_whole_gives(name, monkeypatch):
    image = images()[name]
    whole = to_rgb(image)
    assert whole.mode == "RGB" and len(set(whole.get_flattened_data())) > 5
    monkeypatch.setattr(decoding, "_BLOCK", 16)
    assert to_rgb(image).tobytes() == whole.tobytes()


def test_transparency_is_composed_as_pillow_does():
    image = images()["RGBA"]
    white = Image.new("RGBA", image.size, BACKGROUND)
    expected = Image.alpha_composite(white, image).convert("RGB")
    assert to_rgb(image).tobytes() == expected.tobytes()
