"""Passwords and tokens, kept out of what is told and recorded."""

import os
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

HIDDEN = "***"
SHORTEST = 8  # characters of a secret in the environment: shorter ones are ordinary words, too

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):(/+)([^\s'\"<>]*)", re.IGNORECASE)
_SAID = re.compile(
    r"((?:password|passwd|pwd|token|secret|sig|signature|credential|api[_-]?key|access[_-]?key"
    r"|account[_-]?key)\s*=\s*)[^\s&;,'\"]+",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(
    "PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|CONNECTION_STRING|(API|ACCESS|ACCOUNT)_?KEY|_SAS"
)
_WITHOUT_HOST = ("file", "sqlite")  # such an address goes on with a path, which may hold an @


def redact(text: str) -> str:
    """Hide in a text whatever looks like a secret.

    That is what an address holds before its host and after its `?`, what is set by a word such as
    password=, and the values of environment variables that are called so.
    """
    known = [value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)]
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN).replace(quote(value, safe=""), HIDDEN)
    return _SAID.sub(rf"\1{HIDDEN}", _ADDRESS.sub(_plain_address, text))


def redacted(value: object) -> object:
    """Copy plain values, each text in them with its secrets hidden."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def holds_secret(text: str) -> bool:
    """Tell whether there is something to hide in a text."""
    return redact(text) != text


def refuse_secrets(settings: Mapping[str, object], allowed: Sequence[str] = ()) -> None:
    """Raise ValueError for a setting that holds a secret, but for those that may be an address."""
    for name, value in settings.items():
        text = str(value) if isinstance(value, str | os.PathLike) else ""
        if name not in allowed and holds_secret(text):
            raise ValueError(
                f"{name} is {redact(text)}: it holds a password or token, which would be recorded;"
                " expected a path or name without one"
            )


def _plain_address(found: re.Match) -> str:
    scheme, slashes, rest = found.groups()
    before, at, after = rest.rpartition("@")
    if at and _is_secret(scheme.lower(), slashes, before):
        rest = f"{HIDDEN}@{after}"
    place, mark, _ = rest.partition("?")
    return f"{scheme}:{slashes}{place}{f'?{HIDDEN}' if mark else ''}"


def _is_secret(scheme: str, slashes: str, before: str) -> bool:
    """Tell a password or token before a host from a container, a login name, or a model's alias."""
    if scheme in _WITHOUT_HOST and len(slashes) != 2:
        return False
    return ":" in before or scheme.startswith(("http", "git+http"))
