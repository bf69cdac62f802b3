"""Work that several threads do ahead of who takes it, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from yolo3.detector.cores import usable_cores

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(make: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """Yield what `make` makes of each item, in order, made in as many threads as there are cores.

    At most two to a core are made and not taken yet; the items are asked for one by one, here.
    An error comes where its item's turn is. A single item needs no thread.
    """
    remaining = iter(items)
    first = list(islice(remaining, 2))
    if len(first) < 2:
        yield from map(make, first)
        return
    cores = usable_cores()
    waiting: deque = deque()
    pool = ThreadPoolExecutor(cores)
    try:
        for item in chain(first, remaining):
            waiting.append(pool.submit(make, item))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
