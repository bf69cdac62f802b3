import pytest

from yolo3.training import precision
from yolo3.training.precision import choose_precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx2", "avx512f"}, "float32"),
        (set(), "float32"),
        ({"avx512f", "avx512_bf16"}, "mixed_bfloat16"),
        ({"amx_bf16"}, "mixed_bfloat16"),
    ],
)
def test_auto_follows_the_units_of_the_processor(monkeypatch, flags, expected):
    monkeypatch.setattr(precision, "processor", lambda: ("a processor", flags))
    assert choose_precision("auto") == expected


@pytest.mark.parametrize("given", ["float32", "mixed_bfloat16"])
def test_what_is_asked_for_is_taken(monkeypatch, given):
    for flags in (set(), {"avx512_bf16"}):
        monkeypatch.setattr(precision, "processor", lambda flags=flags: ("a processor", flags))
        assert choose_precision(given) == given
