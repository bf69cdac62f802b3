"""Azure's packages, which the training environment does not carry."""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_CHATTER = "azure.ai.ml._utils._experimental"  # tells at each load which of its schemas are new


class DeployError(ValueError):
    """Say which step of a deployment failed, and why."""


def need(module: str, extra: str) -> ModuleType:
    """Import a module of an extra; DeployError names the extra where it is not installed."""
    logging.getLogger(_CHATTER).setLevel(logging.ERROR)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DeployError(
            f"{module} cannot be imported ({error}): install the extra {extra!r}, as with"
            f' pip install -e ".[{extra}]" in the project'
        ) from error


@contextmanager
def step(what: str) -> Iterator[None]:
    """Turn whatever Azure's packages raise into a sentence that begins with what was tried."""
    try:
        yield
    except DeployError:
        raise
    except Exception as error:  # azure.core, azure.identity and azure.ai.ml share no base class
        raise DeployError(f"{what}: {_short(error)}") from error


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:1000] or type(error).__name__
