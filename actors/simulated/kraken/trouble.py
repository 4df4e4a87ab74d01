"""What setting a fault does to the simulated Kraken, at once. Those that wait for a call or a frame are armed."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from allstop.actors.simulated.kraken import public, stream
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.faults import BadFault
from allstop.actors.simulated.kraken.pairs import with_terms
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.wire import decimal_of

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

FACES = ("rest", "orders")


def befell(venue: "KrakenVenue", kind: str, fields: dict[str, Any], at: At) -> None:
    """Does what this fault does, or arms it. The fields are complete (`faults.checked`). Raises BadFault for one that
    names what the venue does not have."""
    faults, statuses = venue.faults, venue.statuses
    match kind:
        case "status" | "maintenance" | "cancel_only" | "post_only" | "online":
            statuses.put(str(fields.get("status", kind)), float(fields.get("s", 0.0)), at)
        case "pair_status":
            statuses.put_pair(str(fields["symbol"]), str(fields["status"]), float(fields["s"]), at)
        case "pair_terms":
            _put_terms(venue, fields, at)
        case "silence":
            faults.silence(str(fields["channel"]), at.now_s + float(fields["s"]))
        case "phases":
            half_s = float(fields["s"]) / 2
            statuses.put("cancel_only", half_s, at, ("post_only", half_s))
        case "rate_limited":
            if fields["face"] not in FACES:
                raise BadFault(f"no face {fields['face']!r}; there are {', '.join(FACES)}")
            faults.limited_until_s[str(fields["face"])] = at.now_s + float(fields["s"])
        case "ban":
            faults.banned_until_s = at.now_s + float(fields["s"])
            _cut(venue, venue.connections.values())
        case "refuse_connects":
            faults.refused_until_s = at.now_s + float(fields["s"])
        case "slam":
            faults.slammed_until_s = at.now_s + float(fields["s"])
        case "unreachable":
            statuses.unreachable(at.now_s + float(fields["s"]))
        case "cut":
            _cut(venue, (one for one in venue.connections.values() if one.private == bool(fields["private"])))
        case "expire_tokens":
            venue.expire_tokens()
        case "refuse_closes":
            venue.engine.refuse_closes += int(fields["n"])
        case "revoke_key" | "grant" | "deny":
            _change_key(venue, kind, fields, at)
        case "print":
            _print(venue, fields, at)
        case "plunge":
            _plunge(venue, str(fields["symbol"]), Decimal(str(fields["by"])), at)
        case _:
            faults.arm(kind, fields)


def _cut(venue: "KrakenVenue", connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.cut = True
        venue.has_output(connection)


def _put_terms(venue: "KrakenVenue", fields: dict[str, Any], at: At) -> None:
    """For the orders from now on. The book goes on as it was recorded."""
    symbol = str(fields["symbol"])
    now = with_terms(
        venue.pairs.get(symbol), decimal_of(fields["price_decimals"]), decimal_of(fields["min_qty"])
    )
    if now is None:
        raise BadFault(f"no terms of a pair: {fields}")
    venue.pairs = {**venue.pairs, symbol: now}
    changed = public.instrument_frame(
        {symbol: venue.engine.mode(symbol)}, "update", venue.pairs, venue.assets
    )
    stream.spread(venue, "instrument", "", changed, at)


def _change_key(venue: "KrakenVenue", kind: str, fields: dict[str, Any], at: At) -> None:
    keys = [key for key in venue.keys.values() if key.name == fields["role"]]
    if not keys:
        raise BadFault(f"no key {fields['role']!r}; there are {', '.join(venue.settings.roles)}")
    for key in keys:
        match kind:
            case "revoke_key":
                key.revoked = True
                venue.witness.revoked(key.account, key.name, at.wall_ns)
            case "grant":
                key.permissions |= {str(fields["permission"])}
            case _:
                key.permissions -= {str(fields["permission"])}


def _print(venue: "KrakenVenue", fields: dict[str, Any], at: At) -> None:
    pair, price = venue.pairs.get(str(fields["symbol"])), decimal_of(fields["price"])
    if pair is None or price is None or price <= 0 or price % pair.tick:
        raise BadFault(f"no print of {fields['symbol']!r} at {fields['price']!r}")
    venue.printed(pair, price, at)


def _plunge(venue: "KrakenVenue", symbol: str, by: Decimal, at: At) -> None:
    pair = venue.pairs.get(symbol)
    best = None if pair is None else venue.market(pair).best_bid()
    if pair is None or best is None or not 0 < by < 1:
        raise BadFault(f"no market of {symbol!r} that could fall by {by}")
    low = best[0] * (1 - by)
    for price in (low - low % pair.tick, best[0]):
        _print(venue, {"symbol": symbol, "price": price}, at)
