"""Checks a captured run of Kraken's WebSocket, v1 or v2, frame by frame: which checksums hold, what is missing.

A run is text, one frame a line, in any of these shapes, which the first line that is not empty decides:

- a session: `{"t": unix seconds, "d": "open" | "out" | "in" | "http", "m": frame}`, of which the `in` frames count,
- bare frames, in the order they came,
- samples: `{"from": ..., "m": frame}` or `{"doc": ..., "section": ..., "dir": ..., "m": frame}`. They are no run, so
  that they are only read: their checksums have no book to stand for.

The precision of a pair is read off the digits of all its levels in the run, because a JSON tool may have dropped
zeros at the ends; the checksum wants them back.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.protocols.kraken import book_v1, frames
from allstop.actors.protocols.kraken.book import DEPTHS, Book
from allstop.actors.protocols.kraken.events import (
    Balances,
    BookSnapshot,
    BookUpdate,
    Event,
    Executions,
    Heartbeat,
    InstrumentUpdate,
    MalformedFrame,
    MethodReply,
    Pong,
    SystemStatus,
    Ticker,
    Trade,
    UnknownFrame,
)
from allstop.actors.protocols.sequence import Sequence, Verdict
from allstop.actors.protocols.wire import UNREADABLE, DecodeError

LINE_CHARS_MAX: Final = 4_000_000  # a snapshot of all instruments is about 0.5 MB
LINES_MAX: Final = 5_000_000  # a run is held whole while it is checked: hours of one connection


class BadFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A line that did not hold: `reason` in words, `line` counted from 1."""

    line: int
    reason: str
    symbol: str | None = None


class SymbolVerdict(msgspec.Struct, frozen=True, kw_only=True):
    checksums_ok: int = 0
    checksums_bad: int = 0
    unchecked: int = 0  # book messages without a checksum, or before the first snapshot
    price_decimals: int = 0
    qty_decimals: int = 0


class CaptureVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a run holds. `events` counts what was read, by kind; `gaps` how many numbered messages are missing."""

    name: str
    frames: int
    checksums_ok: int
    checksums_bad: int
    unchecked: int
    gaps: int
    malformed: int
    unknown: int
    first_bad: BadFrame | None
    symbols: dict[str, SymbolVerdict]
    events: dict[str, int]

    @property
    def good(self) -> bool:
        return not (self.checksums_bad or self.gaps or self.malformed)


class _Line(msgspec.Struct):
    m: msgspec.Raw = msgspec.Raw()
    d: str | None = None
    dir: str | None = None


_line: Final = msgspec.json.Decoder(_Line)
_Read = tuple[int, tuple[Event, ...]]


def verify(lines: Iterable[str], *, name: str = "capture") -> CaptureVerdict:
    """The verdict over a run. Raises BadInput, naming the line, for what is no capture at all: a line that is not
    JSON, or nothing in it."""
    read, samples = _read(lines, name)
    if not read:
        raise BadInput(Problem("there is no frame in it", name))
    check = _Check(name, _precisions(read), samples)
    for line, events in read:
        for event in events:
            check.take(line, event)
    return check.verdict(len(read))


def _read(lines: Iterable[str], name: str) -> tuple[list[_Read], bool]:
    read: list[_Read] = []
    samples = False
    shape = None
    for index, raw in enumerate(lines, start=1):
        text = raw.strip().removeprefix("\ufeff")
        if not text:
            continue
        if len(text) > LINE_CHARS_MAX or index > LINES_MAX:
            raise BadInput(Problem("a line, or the whole, is longer than any capture", f"{name}:{index}"))
        found, frame = _unwrapped(text, f"{name}:{index}")
        shape = shape or found
        if found != shape:
            raise BadInput(Problem(f"a line of the shape {found!r} among {shape!r}", f"{name}:{index}"))
        samples = shape == "sample"
        if frame is not None:
            read.append((index, _decoded(frame)))
    return read, samples


def _unwrapped(text: str, place: str) -> tuple[str, str | None]:
    """The line's shape, and the frame that came in, if one did."""
    if text[0] == "[":
        return "frame", text
    try:
        line = _line.decode(text)
    except UNREADABLE as error:
        raise BadInput(Problem(f"not a JSON object or list: {error}", place)) from error
    if not bytes(line.m):
        return "frame", text
    frame = str(line.m, "utf-8")
    if line.d is not None:
        return "session", frame if line.d == "in" else None
    return "sample", None if line.dir == "out" else frame


def _decoded(frame: str) -> tuple[Event, ...]:
    if frame.lstrip()[:1] == "[" or ('"event"' in frame[:400] and '"channel":' not in frame[:400]):
        return book_v1.decode(frame)
    return frames.decode(frame)


def _precisions(read: list[_Read]) -> dict[str, tuple[int, int]]:
    precisions: dict[str, tuple[int, int]] = {}
    for _, events in read:
        for event in events:
            if isinstance(event, (BookSnapshot, BookUpdate)):
                price, qty = precisions.get(event.symbol, (0, 0))
                for level_price, level_qty in event.asks + event.bids:
                    price = max(price, book_v1.decimals(level_price))
                    qty = max(qty, book_v1.decimals(level_qty))
                precisions[event.symbol] = (price, qty)
    return precisions


class _Check:
    """The state of one verification: a book for each symbol, a sequence for each numbered channel, and counts."""

    def __init__(self, name: str, precisions: dict[str, tuple[int, int]], samples: bool) -> None:
        self._name = name
        self._precisions = precisions
        self._samples = samples
        self._depths: dict[str, int] = {}
        self._books: dict[str, Book] = {}
        self._sequences: dict[str, Sequence] = {}
        self._ok: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._unchecked: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._gaps = 0
        self._first_bad: BadFrame | None = None

    def take(self, line: int, event: Event) -> None:
        self._events[type(event).__name__] += 1
        match event:
            case BookSnapshot() | BookUpdate():
                self._book(line, event)
            case Executions(sequence=int(number)) | Balances(sequence=int(number)):
                self._numbered(line, type(event).__name__, number, event.snapshot)
            case UnknownFrame(channel=str(channel), sequence=int(number)):
                self._numbered(line, channel, number, number == 1)
            case MethodReply(method="subscribe", ok=True):
                self._subscribed(event)
            case MalformedFrame():
                self._blame(line, event.reason)
            case (
                MethodReply()
                | Executions()
                | Balances()
                | Heartbeat()
                | Pong()
                | SystemStatus()
                | Ticker()
                | Trade()
                | InstrumentUpdate()
                | UnknownFrame()
            ):
                pass

    def _subscribed(self, reply: MethodReply) -> None:
        depth = reply.result.get("depth")
        if reply.channel == "book" and reply.symbol and isinstance(depth, int):
            self._depths[reply.symbol] = depth

    def _book(self, line: int, change: BookSnapshot | BookUpdate) -> None:
        symbol = change.symbol
        if isinstance(change, BookSnapshot):
            self._books[symbol] = Book(self._depth(change), *self._precisions[symbol])
        book = self._books.get(symbol)
        if book is None or self._samples:
            self._unchecked[symbol] += 1
            return
        try:
            book.apply(change)
        except DecodeError as error:
            self._bad[symbol] += 1
            self._blame(line, str(error), symbol)
            return
        if change.checksum is None:
            self._unchecked[symbol] += 1
        elif change.checksum == book.checksum():
            self._ok[symbol] += 1
        else:
            self._bad[symbol] += 1
            self._blame(line, f"the book's checksum is {book.checksum()}, not {change.checksum}", symbol)

    def _depth(self, snapshot: BookSnapshot) -> int:
        """The depth of the acknowledgement; without one, the least depth that Kraken has for so many levels."""
        if (depth := self._depths.get(snapshot.symbol)) is not None:
            return depth
        levels = max(len(snapshot.asks), len(snapshot.bids))
        return next((depth for depth in DEPTHS if depth >= levels), DEPTHS[-1])

    def _numbered(self, line: int, channel: str, number: int, snapshot: bool) -> None:
        if self._samples:
            return
        before = Sequence() if snapshot else self._sequences.get(channel, Sequence())
        self._sequences[channel], arrival = before.seen(number)
        if arrival.verdict is Verdict.GAP:
            self._gaps += arrival.missing
            self._blame(line, f"{arrival.missing} messages of {channel} are missing before {number}")

    def _blame(self, line: int, reason: str, symbol: str | None = None) -> None:
        if self._first_bad is None:
            self._first_bad = BadFrame(line=line, reason=reason, symbol=symbol)

    def verdict(self, frame_count: int) -> CaptureVerdict:
        return CaptureVerdict(
            name=self._name,
            frames=frame_count,
            checksums_ok=self._ok.total(),
            checksums_bad=self._bad.total(),
            unchecked=self._unchecked.total(),
            gaps=self._gaps,
            malformed=self._events["MalformedFrame"],
            unknown=self._events["UnknownFrame"],
            first_bad=self._first_bad,
            symbols={
                symbol: SymbolVerdict(
                    checksums_ok=self._ok[symbol],
                    checksums_bad=self._bad[symbol],
                    unchecked=self._unchecked[symbol],
                    price_decimals=price,
                    qty_decimals=qty,
                )
                for symbol, (price, qty) in self._precisions.items()
            },
            events=dict(self._events),
        )
