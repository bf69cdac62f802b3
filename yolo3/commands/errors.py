"""What a user must mend is told in a sentence, without a traceback."""

import functools
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import click

from yolo3.tracking.secrets import holds_secret, redact
from yolo3.training.interrupt import Interrupted

INTERRUPTED_STATUS = 130  # as shells tell of Ctrl-C


def explain_errors(function):
    """Turn each ValueError that this project raises into one sentence and exit 1.

    A training that was asked to end has told so, and exits with 130.
    Passwords and tokens are hidden in it, and in the traceback of any other error.
    """

    @functools.wraps(function)
    def explained(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Interrupted:
            sys.exit(INTERRUPTED_STATUS)
        except ValueError as error:
            plain = type(error) is ValueError and error.__cause__ is None and _is_ours(error)
            if plain or type(error).__module__.startswith("yolo3."):
                raise click.ClickException(redact(str(error))) from error
            _raise_redacted(error)
        except Exception as error:
            _raise_redacted(error)

    return explained


def _raise_redacted(error: Exception) -> NoReturn:
    """Raise an error again; where its traceback holds a secret, print it without, and exit 1."""
    if not any(holds_secret(text) for text in _messages(error)):
        raise error
    click.echo(redact("".join(traceback.format_exception(error))), err=True)
    raise SystemExit(1) from None


def _messages(error: BaseException | None) -> Iterator[str]:
    """Give what an error says, and all that it came from."""
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _is_ours(error) -> bool:
    """Tell whether this project raised the error itself, rather than a library that it called."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    return frame.tb_frame.f_globals.get("__name__", "").startswith("yolo3.")
