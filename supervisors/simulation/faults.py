"""What can go wrong, as values: the catalogue of fault kinds, and one fault of a plan. Pure.

A kind says what it acts on, which numbers it takes and from which range a plan draws them, how long it lasts, and
whether a world of real sockets and processes can do it. Its name is `family.word`; the words of venue faults are those
of the simulated Kraken's `POST /faults`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from allstop.actors.errors import BadInput, Problem

Value = bool | int | float | str

# Where in its work the engine is when its process ends: at once, or at the next of these moments, or when none comes.
NOW = "now"
POINTS = (NOW, "commit", "committed", "send", "sent", "receive")
POINT_WAIT_S = 3.0
# Of an order's way out: its intent is on the disk, it is written. `after_s` reaches over the venue's answer by REST.
ORDER_POINTS = ("ordered", "intended")


class Target(StrEnum):
    """What a fault acts on, and so what a world must have."""

    LINK = "link"
    VENUE = "venue"
    DISK = "disk"  # one chain of the host's disk
    HOST = "host"
    ACTOR = "actor"


class Between(msgspec.Struct, frozen=True):
    """A number from `low` to `high`; whole ones include both. `small` draws small ones more often than big ones."""

    low: float
    high: float
    whole: bool = False
    small: bool = False

    def drawn(self, draw: float) -> int | float:
        """By a draw in [0, 1). Only sums and products, so that every machine gets the same number."""
        draw = draw * draw if self.small else draw
        if self.whole:
            return int(self.low) + int(draw * (int(self.high) - int(self.low) + 1))
        return round(self.low + (self.high - self.low) * draw, 4)

    def problem(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return f"must be a {'whole ' if self.whole else ''}number, not {value!r}"
        if not self.low <= value <= self.high:
            return f"must be from {self.low:g} to {self.high:g}, not {value:g}"
        return None

    @property
    def simplest(self) -> int | float:
        return int(self.low) if self.whole else self.low


class OneOf(msgspec.Struct, frozen=True):
    """One of these; the first is the simplest. A word that stands twice comes twice as often."""

    among: tuple[Value, ...]

    def drawn(self, draw: float) -> Value:
        return self.among[int(draw * len(self.among))]

    def problem(self, value: object) -> str | None:
        if any(value == one and type(value) is type(one) for one in self.among):
            return None
        return f"must be one of {', '.join(repr(one) for one in dict.fromkeys(self.among))}, not {value!r}"

    @property
    def simplest(self) -> Value:
        return self.among[0]


class Pair(msgspec.Struct, frozen=True):
    """One of the pairs that the tree trades."""

    def problem(self, value: object) -> str | None:
        return None if isinstance(value, str) and "/" in value else f"must be a pair, not {value!r}"


Param = Between | OneOf | Pair


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault. `lasts` None: it happens, and is over. `not_in_real_time` says why a world of real sockets
    cannot do it; empty: it can. `away`: while it lasts on a link with orders, the venue counts as unreachable."""

    name: str
    on: Target
    says: str
    params: dict[str, Param] = msgspec.field(default_factory=dict[str, Param])
    lasts: Between | None = None
    not_in_real_time: str = ""
    away: bool = False

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]

    @property
    def word(self) -> str:
        return self.name.partition(".")[2]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a plan. `at_s` counts from the start of the plan. `lasts_s` 0: it happens, and is over."""

    at_s: float
    kind: str
    target: str
    params: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    lasts_s: float = 0.0

    @property
    def ends_s(self) -> float:
        """When the world is whole again at the latest: the time it lasts, or the wait for its moment and what follows."""
        waits = POINT_WAIT_S if self.params.get("point", NOW) != NOW else 0.0
        follows = sum(float(self.params.get(name, 0.0)) for name in ("down_s", "stall_s", "s", "after_s"))
        return self.at_s + self.lasts_s + waits + follows

    def __str__(self) -> str:
        params = "".join(f" {name}={value}" for name, value in self.params.items())
        lasts = f" for {self.lasts_s:g} s" if self.lasts_s else ""
        return f"{self.at_s:.3f} s {self.kind} {self.target}{params}{lasts}"


_SECONDS = Between(0.2, 12.0, small=True)
_N = Between(1, 3, whole=True, small=True)
_POINT = OneOf(POINTS)
_STEPS = Between(0, 12, whole=True, small=True)
_WAY = OneOf(("down", "up"))
_DOWN = Between(0.0, 8.0, small=True)
# The venue compares them without case and underscores: add_order is AddOrder too.
_METHOD = OneOf(("add_order", "add_order", "amend_order", "cancel_order", "cancel_order", ""))
_READ = OneOf(("OpenOrders", "ClosedOrders", "QueryOrders", "TradesHistory", "Balance", "GetWebSocketsToken"))
_CALL = OneOf((*_METHOD.among, *_READ.among))
_EXECUTED = OneOf((False, True))
_ORDER_POINT = OneOf(ORDER_POINTS)
_AFTER = Between(0.0, 0.03, small=True)
_ONLY_SIMULATED_SIGHT = "the chaos does not see what the engine writes"
_ONLY_SIMULATED_DISK = "a real disk does not fail on request (the kill tests fill a small one)"
_ONLY_SIMULATED_CLOCK = "the machine's clock is not ours to set"

_ALL = (
    # -- the network: one link is all connections to one face of a venue (rest, public, private)
    Kind(name="link.delay", on=Target.LINK, says="everything comes later, each way, by chance more",
         params={"delay_s": Between(0.01, 0.4, small=True), "jitter_s": Between(0.0, 0.4, small=True)}, lasts=Between(0.5, 30.0)),
    Kind(name="link.cut", on=Target.LINK, says="every open connection is reset"),
    Kind(name="link.cut_at_byte", on=Target.LINK, says="a connection is reset after so many more bytes: a frame half written",
         params={"way": _WAY, "bytes": Between(0, 4000, whole=True, small=True)}, lasts=Between(1.0, 20.0)),
    Kind(name="link.cut_at_order", on=Target.LINK, says="every open connection is reset around the moment at which an order goes out",
         params={"point": _ORDER_POINT, "steps": _STEPS, "after_s": _AFTER}, not_in_real_time=_ONLY_SIMULATED_SIGHT),
    Kind(name="link.half_open", on=Target.LINK, says="nothing passes, and no one is told", lasts=_SECONDS, away=True),
    Kind(name="link.one_way", on=Target.LINK, says="nothing passes one way, and no one is told", params={"way": _WAY}, lasts=_SECONDS, away=True),
    Kind(name="link.slow_reader", on=Target.LINK, says="one side reads slowly, and what is sent to it piles up",
         params={"way": _WAY, "bytes_per_s": Between(200, 20_000, whole=True, small=True)}, lasts=_SECONDS, away=True),
    Kind(name="link.refused", on=Target.LINK, says="new connections are refused", lasts=_SECONDS, away=True),
    Kind(name="link.dns", on=Target.LINK, says="the name is not found: no new connections", lasts=_SECONDS, away=True),
    Kind(name="link.tls", on=Target.LINK, says="the certificate is not theirs: no new connections", lasts=_SECONDS, away=True),
    # -- the disk
    Kind(name="disk.slow", on=Target.DISK, says="each commit takes this long", params={"commit_s": Between(0.005, 0.4, small=True)},
         lasts=Between(0.5, 20.0), not_in_real_time=_ONLY_SIMULATED_DISK),
    Kind(name="disk.full", on=Target.DISK, says="no commit goes through", lasts=_SECONDS, not_in_real_time=_ONLY_SIMULATED_DISK),
    Kind(name="disk.fsync", on=Target.DISK, says="the next commit's fsync fails", not_in_real_time=_ONLY_SIMULATED_DISK),
    Kind(name="disk.torn", on=Target.DISK, says="the power goes during a commit, and half of it is on the disk",
         params={"down_s": _DOWN, "keep": Between(0.0, 1.0)}, not_in_real_time=_ONLY_SIMULATED_DISK),
    Kind(name="disk.flip", on=Target.DISK, says="one bit of a row that was written is another", params={"where": Between(0.0, 1.0), "down_s": _DOWN},
         not_in_real_time=_ONLY_SIMULATED_DISK),
    # -- the process
    Kind(name="process.kill", on=Target.HOST, says="the process dies at an await point, and starts again on the same disk",
         params={"point": _POINT, "steps": _STEPS, "down_s": _DOWN}, not_in_real_time="the chaos runs in the engine's own process (the kill tests end a whole one)"),
    Kind(name="process.power_cut", on=Target.HOST, says="the same, and what was not fsynced is lost",
         params={"point": _POINT, "steps": _STEPS, "down_s": _DOWN}, not_in_real_time="the machine's power is not ours to cut"),
    Kind(name="process.stall", on=Target.HOST, says="nothing runs: the event loop stands still", params={"stall_s": Between(0.02, 1.0, small=True)}),
    # -- the clock: the wall's; the one that only goes forward does not step
    Kind(name="clock.step", on=Target.HOST, says="the wall clock steps, and stays so", params={"step_s": Between(-2.5, 2.5)}, lasts=Between(1.0, 30.0),
         not_in_real_time=_ONLY_SIMULATED_CLOCK),
    Kind(name="clock.drift", on=Target.HOST, says="the wall clock runs too fast or too slow, and is set right in the end", params={"ppm": Between(-20_000, 20_000, whole=True)}, lasts=Between(2.0, 40.0),
         not_in_real_time=_ONLY_SIMULATED_CLOCK),
    # -- people
    Kind(name="operator.halt", on=Target.HOST, says="a person halts, as `allstop halt` does: the latch is written, and whoever runs is told",
         not_in_real_time="nobody but a person lifts a halt, and the chaos is over with it"),
    # -- actors: `draw` chooses among those that the target's pattern names
    Kind(name="actor.kill", on=Target.ACTOR, says="one is ended by force", params={"draw": Between(0.0, 0.9999)}),
    Kind(name="actor.crash", on=Target.ACTOR, says="one raises", params={"draw": Between(0.0, 0.9999)}),
    Kind(name="actor.hold", on=Target.ACTOR, says="one handles no message, and lives", params={"draw": Between(0.0, 0.9999)}, lasts=Between(0.1, 6.0, small=True)),
    Kind(name="actor.kill_at_order", on=Target.ACTOR, says="one is ended by force around the moment at which an order goes out",
         params={"point": _ORDER_POINT, "steps": _STEPS, "after_s": _AFTER, "draw": Between(0.0, 0.9999)}, not_in_real_time=_ONLY_SIMULATED_SIGHT),
    # -- the venue
    Kind(name="venue.drop_reply", on=Target.VENUE, says="carried out or not, and not answered", params={"method": _CALL, "n": _N, "executed": OneOf((True, True, False))}),
    Kind(name="venue.delay", on=Target.VENUE, says="the answer comes late, or the execution does, and overtakes nothing",
         params={"method": _CALL, "n": _N, "executed": _EXECUTED, "s": Between(0.05, 3.0, small=True)}),
    Kind(name="venue.http_520", on=Target.VENUE, says="the edge's HTML page, executed or not", params={"method": _CALL, "n": _N, "executed": _EXECUTED}),
    Kind(name="venue.error", on=Target.VENUE, says="an error string, executed or not",
         params={"method": _CALL, "n": _N, "executed": _EXECUTED,
                 "text": OneOf(("EGeneral:Internal error", "EService:Unavailable", "EService:Busy", "EService:Timeout", "EGeneral:Internal error"))}),  # a lockout is a state of the venue, not one answer
    Kind(name="venue.unknown_order", on=Target.VENUE, says="a cancel is answered as if the order were not there", params={"n": _N}),
    Kind(name="venue.invalid_nonce", on=Target.VENUE, says="the nonce is refused", params={"method": _CALL, "n": Between(1, 1, whole=True)}),
    Kind(name="venue.corrupt_checksum", on=Target.VENUE, says="a book's checksum is wrong", params={"n": Between(1, 4, whole=True)}),
    Kind(name="venue.corrupt_frame", on=Target.VENUE, says="half of a frame's text comes", params={"channel": OneOf(("book", "executions", "ticker", "balances")), "n": _N}),
    Kind(name="venue.sequence_gap", on=Target.VENUE, says="messages never come, and their numbers are spent", params={"channel": OneOf(("executions", "balances")), "n": _N}),
    Kind(name="venue.duplicate_execution", on=Target.VENUE, says="a trade is told twice", params={"n": Between(1, 4, whole=True)}),
    Kind(name="venue.out_of_order", on=Target.VENUE, says="a message comes after the one that followed it", params={"channel": OneOf(("executions", "reply", "book", "balances")), "n": _N}),
    Kind(name="venue.silence", on=Target.VENUE, says="a channel is silent; without a name all are, heartbeats too", params={"channel": OneOf(("executions", "book", "heartbeat", ""))}, lasts=_SECONDS),
    Kind(name="venue.silent_subscription", on=Target.VENUE, says="a subscription is acknowledged, and nothing ever comes on it", params={"channel": OneOf(("executions", "book", "balances")), "n": _N}),
    Kind(name="venue.maintenance", on=Target.VENUE, says="maintenance", lasts=Between(1.0, 15.0)),
    Kind(name="venue.cancel_only", on=Target.VENUE, says="orders may be cancelled only", lasts=Between(1.0, 15.0)),
    Kind(name="venue.post_only", on=Target.VENUE, says="orders may not take", lasts=Between(1.0, 15.0)),
    Kind(name="venue.phases", on=Target.VENUE, says="cancel_only, post_only, online: as after a maintenance", lasts=Between(2.0, 15.0)),
    Kind(name="venue.pair_status", on=Target.VENUE, says="one pair is not to be traded", params={"symbol": Pair(), "status": OneOf(("cancel_only", "post_only", "limit_only", "reduce_only", "work_in_progress"))}, lasts=Between(1.0, 15.0)),
    Kind(name="venue.plunge", on=Target.VENUE, says="one trade far below the market: stops execute", params={"symbol": Pair(), "by": Between(0.006, 0.05, small=True)}),
    Kind(name="venue.rate_limited", on=Target.VENUE, says="calls are answered that the limit is reached", params={"face": OneOf(("rest", "orders"))}, lasts=_SECONDS),
    Kind(name="venue.ban", on=Target.VENUE, says="our address is banned, as long as the venue does it", lasts=Between(600.0, 660.0), away=True),
    Kind(name="venue.refuse_connects", on=Target.VENUE, says="no new WebSocket is let in", lasts=_SECONDS),
    Kind(name="venue.slam", on=Target.VENUE, says="WebSockets are let in and dropped at once", lasts=_SECONDS),
    Kind(name="venue.cut", on=Target.VENUE, says="the venue drops all WebSockets of a face", params={"private": OneOf((True, False))}),
    Kind(name="venue.expire_tokens", on=Target.VENUE, says="no WebSocket token is known any more"),
    Kind(name="venue.refuse_closes", on=Target.VENUE, says="conditional closes are cancelled for want of funds", params={"n": _N}),
    Kind(name="venue.revoke_key", on=Target.VENUE, says="a key is not known any more, for good", params={"role": OneOf(("trade",))}),
)  # fmt: skip

CATALOGUE: dict[str, Kind] = {kind.name: kind for kind in _ALL}


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises BadInput, naming those that are there."""
    if name not in CATALOGUE:
        raise BadInput(Problem(f"no fault {name!r}; there are {', '.join(sorted(CATALOGUE))}", "kind"))
    return CATALOGUE[name]


def problems(fault: Fault, where: str = "fault") -> list[Problem]:
    """What is wrong with a fault that came from outside; empty: nothing."""
    kind = CATALOGUE.get(fault.kind)
    if kind is None:
        return [
            Problem(f"no fault {fault.kind!r}; there are {', '.join(sorted(CATALOGUE))}", f"{where}.kind")
        ]
    found = [] if fault.at_s >= 0 else [Problem(f"must be at least 0, not {fault.at_s:g}", f"{where}.at_s")]
    if kind.lasts is None and fault.lasts_s:
        found.append(Problem(f"{kind.name} does not last", f"{where}.lasts_s"))
    if kind.lasts is not None and not 0 < fault.lasts_s <= kind.lasts.high:
        said = f"must be above 0 and at most {kind.lasts.high:g}, not {fault.lasts_s:g}"
        found.append(Problem(said, f"{where}.lasts_s"))
    return [*found, *_param_problems(kind, fault.params, where)]


def _param_problems(kind: Kind, params: Mapping[str, Any], where: str) -> list[Problem]:
    has = ", ".join(kind.params) or "none"
    found = [
        Problem(f"{kind.name} has no {name!r}; it has {has}", f"{where}.params")
        for name in params
        if name not in kind.params
    ]
    for name, param in kind.params.items():
        said = param.problem(params[name]) if name in params else "is missing"
        if said is not None:
            found.append(Problem(said, f"{where}.params.{name}"))
    return found
