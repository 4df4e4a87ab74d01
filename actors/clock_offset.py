"""How far this machine's clock is from the venue's, measured, and the proof or the vote that follows from it.

Kraken tells its time in whole seconds, so one answer bounds the offset to about a second and the way there. Entries
are gated when the offset is certainly beyond `drift_max_s`, and let in again only when the middle of the bounds is
within it: an offset near the limit does not flap.
"""

import asyncio
from contextlib import suppress

import msgspec

from allstop.actors.commands import Proof
from allstop.actors.exits import Exit
from allstop.actors.levels import CastVote, Level, Scope, Vote, WithdrawVote
from allstop.actors.order_gate import GateWord
from allstop.actors.ports import HttpLink, HttpNoReply, HttpNotSent, HttpRequest, World
from allstop.actors.runtime import Actor, Continue, Ref
from allstop.actors.venue_clock import VenueClock


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
    """To itself: look whether the wall clock was set, and tell the gates what is news to them. They start after us, and
    often, and start closed."""


class ClockOffset(Actor):
    """Asks the venue for its time every `interval_s` and tells each gate whether the clock is proven; beyond the
    limit it votes READ_ONLY on `scope` until an answer is within it again. No answer proves nothing and changes
    nothing; a proof older than three intervals is withdrawn. Between two answers `venue_clock` runs on: a wall clock that
    steps away from it closes the gates with the next tell, and the venue is asked at once; so it is when the wall has
    moved since it was found beyond the limit, by half of that or more: it may have been set right."""

    def __init__(self, *, world: World, base_url: str, gates: tuple[Ref, ...], votes: Ref, scope: Scope,
                 interval_s: float = 60.0, retry_s: float = 2.0, tell_s: float = 0.5, drift_max_s: float = 1.0,
                 path: str = "/0/public/Time", venue_clock: VenueClock | None = None) -> None:  # fmt: skip
        self._world = world
        self._base_url = base_url
        self._gates = tuple(GateWord(gate) for gate in gates)
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
        self._reason = "not measured"
        self._voted = True  # an earlier incarnation may have
        self._beyond = False
        self._venue_clock = venue_clock
        self._stepped = False
        self._measured_off_s = 0.0  # how far the wall was off when the venue was asked
        self._ask_now = asyncio.Event()

    def on_start(self) -> Continue:
        self._venue_clock = self._venue_clock or VenueClock(self.clock)
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
                self._reason = f"offset {found.low_s:.1f} to {found.high_s:.1f} s"
                self._vote(found)
                self._measured_off_s = self._off_s()
                self._stepped = (
                    abs(self._measured_off_s) > self._drift_max_s
                )  # by what was just measured: that is no reason to ask again
            self._ask_now.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._retry_s if found is None else self._interval_s):
                    await self._ask_now.wait()

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
        off_s = self._off_s()
        stepped = abs(off_s) > self._drift_max_s
        moved = abs(off_s - self._measured_off_s) > self._drift_max_s / 2
        if stepped is not self._stepped or (self._beyond and moved):
            self._stepped = stepped
            self._ask_now.set()
        holds = fresh and not self._beyond and not stepped
        reason = f"the wall clock is {off_s:+.1f} s off the venue's" if stepped else self._reason
        for gate in self._gates:
            if gate.knows(holds=holds, reason=reason):
                continue
            gate.tell(Proof(name="clock", holds=holds, at_s=now_s, by=self.path, reason=reason))

    def _off_s(self) -> float:
        assert self._venue_clock is not None
        return self._venue_clock.wall_off_s

    async def _ask(self) -> Bounds | None:
        assert self._http is not None
        assert self._venue_clock is not None
        before_ns, sent_s = self.clock.wall_ns(), self.clock.now_s()
        try:
            response = await self._http.request(self._request, timeout_s=5.0)
        except (HttpNotSent, HttpNoReply):
            return None
        after_ns, received_s = self.clock.wall_ns(), self.clock.now_s()
        try:
            envelope = msgspec.json.decode(response.body, type=_Envelope)
        except msgspec.DecodeError:  # an error page of the venue's edge
            return None
        if envelope.result is None:
            return None
        venue_ns = envelope.result.unixtime * 1_000_000_000
        self._venue_clock.heard(venue_ns, venue_ns + 1_000_000_000, sent_s=sent_s, received_s=received_s)
        return bounds(before_ns, after_ns, envelope.result.unixtime)
