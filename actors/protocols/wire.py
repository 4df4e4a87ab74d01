"""What every venue codec needs at the boundary: exact finite numbers, times without floats, one typed error."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import msgspec

from allstop.actors.errors import AllstopError

# Powers of ten beyond any price or size of any venue, and small enough that no arithmetic can eat the memory:
# Decimal("1e999999999") is finite, and int() of it is a gigabyte of digits.
ADJUSTED_MIN: Final = -30
ADJUSTED_MAX: Final = 24
# JSON's numbers, and no more: Decimal also takes "1_0", " 1" and other alphabets' digits.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
DIGITS_MAX: Final = 48  # characters of one number on the wire; Kraken's longest is under 24

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What decoding a text that somebody else wrote can raise, and nothing more."""


class DecodeError(AllstopError):
    """The venue's text is not what its documentation says. Nothing of it was used."""

    def __init__(self, what: str, text: str = "") -> None:
        super().__init__(f"{what}: {text[:200]!r}" if text else what)
        self.what = what
        self.text = text


def number(text: str | int | Decimal) -> Decimal:
    """An exact, finite Decimal of bounded size. Raises DecodeError for anything else, `NaN` and `Infinity` too:
    msgspec and Decimal take those without a word."""
    if isinstance(text, str) and (len(text) > DIGITS_MAX or not _NUMBER.fullmatch(text)):
        raise DecodeError("not a number", text)
    try:
        value = Decimal(text)
    except (InvalidOperation, ValueError, TypeError) as error:
        raise DecodeError("not a number", str(text)) from error
    if not value.is_finite() or (value and not ADJUSTED_MIN <= value.adjusted() <= ADJUSTED_MAX):
        raise DecodeError("not a finite number of sensible size", str(text))
    return value


def plain(value: Decimal) -> str:
    """The digits of a Decimal without an exponent, as venues want them. Raises DecodeError for NaN and infinities."""
    if not value.is_finite():
        raise DecodeError("not a finite number", str(value))
    return format(value, "f")


def json_number(value: Decimal) -> msgspec.Raw:
    """A Decimal as a JSON number with exactly its digits."""
    return msgspec.Raw(plain(value).encode())


def decimal_object(text: bytes | str) -> Any:
    """Any JSON, with its fractions as Decimals. Raises DecodeError."""
    try:
        return _objects.decode(text)
    except UNREADABLE as error:
        raise DecodeError(f"not JSON ({error})", _shown(text)) from error


_objects = msgspec.json.Decoder(float_hook=Decimal)


def _shown(text: bytes | str) -> str:
    return text[:200].decode("utf-8", "replace") if isinstance(text, bytes) else text[:200]


def seconds_to_ns(value: object) -> int:
    """Unix seconds, as an int, a Decimal or their text, to nanoseconds, exactly. None and 0 are 0."""
    if value is None:
        return 0
    if not isinstance(value, (str, int, Decimal)):
        raise DecodeError("not a time", repr(value))
    return int(number(value) * 1_000_000_000)


def rfc3339(wall_ns: int) -> str:
    """Nanoseconds since 1970 as UTC text with milliseconds, rounded down: a deadline is never later than meant."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def rfc3339_ns(text: str) -> int:
    """RFC 3339 text with any number of fraction digits to nanoseconds since 1970. Raises DecodeError."""
    try:
        whole, dot, fraction = text.partition(".")
        if dot:
            digits = fraction.rstrip("Z")
            if fraction[len(digits) :] != "Z" or not (digits.isascii() and digits.isdigit()):
                raise DecodeError("not a UTC time", text)
            rest = int(digits[:9].ljust(9, "0"))
            return _moment_ns(whole + "+00:00") + rest
        return _moment_ns(text)
    except (ValueError, OverflowError) as error:
        raise DecodeError("not a time", text) from error


@lru_cache(maxsize=64)  # what is said within one second begins alike
def _moment_ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise DecodeError("a time without a zone", text)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
