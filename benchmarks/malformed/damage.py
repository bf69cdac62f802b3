"""Ways to damage what is valid: bytes, lines, numbers, trees; all drawn by hypothesis."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from functools import partial

from hypothesis import strategies as st

NUMBERS = [
    *(b"", b"0", b"-0", b"-1", b"1.5", b"1e5", b"1e400", b"-1e400", b"nan", b"NaN", b"-inf"),
    *(b"Infinity", b"1_0", b"0x10", b"9" * 19, b"9" * 5000, b"1e-320", b"99999", b"4294967296"),
    "\u0663".encode(),  # an Arabic three, which Python reads as a number
]
TOKENS = [
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b" ", b"\t", b",", b"=", b"'", b'"', b"#"),
    *(b"<", b"&lol;", b"]]>", b"<![CDATA[", b"--", b"{", b"[", b"]", b":", b"&a", b"*a", b"!!"),
    *(b"../../../etc/passwd", b"/etc/passwd", b"/dev/zero", b"C:\\x", b"\\\\host\\x", b"."),
    *(b"%s%n", b"${x}", b"$(x)", b"\x1b[2J", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80"),
    *(b"A" * 300, b"B" * 5000, b"[" * 3000, b"<a>" * 3000, b"1,1,1,1,1 " * 2000),
]
VALUES = [
    *(None, True, False, 0, -1, 1, 3, 1.5, 10**6, 10**9, 10**20, 10**400, -(10**9)),
    *(float("nan"), float("inf"), 1e308, "", "x", "\0", "../../x", "/etc/passwd", "é" * 300),
    *("9" * 5000, [], {}, [[]], [0] * 5000, {"class_name": "Lambda", "config": {}}, "Lambda"),
    *([None], "NaN", "\ud83d", "__class__", {"": 0}, ["a", 1, None]),
]
ENCODINGS = ("utf-16", "utf-32", "utf-8-sig", "cp1252", "utf-16-be")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")

Edit = Callable[[bytes], bytes]


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """Draw a text file like `data` with one fault of its text, or with up to three of any.

    One is often enough, and goes deeper: what is wrong first hides the rest.
    """
    number = st.builds(_with_number, _PLACE, st.sampled_from(NUMBERS)).map(lambda edit: [edit])
    token = st.builds(_with_token, _PLACE, st.sampled_from(TOKENS)).map(lambda edit: [edit])
    faults = st.one_of(number, token, st.lists(_edits(), min_size=1, max_size=3))
    return faults.map(partial(_apply, data))


def damaged_bytes(data: bytes, most: int = 2) -> st.SearchStrategy[bytes]:
    """Draw a binary file like `data` with bytes changed, cut out, or cut off."""
    faults = st.one_of(_flips(), _flips(), _cuts(), _ends(), _overwrites())
    return st.lists(faults, min_size=1, max_size=most).map(partial(_apply, data))


def with_number(data: bytes, numbers: list[int]) -> st.SearchStrategy[bytes]:
    """Draw a text file like `data` with one or two of its numbers replaced by some of `numbers`."""
    one = st.builds(_with_number, _PLACE, st.sampled_from([b"%d" % number for number in numbers]))
    return st.lists(one, min_size=1, max_size=2).map(partial(_apply, data))


def damaged_tree(tree: object, most: int = 3) -> st.SearchStrategy[bytes]:
    """Draw JSON like `tree` with values replaced, removed, repeated or nested."""
    change = st.tuples(_PLACE, st.sampled_from(["set", "set", "remove", "repeat", "nest"]), _VALUE)
    changes = st.lists(change, min_size=1, max_size=most)
    return changes.map(lambda drawn: _as_json(_changed(tree, drawn)))


def raw(most: int = 300) -> st.SearchStrategy[bytes]:
    """Draw any bytes, or any text."""
    return st.one_of(st.binary(max_size=most), st.text(max_size=most).map(_encoded))


_PLACE = st.integers(0, 0xFFFF).map(lambda number: number * 40503 & 0xFFFF)
"""A place in what is damaged, as a part of 2 ** 16; the small ones, often drawn, are spread."""
_VALUE = st.sampled_from(VALUES)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _apply(data: bytes, edits: list[Edit]) -> bytes:
    for edit in edits:
        data = edit(data)
    return data


def _edits() -> st.SearchStrategy[Edit]:
    return st.one_of(
        st.builds(_with_number, _PLACE, st.sampled_from(NUMBERS)),
        st.builds(_with_token, _PLACE, st.sampled_from(TOKENS)),
        st.builds(_with_lines, _PLACE, st.sampled_from(["remove", "repeat", "join", "reverse"])),
        st.builds(_in_encoding, st.sampled_from(ENCODINGS)),
        _flips(),
        _cuts(),
        _ends(),
    )


def _flips() -> st.SearchStrategy[Edit]:
    return st.builds(_with_byte, _PLACE, st.integers(0, 255))


def _cuts() -> st.SearchStrategy[Edit]:
    return st.builds(_without, _PLACE, st.integers(1, 64))


def _ends() -> st.SearchStrategy[Edit]:
    return st.builds(_until, _PLACE)


def _overwrites() -> st.SearchStrategy[Edit]:
    words = [b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff" * 8, bytes(8)]
    return st.builds(_overwritten, _PLACE, st.sampled_from(words))


def _with_byte(place: int, value: int) -> Edit:
    return lambda data: _spliced(data, place, 1, bytes([value]))


def _without(place: int, count: int) -> Edit:
    return lambda data: _spliced(data, place, count, b"")


def _until(place: int) -> Edit:
    return lambda data: data[: place * len(data) >> 16]


def _overwritten(place: int, word: bytes) -> Edit:
    return lambda data: _spliced(data, place, len(word), word)


def _with_token(place: int, token: bytes) -> Edit:
    return lambda data: _spliced(data, place, 0, token)


def _spliced(data: bytes, place: int, count: int, put: bytes) -> bytes:
    start = place * len(data) >> 16
    return data[:start] + put + data[start + count :]


def _with_number(place: int, number: bytes) -> Edit:
    def edit(data):
        found = list(NUMBER.finditer(data))
        if not found:
            return data + number
        one = found[place % len(found)]
        return data[: one.start()] + number + data[one.end() :]

    return edit


def _with_lines(place: int, how: str) -> Edit:
    def edit(data):
        lines = data.split(b"\n")
        at = place % len(lines)
        if how == "remove":
            del lines[at]
        elif how == "repeat":
            lines[at:at] = [lines[at]] * 3
        elif how == "join":
            lines[at : at + 2] = [b"".join(lines[at : at + 2])]
        else:
            lines.reverse()
        return b"\n".join(lines)

    return edit


def _in_encoding(name: str) -> Edit:
    return lambda data: data.decode("utf-8", "replace").encode(name, "replace")


def _changed(tree: object, changes: list[tuple]) -> object:
    tree = deepcopy(tree)
    for place, how, value in changes:
        tree = {"": tree}
        holders = list(_holders(tree))
        holder, key = holders[place % len(holders)]
        if how == "set":
            holder[key] = deepcopy(value)
        elif how == "nest":
            holder[key] = {"": [holder[key]]}
        elif how == "repeat" and isinstance(holder, list):
            holder[key:key] = [holder[key]] * 3
        elif holder is not tree:
            del holder[key]
        tree = tree[""]
    return tree


def _holders(value: object):
    """List all (list or dict, index or key) of a tree."""
    pairs = enumerate(value) if isinstance(value, list) else value.items()
    for key, item in pairs:
        yield value, key
        if isinstance(item, list | dict):
            yield from _holders(item)


def _as_json(tree: object) -> bytes:
    """Write a tree with whatever stands in it; a long number as such, not as Python would."""
    return json.dumps(tree).replace('"' + "9" * 5000 + '"', "9" * 5000).encode()
