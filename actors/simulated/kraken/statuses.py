"""What the simulated Kraken lets be done, and until when: its status, its pairs' modes, and whether it can be reached.

The truth keeps when each began and ended. A status or a mode may be set for some seconds; `tick` turns it back.
"""

from typing import TYPE_CHECKING, Any

from allstop.actors.simulated.kraken import public, stream
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.faults import BadFault

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

STATUSES = ("online", "maintenance", "cancel_only", "post_only")
PAIR_STATUSES = (*STATUSES, "limit_only", "reduce_only", "delisted", "work_in_progress")
COVERABLE = frozenset({"online", "reduce_only"})  # modes in which a position can be covered or flattened


class Statuses:
    """Of one venue since it was last reset. `history` is what its status was, `away` when nobody could reach it."""

    def __init__(self, venue: "KrakenVenue", wall_ns: int) -> None:
        self.history: list[dict[str, Any]] = [{"status": "online", "at_ns": wall_ns}]
        self.away: list[dict[str, Any]] = []
        self.reachable = True
        self._venue = venue
        self._until_s: float | None = None
        self._phases: list[tuple[str, float]] = []  # what follows, each with its seconds
        self._pairs_until_s: dict[str, float] = {}
        self._unreachable_until_s = 0.0
        self._shut: set[str] = set()  # pairs that take neither a stop nor a market order
        self._orders_limited = self._modes_changed = False

    def put(self, status: str, seconds: float, at: At, *then: tuple[str, float]) -> None:
        """Sets the system's status for so many seconds, 0 for good; after it those of `then`, each for its own. Raises
        BadFault for a status that there is not."""
        if status not in STATUSES:
            raise BadFault(f"no status {status!r}; there are {', '.join(STATUSES)}")
        self._phases = list(then)
        self._until_s = at.now_s + seconds if seconds > 0 and status != "online" else None
        self._turn(status, at)

    def put_pair(self, symbol: str, status: str, seconds: float, at: At) -> None:
        """Sets the mode of one pair for so many seconds, 0 until it is set again. Raises BadFault for a pair or a mode
        that there is not."""
        self._turn_pair(symbol, status, at)
        self._pairs_until_s.pop(symbol, None)
        if seconds > 0:
            self._pairs_until_s[symbol] = at.now_s + seconds

    def unreachable(self, until_s: float) -> None:
        """A link is away until then. Several may be at once: the longest counts."""
        self._unreachable_until_s = max(self._unreachable_until_s, until_s)

    def tick(self, at: At) -> None:
        """What is over by now is over, and what follows begins."""
        if self._until_s is not None and at.now_s >= self._until_s:
            status, seconds = self._phases.pop(0) if self._phases else ("online", 0.0)
            self._until_s += seconds
            self._turn(status, at)
        for symbol in [pair for pair, until_s in self._pairs_until_s.items() if at.now_s >= until_s]:
            del self._pairs_until_s[symbol]
            self._turn_pair(symbol, "online", at)
        self.look(at)

    def look(self, at: At) -> None:
        """Notes what has changed for whoever must reach the venue, or cover a position at it."""
        self._reachability(at)
        self._modes(at)

    def moments(self) -> tuple[float, ...]:
        """When something that was set ends; what has ended already may be among them."""
        faults = self._venue.faults
        limited_s = faults.limited_until_s.get("orders", 0.0)
        return (faults.refused_until_s, faults.banned_until_s, self._unreachable_until_s, limited_s)

    def turns(self) -> list[float]:
        """When the system's status or a pair's mode turns, and `tick` is needed for it."""
        pairs = list(self._pairs_until_s.values())
        return pairs if self._until_s is None else [*pairs, self._until_s]

    def _turn(self, status: str, at: At) -> None:
        venue = self._venue
        if status == venue.engine.status:
            return
        if status == "online":
            self._until_s = None
        self._modes_changed = True
        self.history.append({"status": status, "at_ns": at.wall_ns})
        venue.engine.turn(status, at)
        for connection in list(venue.connections.values()):
            stream.said(venue, connection, "status", public.status_frame(status, connection.number), at)

    def _turn_pair(self, symbol: str, status: str, at: At) -> None:
        venue = self._venue
        if symbol not in venue.pairs or status not in PAIR_STATUSES:
            raise BadFault(f"no {symbol!r} that is {status!r}; a pair is {', '.join(PAIR_STATUSES)}")
        self._modes_changed = True
        venue.engine.turn_pair(symbol, status, at)
        changed = public.instrument_frame({symbol: status}, "update", venue.pairs, venue.assets)
        stream.spread(venue, "instrument", "", changed, at)

    def _reachability(self, at: At) -> None:
        venue, faults = self._venue, self._venue.faults
        reachable = (
            venue.engine.status != "maintenance"
            and at.now_s >= faults.refused_until_s
            and at.now_s >= faults.banned_until_s
            and at.now_s >= self._unreachable_until_s
        )
        if reachable == self.reachable:
            return
        self.reachable = reachable
        if reachable:
            self.away[-1]["end_ns"] = at.wall_ns
        else:
            self.away.append({"start_ns": at.wall_ns, "end_ns": None})
        for meter in venue.meters.values():
            meter.reachable(reachable, at.wall_ns)
        venue.witness.reachable(reachable, at.wall_ns)

    def _modes(self, at: At) -> None:
        """Which pairs take a stop or a market order: not in most modes, nor while orders are refused for a rate that no
        counter shows."""
        venue = self._venue
        limited = venue.faults.limited("orders", at.now_s)
        if limited == self._orders_limited and not self._modes_changed:
            return
        self._orders_limited, self._modes_changed = limited, False
        for symbol in venue.pairs:
            shut = limited or venue.engine.mode(symbol) not in COVERABLE
            if shut != (symbol in self._shut):
                self._shut ^= {symbol}
                venue.witness.coverable(symbol, not shut, at.wall_ns)
