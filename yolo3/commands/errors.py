"""What a user must mend is told in a sentence, without a traceback."""

import functools
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import click

from yolo3.commands.preflight import check_settings
from yolo3.tracking.secrets import holds_secret, redact
from yolo3.training.interrupt import Interrupted

INTERRUPTED_STATUS = 130  # as shells tell of Ctrl-C


def explain_errors(function, status: int = 1):
    """Turn each ValueError that this project raises into one sentence and exit with a status.

    So does a setting that the command cannot use, which is looked at first. A training that was
    asked to end has told so, and exits with 130.
    Passwords and tokens are hidden in it, and in the traceback of any other error.
    """

    @functools.wraps(function)
    def explained(*args, **kwargs):
        try:
            check_settings()
            return function(*args, **kwargs)
        except Interrupted:
            sys.exit(INTERRUPTED_STATUS)
        except ValueError as error:
            plain = type(error) is ValueError and error.__cause__ is None and _is_ours(error)
            if plain or type(error).__module__.startswith("yolo3."):
                explanation = click.ClickException(redact(str(error)))
                explanation.exit_code = status
                raise explanation from error
            _raise_redacted(error, status)
        except Exception as error:
            _raise_redacted(error, status)

    return explained


def _raise_redacted(error: Exception, status: int) -> NoReturn:
    """Raise an error again; print it where Python's own way tells a secret or another status."""
    plain = status == 1 or isinstance(error, click.ClickException)
    if plain and not any(holds_secret(text) for text in _messages(error)):
        raise error
    click.echo(redact("".join(traceback.format_exception(error))), err=True)
    raise SystemExit(status) from None


def _messages(error: BaseException | None) -> Iterator[str]:
    """Give what an error says, and all that it came from."""
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _is_ours(error) -> bool:
    """Tell whether this project raised the error itself, rather than a library that it called.

    What MLflow says of an environment variable is as good as ours: it names it and what it expects.
    """
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    name = frame.tb_frame.f_globals.get("__name__", "")
    return name.startswith("yolo3.") or name == "mlflow.environment_variables"
