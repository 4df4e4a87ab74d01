"""The WebSocket v2 face: connections, their subscriptions with a sequence each, and what is told to them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from allstop.actors.simulated.kraken import private, public
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.orders import Happened
from allstop.actors.simulated.kraken.wire import encode

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.market import Market
    from allstop.actors.simulated.kraken.venue import KrakenVenue

HEARTBEAT_S = 1.0
IDLE_S = 60.0
OUT_MAX = 20_000  # frames that wait for a client: minutes of every channel of every pair


@dataclass(slots=True)
class Subscription:
    """One subscription. `sequence` is the last number told, for private channels."""

    channel: str
    symbol: str = ""
    sequence: int = 0
    depth: int = 10
    bbo: bool = False
    every_status: bool = True
    silent: bool = False  # acknowledged, and nothing is ever told on it


@dataclass(slots=True)
class Connection:
    """One WebSocket connection as the venue sees it. `out` holds the frames that the shell has yet to write."""

    number: int
    private: bool
    ip: str
    opened: At
    account: str | None = None
    token: str | None = None
    subscriptions: dict[tuple[str, str], Subscription] = field(
        default_factory=dict[tuple[str, str], Subscription]
    )
    out: list[str] = field(default_factory=list[str])
    last_out_s: float = 0.0
    cut: bool = False  # the shell shall close it
    held: list[str] = field(default_factory=list[str])  # they go out after the next frame


def said(venue: "KrakenVenue", connection: Connection, channel: str, text: str, at: At) -> None:
    """Puts a frame on its way, through whatever faults are armed for its channel."""
    kept = text if venue.faults.idle else _through_faults(venue, connection, channel, text, at)
    if kept is None:
        return
    venue.has_output(connection)
    if len(connection.out) >= OUT_MAX:
        connection.cut = True  # a client that does not read is dropped, as at the venue
        return
    connection.out.append(kept)
    if connection.held:
        connection.out += connection.held
        connection.held.clear()
    connection.last_out_s = at.now_s


def _through_faults(
    venue: "KrakenVenue", connection: Connection, channel: str, text: str, at: At
) -> str | None:
    """The frame as it goes out; None: it does not, or not now."""
    if venue.faults.silent(channel, at.now_s):
        return None
    if channel != "reply" and venue.faults.spend("corrupt_frame", channel):
        text = text[: len(text) // 2]
    elif channel == "book" and venue.faults.spend("corrupt_checksum", channel):
        head, _, tail = text.partition('"checksum":')
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        text = f'{head}"checksum":{(int(digits) + 1) % 2**32}{tail[len(digits) :]}'
        venue.witness.spoiled(text)
    if venue.faults.spend("out_of_order", channel):
        connection.held.append(text)
        return None
    return text


def told_happened(venue: "KrakenVenue", happened: Iterable[Happened], at: At) -> None:
    """Tells each connection of the account what happened to its orders and balances."""
    for one in happened:
        row = private.happened_row(one)
        for connection in list(venue.connections.values()):
            if connection.account != one.order.account:
                continue
            subscription = connection.subscriptions.get(("executions", ""))
            if subscription is not None and (subscription.every_status or one.kind in _ENDS):
                sequenced(venue, connection, subscription, [row], "update", at)
                if one.kind == "trade" and venue.faults.spend("duplicate_execution"):
                    sequenced(venue, connection, subscription, [row], "update", at)
            ledger = connection.subscriptions.get(("balances", ""))
            if ledger is not None and one.execution is not None:
                account = venue.accounts[one.order.account]
                pair = one.order.pair
                ids = [venue.codes.new("L"), venue.codes.new("L")]
                for moved in private.ledger_rows(one.execution, pair.base, pair.quote, account, ids):
                    sequenced(venue, connection, ledger, [moved], "update", at)


_ENDS = frozenset({"new", "trade", "filled", "canceled", "expired"})


def sequenced(
    venue: "KrakenVenue",
    connection: Connection,
    subscription: Subscription,
    rows: list[dict[str, Any]],
    kind: str,
    at: At,
) -> None:
    if subscription.silent:
        return
    subscription.sequence += 1
    frame = {"channel": subscription.channel, "type": kind, "data": rows, "sequence": subscription.sequence}
    if kind == "update" and venue.faults.spend("sequence_gap", subscription.channel):
        return  # its number is spent: the client must see the gap
    said(venue, connection, subscription.channel, encode(frame), at)


def spread(venue: "KrakenVenue", channel: str, symbol: str, text: str, at: At, *, bbo: bool = False) -> None:
    """Sends one public frame to all who subscribed. `bbo` frames go only to those who asked for them."""
    for connection in list(venue.connections.values()):
        subscription = connection.subscriptions.get((channel, symbol))
        if subscription is not None and not subscription.silent and (subscription.bbo or not bbo):
            said(venue, connection, channel, text, at)


def spread_book(
    venue: "KrakenVenue", market: "Market", text: str, at: At, *, depth: int | None = None
) -> None:
    """Sends a book frame to those who see the book to this depth; None: to those who see all of it."""
    for connection in list(venue.connections.values()):
        subscription = connection.subscriptions.get(("book", market.pair.symbol))
        if subscription is None or subscription.silent:
            continue
        if (subscription.depth >= market.depth) if depth is None else (subscription.depth == depth):
            said(venue, connection, "book", text, at)


def due_s(connection: Connection) -> float:
    """When time alone does something to this connection next: a heartbeat, or its end."""
    if connection.subscriptions:
        return connection.last_out_s + HEARTBEAT_S
    return connection.opened.now_s + IDLE_S


def time_passed(venue: "KrakenVenue", at: At) -> None:
    """A heartbeat a second where nothing else was said, after the first subscription; a connection that has subscribed to
    nothing within about a minute is closed."""
    for connection in list(venue.connections.values()):
        if at.now_s < due_s(connection):
            continue
        if connection.subscriptions:
            said(venue, connection, "heartbeat", public.HEARTBEAT, at)
        else:
            connection.cut = True
            venue.has_output(connection)
