"""The text of a `.cfg`: sections of `key=value`, each value checked where it stands."""

import re
from dataclasses import dataclass, field
from pathlib import Path

_WHOLE = re.compile(r"[+-]?\d{1,9}")
MOST = 99_999
"""No number of a network is larger; what is, makes a network that no machine holds."""


class CfgError(ValueError):
    """Say what in a cfg cannot be read, with file and line, and what is accepted."""


@dataclass(frozen=True)
class Option:
    """One `key=value`: the value, stripped, and its line from 1."""

    text: str
    line: int


@dataclass
class Section:
    """One `[kind]` and its options; remembers which of them were read."""

    file: str
    kind: str
    line: int
    options: dict[str, Option] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def error(self, text: str, key: str = "") -> CfgError:
        """Make an error at the line of an option, or of the section."""
        option = self.options.get(key)
        return CfgError(f"{self.file}:{option.line if option else self.line}: {text}")

    def integer(self, key: str, default: int | None = None, least: int = 0) -> int:
        """Read a whole number; without a default the option must be there."""
        text = self._text(key, default)
        if not _WHOLE.fullmatch(text) or not least <= int(text) <= MOST:
            expected = f"a whole number from {least} to {MOST}"
            raise self.error(f"[{self.kind}] has {key}={text[:40]}, expected {expected}", key)
        return int(text)

    def flag(self, key: str) -> bool:
        """Read 0 or 1, 0 where it is left out."""
        return self.choice(key, ("0", "1"), "0") == "1"

    def choice(self, key: str, accepted: tuple[str, ...], default: str) -> str:
        """Read one of a few words."""
        text = self._text(key, default)
        if text not in accepted:
            expected = " or ".join(accepted)
            raise self.error(f"[{self.kind}] has {key}={text}, expected {expected}", key)
        return text

    def integers(self, key: str, default: str | None = None) -> tuple[int, ...]:
        """Read whole numbers between commas, at least one."""
        words = self._words(key, default)
        if not words or not all(map(_WHOLE.fullmatch, words)):
            shown = self._text(key, default)[:200]
            raise self.error(f"[{self.kind}] has {key}={shown}, expected whole numbers", key)
        return tuple(int(word) for word in words)

    def sizes(self, key: str) -> tuple[tuple[float, float], ...]:
        """Read pairs of positive numbers, `w,h, w,h, …`, at least one."""
        words = self._words(key, None)
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if not numbers or len(numbers) % 2 or not all(0 < n < 1e5 for n in numbers):
            shown = self._text(key, None)[:200]
            text = f"[{self.kind}] has {key}={shown}, expected positive w,h, w,h, … in pixels"
            raise self.error(text, key)
        return tuple(zip(numbers[0::2], numbers[1::2], strict=True))

    def neutral(self, **values: float) -> None:
        """Accept options that change what a layer computes only where they change nothing."""
        for key, value in values.items():
            self.read.add(key)
            if key in self.options and not _equals(self.options[key].text, value):
                text = self.options[key].text
                raise self.error(
                    f"[{self.kind}] has {key}={text}, which is not supported, expected {value:g}"
                    " or no such line",
                    key,
                )

    def ignore(self, keys: tuple[str, ...]) -> None:
        """Pass over options that only training reads."""
        self.read.update(keys)

    def finish(self) -> None:
        """Raise CfgError for the first option that nobody read."""
        for key in self.options:
            if key not in self.read:
                accepted = ", ".join(sorted(self.read))
                text = f"[{self.kind}] has {key}, which is not supported, accepted are {accepted}"
                raise self.error(text, key)

    def _text(self, key, default):
        self.read.add(key)
        if key in self.options:
            return self.options[key].text
        if default is None:
            raise self.error(f"[{self.kind}] has no {key}, expected {key}=…")
        return str(default)

    def _words(self, key, default):
        return [word for word in self._text(key, default).split(",") if word]


def read_sections(path: Path) -> list[Section]:
    """Read a cfg's sections in their order; lines that begin with # or ; are comments.

    Blanks within a line count for nothing, as in Darknet. Raises CfgError.
    """
    sections: list[Section] = []
    for number, line in enumerate(_text_of(path).splitlines(), 1):
        text = "".join(line.split("#")[0].split())
        if not text or text.startswith(";"):
            continue
        if match := re.fullmatch(r"\[(\w+)\]", text):
            sections.append(Section(str(path), match[1], number))
            continue
        key, equals, value = text.partition("=")
        if not (equals and key and value):
            shown = line.strip()[:40]
            raise CfgError(f"{path}:{number}: expected [section] or key=value, got {shown!r}")
        if not sections:
            raise CfgError(
                f"{path}:{number}: {key} stands before the first section, expected [net]"
            )
        _add(sections[-1], key, Option(value, number))
    return sections


def _add(section, key, option):
    """Keep an option; a second one with another value is an error, but in [net]'s many settings."""
    first = section.options.setdefault(key, option)
    if first.text != option.text and (section.kind != "net" or key in ("width", "height")):
        raise CfgError(
            f"{section.file}:{option.line}: {key}={option.text}, but line {first.line} says "
            f"{key}={first.text}, expected one of them"
        )


def _text_of(path):
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CfgError(f"{path}: cannot read the cfg: {error.strerror}") from None
    if b"\0" in data:
        raise CfgError(f"{path}: is no text, expected a Darknet cfg (is it the weights file?)")
    return data.decode("utf-8-sig", errors="replace")


def _equals(text, value):
    try:
        return float(text) == value
    except ValueError:
        return False
