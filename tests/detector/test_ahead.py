import threading
import time

import pytest

from yolo3.detector.ahead import ahead
from yolo3.detector.cores import usable_cores

MOST = 2 * usable_cores() + 1


def test_what_is_made_keeps_its_order():
    def make(number):
        time.sleep(0.002 * (number % 3))
        return number * 10

    assert list(ahead(make, range(40))) == [number * 10 for number in range(40)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_items(count):
    assert list(ahead(str, iter(range(count)))) == [str(number) for number in range(count)]


def test_it_is_made_in_other_threads_unless_there_is_one_item():
    def make(_):
        return threading.current_thread()

    assert list(ahead(make, [1])) == [threading.current_thread()]
    assert threading.current_thread() not in list(ahead(make, [1, 2, 3]))


def test_no_more_is_asked_for_than_is_needed_soon():
    asked = []

    def items():
        for number in range(100):
            asked.append(number)
            yield number

    made = ahead(str, items())
    assert asked == []
    for taken in range(1, 20):
        next(made)
        assert len(asked) <= taken + MOST
    made.close()
    assert len(asked) <= 20 + MOST


def test_an_error_comes_in_its_turn_and_ends_it():
    def make(number):
        if number == 3:
            raise ValueError("third")
        return number

    made = ahead(make, range(10))
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="third"):
        next(made)
    assert list(made) == []
