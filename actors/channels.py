"""Kraken's channels over one connection: who listens to what, and which answer belongs to which request.

A `ChannelConnection` knows no channel's meaning. A **listener** attaches to it under its own path, is told `LinkUp`
when frames flow, asks for its subscription, and is told the events of its channel and symbol from then on.
"""

import itertools
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from allstop.actors.connection import Connection
from allstop.actors.errors import RefusalCode, Refused, ReplyError
from allstop.actors.exits import Exit
from allstop.actors.ports import LinkClosed
from allstop.actors.protocols.kraken import frames
from allstop.actors.protocols.kraken.events import (
    Balances,
    BookSnapshot,
    BookUpdate,
    Event,
    Executions,
    InstrumentUpdate,
    MalformedFrame,
    MethodReply,
    SystemStatus,
    Ticker,
    Trade,
    UnknownFrame,
)
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    CallTimeout,
    Continue,
    Down,
    MonitorRef,
    Ref,
    Reply,
    Timer,
)

LISTENERS_MAX: Final = 500  # more than the pairs one connection can carry

# Where an event goes: its channel, and its symbol where the channel has any.
_ROUTES: Final[dict[type, Callable[[Any], tuple[str, str]]]] = {
    BookSnapshot: lambda event: ("book", event.symbol),
    BookUpdate: lambda event: ("book", event.symbol),
    Ticker: lambda event: ("ticker", event.symbol),
    Trade: lambda event: ("trade", event.symbol),
    Executions: lambda _: ("executions", ""),
    Balances: lambda _: ("balances", ""),
    InstrumentUpdate: lambda _: ("instrument", ""),
}


class NoAck(ReplyError):
    """The venue did not answer a request in time."""


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """From a listener: tell me (my path) the events of these (channel, symbol); symbol "" where there is none. An
    earlier `Listen` of the same path is replaced. Answered with True when frames flow already, else False: LinkUp
    will be told."""

    path: str
    routes: tuple[tuple[str, str], ...]


class LinkUp(msgspec.Struct, frozen=True, kw_only=True):
    """Told to listeners: the connection stands and takes subscriptions. Again after a new token."""

    at_s: float


class SubscribeChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with the venue's MethodReply (ok or not), NoAck, or Refused(NOT_OPEN) when nothing is connected."""

    channel: str
    symbol: str = ""
    depth: int | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    unsubscribe: bool = False


class GetConnection(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with a ConnectionView."""


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    connected: bool
    status: str  # of the venue: online, cancel_only, post_only, maintenance; "" before it said any
    frames_in: int
    malformed: int
    pending: int


class _Lapse(msgspec.Struct, frozen=True):
    """To itself: the answer to this request is overdue."""

    req_id: int


class _Pending(msgspec.Struct):
    reply: Reply
    timer: Timer
    sent_s: float


class ChannelConnection(Connection):
    """A public connection as it stands; `Session` is the private one.

    `every_frame_counts`: a frame so broken that not even its channel can be read is told to every listener, because
    it may have been theirs. A public book needs no such care: its checksum tells.
    """

    every_frame_counts = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.venue_status = ""
        self.ready = False
        self.malformed = 0
        self.req_ids = itertools.count(1)
        self._listeners: dict[tuple[str, str], dict[str, Ref]] = {}
        self._paths: dict[str, Ref] = {}
        self._pending: dict[int, _Pending] = {}

    # Told by the connection

    async def on_connected(self) -> None:
        self.now_ready()

    def now_ready(self) -> None:
        self.ready = True
        up = LinkUp(at_s=self.clock.now_s())
        for listener in list(self._paths.values()):
            listener.tell(up)

    def on_frame(self, frame: str) -> None:
        for event in frames.decode(frame):
            self.on_event(event)

    def on_event(self, event: Event) -> None:
        route = _ROUTES.get(type(event))
        if route is not None:
            self._deliver(route(event), event)
            return
        match event:
            case MethodReply():
                self.on_reply(event)
            case SystemStatus():
                self._status(event)
            case MalformedFrame():
                self._count_malformed(event)
            case UnknownFrame():
                self.log.debug("frame.unknown", channel=event.channel)
            case _:
                pass  # Heartbeat and Pong: that they came is what they say

    def on_reply(self, reply: MethodReply) -> None:
        """An answer to a request of ours. One that nobody waits for any more came too late."""
        pending = self._pending.pop(reply.req_id, None) if reply.req_id is not None else None
        if pending is not None:
            pending.timer.cancel()
            pending.reply.set(reply)
            self.on_times(reply, pending.sent_s)

    def on_message(self, message: object) -> object:
        match message:
            case Listen():
                return self._listen(message)
            case SubscribeChannel():
                return self._subscribe(message)
            case GetConnection():
                return ConnectionView(connected=self.ready, status=self.venue_status, frames_in=self.frames_in,
                                      malformed=self.malformed, pending=self.pending_count())  # fmt: skip
            case _Lapse(req_id=req_id):
                if (pending := self._pending.pop(req_id, None)) is not None:
                    pending.reply.fail(NoAck(f"no answer within {self.settings.ack_timeout_s} s"))
                return None
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    def on_status(self, before: str, now: str) -> None:
        """The venue changed what it says of itself."""

    def on_times(self, reply: MethodReply, sent_s: float) -> None:
        """A request that was sent at `sent_s` is answered: the reply says when, by the venue's clock."""

    def pending_count(self) -> int:
        return len(self._pending)

    def subscription_token(self) -> str | None:
        """The token that private subscriptions carry."""
        return None

    def _listen(self, listen: Listen) -> bool:
        if listen.path not in self._paths and len(self._paths) >= LISTENERS_MAX:
            raise Refused(RefusalCode.NOT_OPEN, f"more than {LISTENERS_MAX} listeners", place=listen.path)
        ref = self._paths[listen.path] = self.system.address(listen.path)
        for listeners in self._listeners.values():
            listeners.pop(listen.path, None)
        for route in listen.routes:
            self._listeners.setdefault(route, {})[listen.path] = ref
        return self.ready

    async def _subscribe(self, wanted: SubscribeChannel) -> None:
        if not self.ready:
            raise Refused(RefusalCode.NOT_OPEN, "not connected", place=self.path)
        if len(self._pending) >= self.settings.pending_max:
            raise Refused(
                RefusalCode.RATE_LIMIT, f"{len(self._pending)} requests are unanswered", place=self.path
            )
        req_id = next(self.req_ids)
        build = frames.unsubscribe if wanted.unsubscribe else frames.subscribe
        frame = build(
            wanted.channel,
            req_id=req_id,
            token=self.subscription_token() if wanted.channel in frames.PRIVATE else None,
            symbols=(wanted.symbol,) if wanted.symbol else (),
            depth=wanted.depth,
            **wanted.options,
        )
        timer = self.send_after(self.settings.ack_timeout_s, _Lapse(req_id))
        self._pending[req_id] = _Pending(self.defer(), timer, self.clock.now_s())
        await self.send(frame)
        self.heartbeat_due = True

    def _deliver(self, route: tuple[str, str], event: Event) -> None:
        """To all who listen. A full mailbox of a private listener raises here and so ends the connection: what it
        would have missed comes again with the next snapshot."""
        for listener in self._listeners.get(route, {}).values():
            listener.tell(event)

    def _status(self, status: SystemStatus) -> None:
        if status.state != self.venue_status:
            before, self.venue_status = self.venue_status, status.state
            self.log.info("venue.status", before=before, now=status.state)
            self.on_status(before, status.state)

    def _count_malformed(self, event: MalformedFrame) -> None:
        self.malformed += 1
        self.log.warning("frame.malformed", channel=event.channel, reason=event.reason)
        if event.channel is None and not self.every_frame_counts:
            return
        suspects = {
            path: listener
            for (channel, _), listeners in self._listeners.items()
            if event.channel in (None, channel)
            for path, listener in listeners.items()
        }
        for listener in suspects.values():
            listener.tell(event)

    async def on_stop(self, exit_: Exit) -> None:
        for pending in self._pending.values():
            pending.reply.fail(LinkClosed("stopped"))
        await super().on_stop(exit_)


class _Attach(msgspec.Struct, frozen=True):
    """To itself: find the connection, or look again."""


class Listener(Actor):
    """An actor that lives off one connection: attaches, and is told when the connection is up and when it is gone.

    It outlives the connection where its supervisor lets it; then it attaches to the next one.
    """

    keeps_task: ClassVar[bool] = False

    def __init__(self, *, connection: Ref, routes: tuple[tuple[str, str], ...], retry_s: float) -> None:
        self.connection = connection
        self._routes = routes
        self._retry_s = retry_s
        self._monitor: MonitorRef | None = None

    async def on_link_up(self) -> None:
        """Frames flow; subscribe now."""

    async def on_link_down(self, why: str) -> None:
        """The connection's incarnation ended."""

    def on_message(self, message: object) -> object:
        """What else is told or asked: an answer, or a coroutine where that takes time."""
        raise TypeError(f"{self.path} takes no {message!r}")

    def on_start(self) -> Any:
        return Continue(_Attach())

    async def on_continue(self, argument: object) -> None:
        await self._attach()

    def on_receive(self, message: object) -> object:
        match message:
            case LinkUp():
                return self.on_link_up()
            case Down(monitor=monitor, exit=exit_) if monitor is self._monitor:
                return self._went_down(str(exit_))
            case _Attach():
                return self._attach()
            case _:
                return self.on_message(message)

    async def _went_down(self, why: str) -> None:
        self._monitor = None
        await self.on_link_down(why)
        self.send_after(self._retry_s, _Attach())

    async def _attach(self) -> None:
        if self._monitor is not None:
            return
        # Watched before it is asked: an incarnation that ends in between is noticed.
        self._monitor = self.monitor(self.connection)
        try:
            up = await self.connection.call(
                Listen(path=self.path, routes=self._routes), timeout_s=self._retry_s + 1.0
            )
        except (ActorDead, CallTimeout):
            self.demonitor(self._monitor)
            self._monitor = None
            self.send_after(self._retry_s, _Attach())
            return
        if up:
            await self.on_link_up()
