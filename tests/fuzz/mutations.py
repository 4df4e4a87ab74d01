"""One bad input out of a good one: each kind of damage is a function of the text and of dice."""

import re
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

HUGE: Final = 10_000_000  # bytes of one frame: ten times what the links let through

NUMBERS: Final = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999999999", b"-1e999999999", b"1e-999999999", b"9" * 400,
    b"0." + b"0" * 300 + b"1", b"-0", b"-1", b"0", b"00", b"1.", b".5", b"1_000", b"18446744073709551616", b"1e25", b"1e-31",
    b'"NaN"', b'"1e5"', b'"-1"', b'""', b'" 1"', '"١"'.encode(), '"²"'.encode(), b'"0x10"', b'"1,5"',
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 2**63, 2**64, -(2**63), 1.5, 1e308, "", "x", "\x00", "\ud7ff", "a" * 5000, [], {}, [[]],
    [None], {"": None}, [[[[[[]]]]]], [1, 2, 3], {"result": {}}, "2026-13-45T99:99:99Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z", "sell", "NaN",
)  # fmt: skip
_NUMBER: Final = re.compile(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_KEY: Final = re.compile(rb'"([a-zA-Z_]+)":')

Mutation = Callable[[bytes, Random], bytes]


def truncated(text: bytes, dice: Random) -> bytes:
    return text[: dice.randrange(len(text) + 1)]


def flipped(text: bytes, dice: Random) -> bytes:
    """Some bits are others."""
    damaged = bytearray(text)
    for _ in range(dice.choice((1, 1, 2, 8))):
        if damaged:
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def cut_out(text: bytes, dice: Random) -> bytes:
    begin = dice.randrange(len(text) + 1)
    return text[:begin] + text[begin + dice.randrange(1, 40) :]


def inserted(text: bytes, dice: Random) -> bytes:
    at = dice.randrange(len(text) + 1)
    junk = dice.choice(
        (
            b"\x00",
            b"\xff\xfe",
            b"\xed\xa0\x80",
            b"\\",
            b'"',
            b"{",
            b"[",
            b"}",
            b",",
            b"\n",
            bytes(dice.randrange(256) for _ in range(9)),
        )
    )
    return text[:at] + junk + text[at:]


def another_number(text: bytes, dice: Random) -> bytes:
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    match = dice.choice(found)
    return text[: match.start()] + dice.choice(NUMBERS) + text[match.end() :]


def doubled_key(text: bytes, dice: Random) -> bytes:
    """A key stands twice, first with something else."""
    found = list(_KEY.finditer(text))
    if not found:
        return text
    match = dice.choice(found)
    value = msgspec.json.encode(dice.choice(VALUES))
    return text[: match.start()] + match[0] + value + b"," + text[match.start() :]


def another_type(text: bytes, dice: Random) -> bytes:
    """One value anywhere in it is of another type."""
    return _rebuilt(text, dice, lambda _: dice.choice(VALUES))


def nested(text: bytes, dice: Random) -> bytes:
    depth = dice.choice((5, 500, 5000, 200_000))
    opened, closed = dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opened * depth + b"1" + closed * dice.choice((depth, 0))
    found = list(_NUMBER.finditer(text))
    if not found or dice.random() < 0.2:
        return deep
    match = dice.choice(found)
    return text[: match.start()] + deep + text[match.end() :]


def dropped(text: bytes, dice: Random) -> bytes:
    """A key or an item is missing."""
    return _rebuilt(text, dice, lambda _: _MISSING)


def renamed(text: bytes, dice: Random) -> bytes:
    found = list(_KEY.finditer(text))
    if not found:
        return text
    match = dice.choice(found)
    return text[: match.start()] + b'"' + match[1][::-1] + b'x":' + text[match.end() :]


def repeated(text: bytes, dice: Random) -> bytes:
    """A list, or all of it, many times over."""
    return dice.choice((text + text, text + b"\n" + text, b"[" + text + b"," + text + b"]"))


_MISSING: Final = object()


def _rebuilt(text: bytes, dice: Random, change: Callable[[Any], Any]) -> bytes:
    """The text with one value of it changed; what is no JSON stays as it is."""
    try:
        value = msgspec.json.decode(text)
        places = _places(value)
        if not places:
            return msgspec.json.encode(change(value)) if change(value) is not _MISSING else b""
        holder, key = dice.choice(places)
        made = change(holder[key])
        if made is _MISSING:
            del holder[key]
        else:
            holder[key] = made
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo and len(found) < 5000:
        holder = todo.pop()
        keys = (
            list(holder)
            if isinstance(holder, dict)
            else range(len(holder))
            if isinstance(holder, list)
            else ()
        )
        for key in keys:
            found.append((holder, key))
            todo.append(holder[key])
    return found


MUTATIONS: Final[dict[str, Mutation]] = {
    f.__name__: f
    for f in (
        truncated, flipped, cut_out, inserted, another_number, doubled_key, another_type, nested, dropped, renamed, repeated,
    )
}  # fmt: skip


def mutated(text: bytes, dice: Random) -> tuple[str, bytes]:
    """One to three kinds of damage; their names and the outcome."""
    names: list[str] = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        name = dice.choice(list(MUTATIONS))
        text = MUTATIONS[name](text, dice)
        names.append(name)
    return "+".join(names), text
