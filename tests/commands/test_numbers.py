import click
import pytest

from yolo3.commands.numbers import FiniteRange


@pytest.mark.parametrize("given", ["nan", "inf", "-inf", "1e999"])
def test_numbers_that_no_bound_refuses_are_refused(given):
    with pytest.raises(click.BadParameter, match=f"{given} is not a finite number"):
        FiniteRange().convert(given, None, None)


def test_bounds_hold_as_in_click():
    within = FiniteRange(0, 1, max_open=True)
    assert within.convert("0.5", None, None) == 0.5
    for given in ("1", "-0.1", "inf", "one"):
        with pytest.raises(click.BadParameter):
            within.convert(given, None, None)
