import threading

import pytest

from yolo3.detector.fair_semaphore import FairSemaphore


def queued(semaphore, part, served, name):
    """Start a thread that takes a part, and return when it waits."""

    def take():
        with semaphore.take(part, 30):
            served.append(name)

    before = len(semaphore._waiting)
    thread = threading.Thread(target=take)
    thread.start()
    while thread.is_alive() and len(semaphore._waiting) == before:
        pass
    return thread


def test_threads_are_served_in_order_of_arrival():
    semaphore, served = FairSemaphore(1), []
    with semaphore.take():
        threads = [queued(semaphore, 1, served, number) for number in range(8)]
    with semaphore.take(timeout=30):  # who gives back and asks again does not pass those who wait
        assert served == list(range(8))
    for thread in threads:
        thread.join()


def test_a_small_part_does_not_pass_a_large_one():
    semaphore, served = FairSemaphore(10), []
    with semaphore.take(4):
        threads = [queued(semaphore, 10, served, "large"), queued(semaphore, 1, served, "small")]
        assert served == []
    for thread in threads:
        thread.join()
    assert served == ["large", "small"]


def test_who_gives_up_lets_those_behind_come():
    semaphore, served = FairSemaphore(10), []
    with semaphore.take(4):
        with pytest.raises(TimeoutError), semaphore.take(7, timeout=0.01):
            pass
        with semaphore.take(6, timeout=0):
            pass
        large = threading.Thread(target=lambda: pytest.raises(TimeoutError, taken, semaphore, 7))
        large.start()
        while not semaphore._waiting:
            pass
        queued(semaphore, 6, served, "small").join()
        large.join()
    assert served == ["small"]
    with semaphore.take(10, timeout=0):
        pass


def taken(semaphore, part):
    with semaphore.take(part, timeout=0.2):
        pass


def test_an_error_gives_the_part_back():
    semaphore = FairSemaphore(1)
    with pytest.raises(KeyError), semaphore.take():
        raise KeyError
    with semaphore.take(timeout=0):
        pass
