"""How the simulated Kraken writes numbers, times and ids. Written from the documentation, apart from our own codec."""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def number(value: Decimal) -> msgspec.Raw:
    """A JSON number with exactly the digits of the Decimal, never in exponent form."""
    return msgspec.Raw(format(value, "f").encode())


@lru_cache(maxsize=4096)  # a list of open orders says the same amounts again and again
def fixed(value: Decimal, decimals: int) -> str:
    """The value with this many decimals, as REST writes amounts. Nothing is never below zero."""
    return format(value.quantize(step(decimals)) + 0, "f")


@lru_cache(maxsize=64)
def step(decimals: int) -> Decimal:
    """The smallest amount with this many decimals."""
    return Decimal(1).scaleb(-decimals)


def encode(value: object) -> str:
    return _encoder.encode(value).decode()


def decode(text: str | bytes) -> Any:
    """JSON with its numbers as Decimal or int. Raises ValueError, for what is nested too deeply, too."""
    try:
        return json.loads(text, parse_float=Decimal)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def decimal_of(value: object) -> Decimal | None:
    """A finite Decimal from what a request carried (text, int or Decimal), or None when it is no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        read = Decimal(value)
    except InvalidOperation:
        return None
    return read if read.is_finite() else None


@lru_cache(maxsize=64)  # what is said in one moment is several frames
def rfc3339(wall_ns: int) -> str:
    """2023-09-21T14:15:07.197274Z"""
    seconds, ns = divmod(wall_ns, 1_000_000_000)
    return f"{_second(seconds)}.{ns // 1000:06d}Z"


@lru_cache(maxsize=64)  # what is said within one second is many frames
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def rfc3339_seconds(wall_ns: int) -> str:
    """2023-09-21T14:15:07Z"""
    return f"{datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def wall_of(text: str) -> int | None:
    """Nanoseconds of an RFC 3339 time with a zone, or None."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    if read.tzinfo is None:
        return None
    delta = read - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


def unix(wall_ns: int) -> msgspec.Raw:
    """A unix time with four decimals, as REST writes opentm."""
    return msgspec.Raw(f"{wall_ns // 1_000_000_000}.{wall_ns % 1_000_000_000 // 100_000:04d}".encode())


class Codes:
    """Venue ids such as OUF4EM-FRGI2-MQMWZD: the same for the same seed, never the same twice."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        digest = hashlib.sha256(f"{self._seed}:{self._count}".encode()).digest()
        letters = "".join(_ALPHABET[byte & 31] for byte in digest[:17])
        letters = (prefix + letters)[:17]
        return f"{letters[:6]}-{letters[6:11]}-{letters[11:17]}"

    def count(self) -> int:
        """The next number of the same sequence, for ids that are numbers."""
        self._count += 1
        return self._count
