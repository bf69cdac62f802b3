"""Ctrl-C and SIGTERM as a request: the training ends at its next step, saves and logs."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

TOLD = b"\nends at the next step, saves and logs; Ctrl-C again ends at once\n"


class Interrupted(Exception):
    """Say that a training ended because it was asked to, and where."""


class StopRequest:
    """Tell whether the training was asked to end."""

    def __init__(self):
        self.made = False

    def __call__(self) -> bool:
        return self.made


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take Ctrl-C and SIGTERM as a request until the block ends.

    A second Ctrl-C ends at once, as it always does. A SIGTERM after the first changes nothing:
    `mlflow run` sends one to the process that the terminal has told already.
    Works in the main thread only, where Python handles signals; elsewhere nothing changes.
    """
    request = StopRequest()

    def on_interrupt(number, frame):
        if request.made:
            signal.default_int_handler(number, frame)
        request.made = True
        os.write(2, TOLD)  # print may be at work where the signal came

    def on_terminate(*_):
        request.made = True

    try:
        earlier = {
            signal.SIGINT: signal.signal(signal.SIGINT, on_interrupt),
            signal.SIGTERM: signal.signal(signal.SIGTERM, on_terminate),
        }
    except ValueError:  # not the main thread
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
