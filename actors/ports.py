"""What the actors need from outside, as protocols: a world fills them with sockets and disks, or with twins in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from allstop.actors.clock import Clock, Dice, Ids
from allstop.actors.errors import AllstopError, Fault
from allstop.actors.intents import OrderIntent
from allstop.actors.reports import OrderReport, WriteOutcome


class LinkClosed(AllstopError):
    """The connection is gone: `code` is the WebSocket close code where there was one."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason if code is None else f"{reason} ({code})")
        self.reason = reason
        self.code = code


class ConnectFailed(AllstopError):
    """No connection was made. `answered`: because somebody there refused it. Not `reached`: nothing of the attempt can
    have come to the other side, which so does not count it."""

    def __init__(self, reason: str, *, answered: bool = False, reached: bool = True) -> None:
        super().__init__(reason)
        self.answered = answered
        self.reached = reached


class HttpNotSent(AllstopError):
    """The request failed before its first byte was written: it is as if it had never been made."""


class HttpNoReply(AllstopError):
    """Bytes were written and no whole answer came: the outcome of a write is unknown."""


class WebSocketLink(Protocol):
    """One WebSocket connection, single-shot: it never reconnects. `receive` from one task at a time."""

    async def send(self, frame: str) -> None:
        """Raises LinkClosed. When it returns, or raises after writing began, the bytes count as written."""
        ...

    async def receive(self) -> str:
        """The next text frame. Raises LinkClosed when there will be none."""
        ...

    async def close(self) -> None:
        """Closes within the link's own close timeout. Never raises."""
        ...

    def abort(self) -> None:
        """Drops the connection at once, without a closing handshake."""
        ...


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str  # with its query string
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    body: bytes = b""


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: dict[str, str]
    body: bytes


# What a server in memory answers with: at once, where nothing holds it back, or later. So a handler may be a plain
# function, a coroutine function, or one that is now this and now that; `response_of` takes all of them.
HttpAnswer = HttpResponse | Awaitable[HttpResponse]
HttpHandler = Callable[[HttpRequest], HttpAnswer]


async def response_of(answer: HttpAnswer) -> HttpResponse:
    """What a handler answered, once it is there. For whoever stands before a handler and asks it. Raises what the
    handler raises: HttpNoReply where it drops the connection."""
    return answer if isinstance(answer, HttpResponse) else await answer


class HttpLink(Protocol):
    """One HTTP client of one actor incarnation. Cancelling the caller abandons the request, never the pool."""

    async def request(
        self,
        request: HttpRequest,
        *,
        timeout_s: float,
        pool_timeout_s: float = 0.05,
        before_send: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """Raises HttpNotSent or HttpNoReply. `before_send` runs directly before the first byte; what it raises
        comes out unchanged, with nothing sent."""
        ...

    async def close(self) -> None: ...


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it stands in the journal. `hash` covers the row and `prev_hash`: rows form a chain."""

    seq: int
    ts_ns: int
    epoch: int
    kind: str
    key: str  # the intent id, or another subject; "" for none
    body: bytes  # JSON
    prev_hash: bytes
    hash: bytes


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A record on its way into the journal."""

    kind: str
    key: str
    body: bytes


class JournalStore(Protocol):
    """One append-only hash chain. One writer, ever."""

    epoch: int  # one more than the last epoch found when it was opened

    async def append(self, entries: Sequence[JournalEntry], *, durable: bool = True) -> int:
        """The seq of the last entry, once all are committed (durable: fsynced), all or none. Raises Fatal when the
        commit failed: nothing may be sent on its strength, and no retry is allowed."""
        ...

    async def read(
        self, *, after_seq: int = 0, kinds: Sequence[str] | None = None, key: str | None = None
    ) -> list[JournalRow]: ...

    async def close(self) -> None: ...


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to act for an account until `valid_until_ns` (wall clock)."""

    epoch: int = 0
    valid_until_ns: int = 2**63 - 1


class QueryFailed(AllstopError):
    """A read got no usable answer. It proves nothing: an error is not an absence."""

    def __init__(self, what: str, fault: Fault | None = None) -> None:
        super().__init__(f"{what}: {fault}" if fault else what)
        self.what = what
        self.fault = fault


class PlannedOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Commands that are to follow one another on a pair: so many new orders, and these amended and cancelled. One
    whose age nobody knows yet is named ""."""

    pair: str
    adds: int = 0
    amends: tuple[str, ...] = ()
    cancels: tuple[str, ...] = ()


class Desk(Protocol):
    """A venue's REST order desk for one account, with its own HTTP client and key. Reads raise QueryFailed."""

    async def open_orders(self) -> list[OrderReport]: ...

    async def closed_orders(self, since_ns: int) -> list[OrderReport]:
        """Complete from `since_ns` (wall) on, all pages."""
        ...

    async def query_orders(self, order_ids: Sequence[str]) -> list[OrderReport]: ...

    async def balances(self) -> dict[str, str]: ...

    async def submit(self, intent: OrderIntent, *, attempt: int, deadline_s: float) -> WriteOutcome: ...

    async def amend(
        self,
        command_id: str,
        order_id: str,
        *,
        order_qty: str | None = None,
        limit_price: str | None = None,
        trigger_price: str | None = None,
        deadline_s: float,
    ) -> WriteOutcome: ...

    async def cancel(self, command_id: str, order_ids: Sequence[str]) -> WriteOutcome: ...

    async def room_s(self, planned: PlannedOrders) -> float:
        """Seconds until the venue's order rate has room for all of it together; 0 for now, infinity for never. Nothing
        is charged. Raises QueryFailed when the ledger does not answer."""
        ...

    async def close(self) -> None: ...


class PairTrading(Protocol):
    """What the venue does with orders on a pair now, for all that is known."""

    def matches(self, pair: str) -> bool:
        """Orders are matched: stops trigger, and a market order would fill."""
        ...

    def takes(self, pair: str) -> bool:
        """The venue has an answer to orders. False while it has none but that it is not there: an order is not tried
        then, since what became of it would have to be searched for, longer than the venue may be away."""
        ...

    async def taken(self, pair: str) -> None:
        """Returns when the venue takes orders on the pair again, or when nobody can tell whether it does."""
        ...


class Latched(Protocol):
    """What the latch says: whether a halt stands, and whose."""

    @property
    def latched(self) -> bool: ...
    @property
    def by(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def at_ns(self) -> int: ...
    @property
    def history(self) -> Sequence["Happened"]:
        """Who halted and lifted, oldest first. Empty when latched: what was kept could not be read."""
        ...


class Happened(Protocol):
    """One entry of the latch's history: "halt" or "lift"."""

    @property
    def action(self) -> str: ...
    @property
    def at_ns(self) -> int: ...


class LatchPort(Protocol):
    """The halt's memory: what survives a restart. `write` returns once it is durable, or raises OSError."""

    def read(self) -> Latched:
        """Never raises: what cannot be read counts as latched."""
        ...

    def write(self, by: str, reason: str, at_ns: int) -> object: ...

    def lift(self, by: str, reason: str, at_ns: int) -> object: ...


class KeyHold(Protocol):
    """The right of this process, and of no other on this host, to use a key."""

    def release(self) -> None: ...


class ControlPort(Protocol):
    """Where commands reach a running engine."""

    async def start(self) -> None:
        """Raises BadInput when another engine listens here already."""
        ...

    async def close(self) -> None: ...


Answering = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Host(Protocol):
    """The machine that an engine runs on, and what it keeps for the next process: not the journals, which actors open
    for themselves, but what a runtime takes before there is any actor."""

    @property
    def latch(self) -> LatchPort: ...

    def hold_key(self, venue: str, account: str, key: str) -> KeyHold:
        """Raises BadInput naming who has the key. The key itself is written nowhere."""
        ...

    def control(self, answer: Answering) -> ControlPort:
        """A control endpoint that hands each request to `answer`; it listens once it is started."""
        ...


@dataclass(frozen=True)
class World:
    """Everything that comes from outside, handed to actors when a tree is built."""

    clock: Clock
    dice: Dice
    ids: Ids
    connect_websocket: "WebSocketConnector"
    open_http: "HttpOpener"
    open_journal: "JournalOpener"
    host: Host


class WebSocketConnector(Protocol):
    async def __call__(
        self,
        url: str,
        *,
        open_timeout_s: float = 5.0,
        ping_interval_s: float = 5.0,
        ping_timeout_s: float = 5.0,
        close_timeout_s: float = 0.5,
        on_traffic: Callable[[], None] | None = None,
    ) -> WebSocketLink:
        """Raises ConnectFailed."""
        ...


class HttpOpener(Protocol):
    def __call__(self, base_url: str, *, max_connections: int = 4) -> HttpLink: ...


class JournalOpener(Protocol):
    async def __call__(self, chain: str) -> JournalStore:
        """Opens the chain (`runtime`, or `kraken.main`) for writing, verifying its tail. Raises Fatal when it
        cannot be opened or its chain is broken."""
        ...
