"""A semaphore that is fair: Python's own may let a thread wait while others pass it by."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class FairSemaphore:
    """Let threads take parts of an amount, in order of arrival: a large part is not passed by."""

    def __init__(self, amount: float):
        self.amount = self._free = amount
        self._lock = threading.Lock()
        self._waiting: deque = deque()  # of (part, a lock that is released when it is theirs)

    @contextmanager
    def take(self, part: float = 1, timeout: float = threading.TIMEOUT_MAX) -> Iterator[None]:
        """Hold a part, at most the amount, for a block; TimeoutError if it is not free in time."""
        self._acquire(part, timeout)
        try:
            yield
        finally:
            self._release(part)

    def _acquire(self, part: float, timeout: float) -> None:
        with self._lock:
            if not self._waiting and part <= self._free:
                self._free -= part
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((part, turn))
        try:
            if not turn.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX))):
                raise TimeoutError
        except BaseException:  # also Ctrl-C
            self._withdraw(part, turn)
            raise

    def _withdraw(self, part: float, turn: threading.Lock) -> None:
        with self._lock:
            if (part, turn) in self._waiting:
                self._waiting.remove((part, turn))
                part = 0.0  # it was not theirs yet; those behind may have waited for them alone
        self._release(part)

    def _release(self, part: float) -> None:
        with self._lock:
            self._free += part
            while self._waiting and self._waiting[0][0] <= self._free:
                next_part, turn = self._waiting.popleft()
                self._free -= next_part
                turn.release()
