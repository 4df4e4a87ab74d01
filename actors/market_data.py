"""Public market data: one actor per pair keeps the book, checked frame by frame, and says how fresh it is.

A book that fails its checksum is questionable at once: it is not shown as good any more, its pair's data is not
fresh, and it is subscribed anew. The third failure in a minute is an exit. A book that is right but silent for longer
than `book_silence_max_s` is stale. While either holds, the pair's scopes have this actor's vote for CACHED_DATA; it is
withdrawn by the snapshot or update that proves the data again.
"""

from collections.abc import Callable, Coroutine
from collections.abc import Sequence as Many
from decimal import Decimal
from typing import Any

import msgspec

from allstop.actors.call_reports import call_failed, call_succeeded
from allstop.actors.channels import ChannelConnection, Listener, NoAck, SubscribeChannel
from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.errors import AllstopError, Category, Fatal, Refused, Remedy
from allstop.actors.exits import Exit
from allstop.actors.instruments import Instrument
from allstop.actors.levels import CastVote, Level, Scope, Vote, WithdrawVote
from allstop.actors.limits.fault_window import FaultWindow
from allstop.actors.limits.lanes import Lane
from allstop.actors.protocols.kraken.book import Book
from allstop.actors.protocols.kraken.events import (
    BookSnapshot,
    BookUpdate,
    MalformedFrame,
    MethodReply,
    Ticker,
    Trade,
)
from allstop.actors.protocols.wire import DecodeError
from allstop.actors.runtime import ActorDead, CallTimeout, Mailbox, MailboxFull, Overflow, Ref, Timer

__all__ = ["BookView", "DataFault", "DataStats", "Freshness", "GetBook", "GetDataStats", "PairData", "PublicConnection",
           "SubscribeBook", "Tick"]  # fmt: skip

CHANNELS = ("book", "ticker", "trade")
SUBSCRIBERS_MAX = 1000  # strategies on one pair
SHOWN_LEVELS = 10  # of each side, in a BookView: as many as the checksum proves


class PublicConnection(ChannelConnection):
    """The public connection: nothing but channels. It leaves connects to the private side (see limits/connects)."""

    def __init__(self, *, connect_lane: Lane = Lane.ENTRY, **connection: Any) -> None:
        super().__init__(connect_lane=connect_lane, **connection)


class DataFault(AllstopError):
    """The data of a pair cannot be believed: three bad checksums in a minute, or its subscription was refused."""


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """The book of a pair. `good`: checked, and not silent for too long. `at_s` is when its last frame came."""

    pair: str
    good: bool
    bids: tuple[tuple[Decimal, Decimal], ...] = ()
    asks: tuple[tuple[Decimal, Decimal], ...] = ()
    at_s: float = 0.0
    ts_ns: int = 0


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The last price of a pair, from its trades or its ticker, whichever was told last."""

    pair: str
    last: Decimal
    at_s: float
    ts_ns: int = 0


class SubscribeBook(msgspec.Struct, frozen=True, kw_only=True):
    """Tell my path BookView and Tick from now on: the newest at most every `publish_interval_s`. Answered with the
    BookView as it stands."""

    path: str


class GetBook(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with a BookView."""


class GetDataStats(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with a DataStats."""


class DataStats(msgspec.Struct, frozen=True, kw_only=True):
    pair: str
    frames_in: int
    checksums_ok: int
    checksums_bad: int
    resubscribes: int
    dropped: int  # views that a full subscriber did not take
    fresh: bool


class Freshness:
    """Which pairs' data is proven fresh: written by their actors, read by whoever decides on an entry. A plain object,
    because that decision must not wait for an answer."""

    __slots__ = ("_fresh",)

    def __init__(self) -> None:
        self._fresh: dict[str, bool] = {}

    def mark(self, pair: str, *, fresh: bool) -> None:
        self._fresh[pair] = fresh

    def __call__(self, pair: str) -> bool:
        return self._fresh.get(pair, False)


class _Look(msgspec.Struct, frozen=True):
    """To itself: is the data still fresh?"""


class _Publish(msgspec.Struct, frozen=True):
    """To itself: tell the subscribers what changed."""


class _SnapshotDue(msgspec.Struct, frozen=True):
    round: int


class PairData(Listener):
    """One pair's book, ticker and trades. `vote` takes CastVote and WithdrawVote (a Ref's `tell`, or any callable);
    `scopes` are the instrument's scopes that its data serves, one per account."""

    # A burst of a busy pair is some hundred frames. Books cannot skip updates: one that falls further behind drops
    # them, fails its checksum and starts from a snapshot, which is the quickest way to the present. What it sends
    # itself can be dropped with them, so nothing hangs on one timer's message.
    mailbox = Mailbox(capacity=2000, overflow=Overflow.DROP_OLDEST)

    def __init__(self, *, connection: Ref, instrument: Instrument, freshness: Freshness | None = None,
                 vote: Callable[[Any], object] | None = None, scopes: Many[Scope] = (), depth: int = 10,
                 channels: Many[str] = CHANNELS, publish_interval_s: float = 0.05,
                 settings: ConnectionSettings | None = None) -> None:  # fmt: skip
        self._settings = settings or ConnectionSettings()
        pair = instrument.pair
        super().__init__(connection=connection, routes=tuple((channel, pair) for channel in channels),
                         retry_s=self._settings.retry_first_s)  # fmt: skip
        self._instrument = instrument
        self._pair = pair
        self._depth = depth
        self._channels = tuple(channels)
        self._freshness = freshness or Freshness()
        self._vote = vote
        self._scopes = tuple(scopes)
        self._publish_interval_s = publish_interval_s
        self._faults = FaultWindow(most=self._settings.faults_max, window_s=self._settings.faults_window_s)
        self._subscribers: dict[str, Ref] = {}
        self._book: Book | None = None
        self._tick: Tick | None = None
        self._heard_s = 0.0
        self._ts_ns = 0
        self._fresh = False
        self._voted = False
        self._round = 0
        self._rate_limited = False  # the venue refused this round: we ask too often
        self._publish_from_s = 0.0
        self._publish_due = False  # a timer of ours will tell what changed
        self._looker: Timer | None = None
        self._look_due_s = 0.0
        self._dirty: set[type] = set()
        self._frames_in = self._ok = self._bad = self._dropped = 0

    def on_start(self) -> Any:
        self._set_fresh(fresh=False, why="no snapshot yet")
        self._look_again()
        return super().on_start()

    def on_message(self, message: object) -> object:
        match message:
            case BookUpdate() | BookSnapshot():
                return self._change(message)
            case Trade(price=price, ts_ns=ts_ns) | Ticker(last=price, ts_ns=ts_ns):
                return self._last_price(price, ts_ns)
            case _Publish():
                return self._publish()
            case _Look():
                return self._look()
            case _SnapshotDue(round=round_):
                return self._no_snapshot() if round_ == self._round and self._book is None else None
            case MalformedFrame(reason=reason, channel="book"):
                return self._fault(f"a frame could not be read: {reason}")
            case SubscribeBook(path=path):
                return self._subscribe_book(path)
            case GetBook():
                return self._view()
            case GetDataStats():
                return DataStats(pair=self._pair, frames_in=self._frames_in, checksums_ok=self._ok,
                                 checksums_bad=self._bad, resubscribes=max(0, self._round - 1),
                                 dropped=self._dropped, fresh=self._fresh)  # fmt: skip
            case MalformedFrame():
                return None
            case _:
                return super().on_message(message)

    # Subscribing

    async def on_link_up(self) -> None:
        await self._subscribe(anew=False)

    async def on_link_down(self, why: str) -> None:
        self._book = None
        self._round += 1  # no snapshot is due any more
        self._set_fresh(fresh=False, why=f"the connection ended: {why}")

    async def _subscribe(self, *, anew: bool) -> None:
        self._round += 1
        self._rate_limited = False
        self._book = None
        self.send_after(self._settings.ack_timeout_s * 2, _SnapshotDue(self._round))
        channels = ("book",) if anew else self._channels
        try:
            for channel in channels:
                depth = self._depth if channel == "book" else None
                if anew:
                    wanted = SubscribeChannel(
                        channel=channel, symbol=self._pair, depth=depth, unsubscribe=True
                    )
                    await self._request(wanted)
                self._check(
                    await self._request(SubscribeChannel(channel=channel, symbol=self._pair, depth=depth))
                )
        except (ActorDead, CallTimeout, NoAck, Refused) as error:
            self.log.warning("data.not_subscribed", pair=self._pair, reason=str(error))

    async def _request(self, wanted: SubscribeChannel) -> MethodReply:
        timeout_s = self._settings.ack_timeout_s + self._settings.permit_timeout_s
        return await self.connection.call(wanted, timeout_s=timeout_s)

    def _check(self, reply: MethodReply) -> None:
        fault = reply.fault
        if reply.ok or fault is None or fault.remedy is Remedy.OK:
            return
        if fault.category is Category.RATE:
            self._rate_limited = True
            return  # _SnapshotDue tries again
        if fault.remedy is Remedy.CRASH:
            raise Fatal(
                "BAD_SUBSCRIPTION", f"{self._pair}: {fault}"
            )  # the pair's name is wrong: it stays wrong
        raise DataFault(f"{self._pair}: {fault}")

    async def _no_snapshot(self) -> None:
        """A venue that says that we ask too often has answered: it is asked again, and that is no fault."""
        if self._rate_limited:
            self.log.warning("data.rate_limited", pair=self._pair, round=self._round)
            await self._subscribe(anew=False)
        else:
            await self._fault("no snapshot came")

    async def _fault(self, why: str) -> None:
        self._faults = self._faults.noted(self.clock.now_s())
        call_failed(self, Category.DATA)
        self._set_fresh(fresh=False, why=why)
        self.log.warning("data.fault", pair=self._pair, reason=why, lately=len(self._faults.faults_s))
        if self._faults.spent:
            raise DataFault(f"{self._pair}: {len(self._faults.faults_s)} faults in a minute; the last: {why}")
        await self._subscribe(anew=True)

    # The book

    def _change(self, change: BookUpdate | BookSnapshot) -> Coroutine[Any, Any, None] | None:
        self._frames_in += 1
        if isinstance(change, BookSnapshot):
            self._book = Book(self._depth, self._instrument.price_decimals, self._instrument.qty_decimals)
        if self._book is None:
            return None  # an update of the old subscription, before the new snapshot
        try:
            self._book.apply(change)
            agrees = self._book.agrees(change)
        except DecodeError as error:
            self._bad += 1
            return self._fault(str(error))
        if not agrees:
            self._bad += 1
            return self._fault(f"checksum {self._book.checksum()} is not the venue's {change.checksum}")
        self._ok += 1
        if isinstance(change, BookSnapshot):
            call_succeeded(self)
        self._heard_s = self.clock.now_s()
        if self._heard_s - self._look_due_s > 4 * self._settings.stale_check_s:
            self._look_again()
        self._ts_ns = change.ts_ns
        self._set_fresh(fresh=True, why="")
        self._changed(BookView)
        return None

    def _last_price(self, price: Decimal, ts_ns: int) -> None:
        self._tick = Tick(pair=self._pair, last=price, at_s=self.clock.now_s(), ts_ns=ts_ns)
        self._changed(Tick)

    def _view(self) -> BookView:
        if self._book is None:
            return BookView(pair=self._pair, good=False, at_s=self._heard_s, ts_ns=self._ts_ns)
        return BookView(
            pair=self._pair,
            good=self._fresh,
            bids=tuple(self._book.bids(SHOWN_LEVELS)),
            asks=tuple(self._book.asks(SHOWN_LEVELS)),
            at_s=self._heard_s,
            ts_ns=self._ts_ns,
        )

    # Freshness

    def _look(self) -> None:
        silent_s = self.clock.now_s() - self._heard_s
        if self._fresh and silent_s > self._settings.book_silence_max_s:
            self._set_fresh(fresh=False, why=f"no update for {silent_s:.1f} s")
            self._changed(BookView)
        self._look_again()

    def _look_again(self) -> None:
        """When the book could be stale at the earliest; no sooner than after `stale_check_s`."""
        now_s = self.clock.now_s()
        heard_s = self._heard_s if self._fresh else now_s
        wait_s = max(heard_s + self._settings.book_silence_max_s - now_s, self._settings.stale_check_s)
        self._look_due_s = now_s + wait_s
        if self._looker is not None:
            self._looker.cancel()
        self._looker = self.send_after(wait_s, _Look())

    def _set_fresh(self, *, fresh: bool, why: str) -> None:
        if fresh is self._fresh and fresh is not self._voted:
            return
        self._fresh = fresh
        self._freshness.mark(self._pair, fresh=fresh)
        if self._vote is None or self._voted is not fresh:
            return
        self._voted = not fresh
        for scope in self._scopes:
            if fresh:
                self._vote(WithdrawVote(by=self.path, scope=scope))
            else:
                self._vote(CastVote(vote=Vote(self.path, scope, Level.CACHED_DATA, f"{self._pair}: {why}")))

    # Telling

    def _subscribe_book(self, path: str) -> BookView:
        if len(self._subscribers) >= SUBSCRIBERS_MAX:
            raise MailboxFull(self.path, SUBSCRIBERS_MAX)
        self._subscribers[path] = self.system.address(path)
        return self._view()

    def _changed(self, what: type) -> None:
        """Told at most every `publish_interval_s`: what changed several times in between is told once, as it is."""
        self._dirty.add(what)
        if not self._subscribers:
            return
        now_s = self.clock.now_s()
        if now_s >= self._publish_from_s:
            self._publish_from_s = now_s + self._publish_interval_s
            self._publish_due = False
            self._publish_now()
        elif not self._publish_due:
            self._publish_due = True
            self.send_after(self._publish_from_s - now_s, _Publish())

    def _publish(self) -> None:
        self._publish_due = False
        if self._dirty:
            self._changed(next(iter(self._dirty)))

    def _publish_now(self) -> None:
        told: list[object] = []
        if BookView in self._dirty:
            told.append(self._view())
        if Tick in self._dirty and self._tick is not None:
            told.append(self._tick)
        self._dirty.clear()
        for subscriber in self._subscribers.values():
            for message in told:
                try:
                    subscriber.tell(message)
                except MailboxFull:
                    self._dropped += 1  # a slow strategy misses a price, and gets the next

    async def on_stop(self, exit_: Exit) -> None:
        self._set_fresh(fresh=False, why=f"its actor ended: {exit_}")

    def on_failure(self, exception_type: Any, exception_value: BaseException | None, traceback: Any) -> None:
        self._set_fresh(fresh=False, why=f"its actor failed: {exception_value}")
