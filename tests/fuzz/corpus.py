"""Every captured text, by where it stands: what the fuzzers begin with."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

CAPTURES = Path(__file__).parent.parent / "captures" / "kraken"


class Sample(NamedTuple):
    """One text as it came over the wire. `place` is file and line; `status` the HTTP status of a REST body."""

    place: str
    text: bytes
    status: int = 200


class _Line(msgspec.Struct):
    m: msgspec.Raw = msgspec.Raw()
    d: str | None = None
    body: msgspec.Raw = msgspec.Raw()
    body_text: str | None = None
    status: Any = 200  # a bare frame may have a word here


_line = msgspec.json.Decoder(_Line)


def wrapped(raw: bytes) -> _Line | None:
    """A line of a capture that wraps its frame; None for a bare frame."""
    if raw[:1] != b"{":
        return None
    line = _line.decode(raw)
    return line if bytes(line.m) or bytes(line.body) or line.body_text is not None else None


@lru_cache(maxsize=1)
def frames() -> tuple[Sample, ...]:
    """Every frame of every captured WebSocket file, those that the client sent too: they are not documented as
    answers, and must not hurt either."""
    return tuple(_frames())


def _frames() -> Iterator[Sample]:
    for path in sorted((CAPTURES / "ws").glob("*.ndjson")):
        for number, raw in enumerate(path.read_bytes().splitlines(), 1):
            if not raw.strip():
                continue
            line = wrapped(raw)
            text = bytes(line.m) if line is not None and bytes(line.m) else raw
            yield Sample(f"{path.name}:{number}", text)


@lru_cache(maxsize=1)
def bodies() -> tuple[Sample, ...]:
    """Every captured REST body."""
    return tuple(_bodies())


def _bodies() -> Iterator[Sample]:
    for path in sorted((CAPTURES / "rest").glob("*")):
        if path.suffix == ".json":
            raw = path.read_bytes()
            line = wrapped(raw)
            yield Sample(path.name, raw) if line is None else _body(path.name, line)
        elif path.suffix == ".ndjson":
            for number, raw in enumerate(path.read_bytes().splitlines(), 1):
                line = wrapped(raw)
                assert line is not None, f"{path.name}:{number} wraps no body"
                yield _body(f"{path.name}:{number}", line)


def _body(place: str, line: _Line) -> Sample:
    text = bytes(line.body) or (line.body_text or "").encode()
    if text[:1] == b'"':  # a body that is no JSON object was written down as its text
        text = str(msgspec.json.decode(text)).encode()
    return Sample(place, text, line.status)


def kinds(samples: tuple[Sample, ...], each: int) -> tuple[Sample, ...]:
    """At most so many samples of each shape: the long runs of books are one shape said thousands of times."""
    seen: dict[tuple[Any, ...], int] = {}
    kept: list[Sample] = []
    for sample in samples:
        shape = (sample.place.partition(":")[0], _shape(sample.text))
        seen[shape] = seen.get(shape, 0) + 1
        if seen[shape] <= each:
            kept.append(sample)
    return tuple(kept)


def _shape(text: bytes) -> object:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError):
        return None
    match value:
        case dict():
            return (
                tuple(sorted(map(str, value))),
                value.get("channel"),
                value.get("method"),
                value.get("type"),
            )
        case list():
            return (len(value), value[-2] if len(value) > 1 and isinstance(value[-2], str) else "")
        case _:
            return type(value).__name__
