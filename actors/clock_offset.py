"""How far this machine's clock is from the venue's, measured, and the proof or the vote that follows from it.

Kraken tells its time in whole seconds, so one answer bounds the offset to about a second and the way there. Entries
are gated when the offset is certainly beyond `drift_max_s`, and let in again only when the middle of the bounds is
within it: an offset near the limit does not flap.
"""

import asyncio

import msgspec

from allstop.actors.commands import Proof
from allstop.actors.exits import Exit
from allstop.actors.levels import CastVote, Level, Scope, Vote, WithdrawVote
from allstop.actors.ports import HttpLink, HttpNoReply, HttpNotSent, HttpRequest, World
from allstop.actors.runtime import Actor, Continue, Ref


class Bounds(msgspec.Struct, frozen=True):
    """The offset (local minus venue) lies within these seconds."""

    low_s: float
    high_s: float

    def certainly_beyond(self, limit_s: float) -> bool:
        return self.low_s > limit_s or self.high_s < -limit_s

    def likely_within(self, limit_s: float) -> bool:
        return abs(self.low_s + self.high_s) / 2 <= limit_s


def bounds(before_ns: int, after_ns: int, venue_s: int) -> Bounds:
    """The bounds that one answer gives: the venue's clock read `venue_s` (whole seconds, so up to one more) at some
    moment between `before_ns` and `after_ns` of the local wall clock."""
    return Bounds(before_ns / 1e9 - venue_s - 1.0, after_ns / 1e9 - venue_s)


class _Time(msgspec.Struct):
    unixtime: int


class _Envelope(msgspec.Struct):
    error: list[str]
    result: _Time | None = None


class GetBounds(msgspec.Struct, frozen=True):
    """To the clock's actor: answered with the last Bounds, or None before the first answer of the venue."""


class _Tell(msgspec.Struct, frozen=True):
    """To itself: tell the gates what is proven. They start after us, and often, and start closed."""


class ClockOffset(Actor):
    """Asks the venue for its time every `interval_s` and tells each gate whether the clock is proven; beyond the
    limit it votes READ_ONLY on `scope` until an answer is within it again. No answer proves nothing and changes
    nothing; a proof older than three intervals is withdrawn."""

    def __init__(self, *, world: World, base_url: str, gates: tuple[Ref, ...], votes: Ref, scope: Scope,
                 interval_s: float = 60.0, retry_s: float = 2.0, tell_s: float = 0.5, drift_max_s: float = 1.0,
                 path: str = "/0/public/Time") -> None:  # fmt: skip
        self._world = world
        self._base_url = base_url
        self._gates = gates
        self._votes = votes
        self._scope = scope
        self._interval_s = interval_s
        self._retry_s = retry_s
        self._tell_s = tell_s
        self._drift_max_s = drift_max_s
        self._request = HttpRequest(method="GET", path=path)
        self._http: HttpLink | None = None
        self._last: Bounds | None = None
        self._measured_s = 0.0
        self._voted = True  # an earlier incarnation may have
        self._beyond = False

    def on_start(self) -> Continue:
        self._http = self._world.open_http(self._base_url, max_connections=1)
        self.start_task(self._measuring(), "measuring")
        return Continue(_Tell())

    def on_continue(self, argument: object) -> None:
        self._tell()

    def on_receive(self, message: object) -> object:
        match message:
            case _Tell():
                return self._tell()
            case GetBounds():
                return self._last
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    async def on_stop(self, exit_: Exit) -> None:
        if self._http is not None:
            await self._http.close()

    async def _measuring(self) -> None:
        while True:
            found = await self._ask()
            if found is not None:
                self._last, self._measured_s = found, self.clock.now_s()
                self._vote(found)
            await asyncio.sleep(self._retry_s if found is None else self._interval_s)

    def _vote(self, found: Bounds) -> None:
        if found.certainly_beyond(self._drift_max_s):
            self._beyond = self._voted = True
            reason = f"the clock is off by {found.low_s:.1f} to {found.high_s:.1f} s"
            self._votes.tell(CastVote(Vote(self.path, self._scope, Level.READ_ONLY, reason)))
        elif self._voted and found.likely_within(self._drift_max_s):
            self._beyond = self._voted = False
            self._votes.tell(WithdrawVote(self.path, self._scope))

    def _tell(self) -> None:
        self.send_after(self._tell_s, _Tell())
        now_s, last = self.clock.now_s(), self._last
        fresh = last is not None and now_s - self._measured_s <= 3 * self._interval_s
        holds = fresh and not self._beyond
        reason = "not measured" if last is None else f"offset {last.low_s:.1f} to {last.high_s:.1f} s"
        for gate in self._gates:
            gate.tell(Proof(name="clock", holds=holds, at_s=now_s, by=self.path, reason=reason))

    async def _ask(self) -> Bounds | None:
        assert self._http is not None
        before_ns = self.clock.wall_ns()
        try:
            response = await self._http.request(self._request, timeout_s=5.0)
        except (HttpNotSent, HttpNoReply):
            return None
        after_ns = self.clock.wall_ns()
        try:
            envelope = msgspec.json.decode(response.body, type=_Envelope)
        except msgspec.DecodeError:  # an error page of the venue's edge
            return None
        return None if envelope.result is None else bounds(before_ns, after_ns, envelope.result.unixtime)
