"""What a user must mend is told in a sentence, without a traceback."""

import functools
import sys

import click

from yolo3.training.interrupt import Interrupted

INTERRUPTED_STATUS = 130  # as shells tell of Ctrl-C


def explain_errors(function):
    """Turn each ValueError that this project raises into one sentence and exit 1.

    A training that was asked to end has told so, and exits with 130.
    """

    @functools.wraps(function)
    def explained(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Interrupted:
            sys.exit(INTERRUPTED_STATUS)
        except ValueError as error:
            if type(error) is ValueError and error.__cause__ is None and _is_ours(error):
                raise click.ClickException(str(error)) from error
            if type(error).__module__.startswith("yolo3."):
                raise click.ClickException(str(error)) from error
            raise

    return explained


def _is_ours(error) -> bool:
    """Tell whether this project raised the error itself, rather than a library that it called."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    return frame.tb_frame.f_globals.get("__name__", "").startswith("yolo3.")
