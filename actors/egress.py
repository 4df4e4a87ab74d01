"""Egress: the last look at an order frame, directly before its first byte.

`Checkpoint` is one object per account, made when the tree is built, and holds what the check needs; the actor opens
it when it has folded the journal and closes it when it ends. Between an egress that died and the next one nothing
leaves. A sender takes a `Guard` of its own incarnation from it; once that incarnation is over the guard refuses, so
that work which outlives its actor cannot send.

The check is a plain call, because there must be no moment between it and the bytes.

When the journal is lost, or the egress itself is down for good, only CANCEL and PROTECT leave, and each is noted in an
`EmergencyJournal`, which outlives the actor and is written out when there is a journal again. The same holds for what
the guardian could not have committed in time: a disk that hangs is not lost, and a position does not wait for it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from allstop.actors.clock import Clock
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exits import Exit
from allstop.actors.journal import BATCH_ENTRIES_MAX, Committed, append, subscribe
from allstop.actors.levels import ROOT, IntentKind, Level, LevelBoard, Origin, Scope, Vote, permits
from allstop.actors.ports import Lease
from allstop.actors.protocols.clearance import Clearances, OrderFrame
from allstop.actors.protocols.records import EmergencyFrame, from_body
from allstop.actors.runtime import Actor, Down, Ref
from allstop.actors.venue_clock import VenueClock

__all__ = ["Checkpoint", "EgressActor", "EmergencyJournal", "Guard", "OrderFrame"]

# What a halt of an account and its protection can need in minutes, many times over; about 3 MB.
EMERGENCY_MAX: Final = 10_000


class EmergencyJournal:
    """What left without a journal, in memory. Bounded: a PROTECT that finds it full is refused; a CANCEL, which can
    be repeated and proven at the venue, is counted in `unrecorded`."""

    def __init__(self, capacity: int = EMERGENCY_MAX) -> None:
        self._capacity = capacity
        self._frames: deque[EmergencyFrame] = deque()
        self._seen: set[tuple[str, int]] = set()
        self.unrecorded = 0

    def frames(self) -> tuple[EmergencyFrame, ...]:
        return tuple(self._frames)

    def __contains__(self, frame: OrderFrame) -> bool:
        return (frame.subject, frame.attempt) in self._seen

    @property
    def full(self) -> bool:
        return len(self._frames) >= self._capacity

    def note(self, frame: OrderFrame, at_ns: int) -> None:
        if self.full:
            self.unrecorded += 1
            return
        self._seen.add((frame.subject, frame.attempt))
        self._frames.append(
            EmergencyFrame(
                kind=frame.kind,
                subject=frame.subject,
                attempt=frame.attempt,
                scope=frame.scope,
                origin=frame.origin,
                at_ns=at_ns,
            )
        )

    def written(self, count: int) -> None:
        """The oldest `count` frames are in a journal now."""
        for _ in range(count):
            frame = self._frames.popleft()
            self._seen.discard((frame.subject, frame.attempt))


class Checkpoint:
    """What every order frame of an account passes. `check` raises Refused, and then nothing may be sent.

    `lease` is asked at each check. `fresh(pair)`: the pair's data is proven fresh. `vote` takes a Halt vote to the
    root. `gave_up`: no egress will be started again. `skew_s` is how far the venue's clock may be from ours. `clock` tells the venue's time; a wall clock that is
    `drift_max_s` away from it lets no entry out, at once and whoever has measured what.
    """

    def __init__(
        self,
        *,
        path: str,
        clock: Clock,
        levels: LevelBoard,
        vote: Callable[[Vote], None],
        lease: Callable[[], Lease] = Lease,
        skew_s: float = 1.0,
        drift_max_s: float = 1.0,
        fresh: Callable[[str], bool] = lambda _pair: False,
        emergency: EmergencyJournal | None = None,
        gave_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._gave_up = gave_up
        self.emergency = emergency if emergency is not None else EmergencyJournal()
        self.clock = clock if isinstance(clock, VenueClock) else VenueClock(clock)
        self._drift_max_s = drift_max_s
        self._levels = levels
        self._vote = vote
        self._lease = lease
        self._skew_s = skew_s
        self._fresh = fresh
        self._clearances: Clearances | None = None
        self._alive: Callable[[], bool] = lambda: False
        self._journal_lost = False

    def guard(self, holder: Ref, *, unheard: Callable[[], bool] = lambda: False) -> "Guard":
        """A guard for the incarnation that `holder` has now. Take one in `on_start`. `unheard`: the holder asked the
        journal to commit, and was not answered in time."""
        return Guard(self, alive=_same_incarnation(holder), unheard=unheard)

    def check(self, frame: OrderFrame, *, unheard: bool = False) -> None:
        """Lets the frame leave, now and once. `unheard`: its sender was not answered by the journal in time. Raises
        Refused."""
        clearances = self._clearances
        if clearances is None or not self._alive():
            if not self._gave_up():
                raise Refused(RefusalCode.EGRESS_DOWN, "no egress runs", place=self.path)
            clearances = None
        self._check_time(frame)
        if clearances is None or self._journal_lost:
            self._check_emergency(frame)
            return
        if frame.kind is IntentKind.PROTECT and frame in self.emergency:
            raise Refused(RefusalCode.FENCED, f"{frame.subject} has left already", place=self.path)
        if refusal := clearances.refusal(frame):
            if unheard and refusal.uncommitted and frame.kind is not IntentKind.ENTRY:
                # The disk hangs, and is not lost yet: cover does not wait for it. An exit does, and is no stray frame.
                self._check_emergency(frame)
                return
            if refusal.loud:
                self._vote(Vote(self.path, ROOT, Level.HALTED, f"stray order frame: {refusal.message}"))
            raise Refused(refusal.code, refusal.message, place=self.path)
        self._check_level(frame)
        clearances.use(frame)

    def about(self, subject: str) -> tuple[IntentKind, Origin, Scope] | None:
        """What was committed under this id, for a sender that knows only the id: kind, origin and scope."""
        return None if self._clearances is None else self._clearances.about(subject)

    def open(self, clearances: Clearances, alive: Callable[[], bool]) -> None:
        """By the egress actor, when it has folded the journal."""
        self._clearances, self._alive, self._journal_lost = clearances, alive, False

    def close(self) -> None:
        self._clearances = None

    def journal_lost(self) -> None:
        """From now on the emergency rule holds, until the next egress opens."""
        self._journal_lost = True

    @property
    def emergency_mode(self) -> bool:
        return self._journal_lost or self._gave_up()

    def _check_time(self, frame: OrderFrame) -> None:
        off_s = self.clock.wall_off_s
        if frame.kind is IntentKind.ENTRY and abs(off_s) > self._drift_max_s:
            why = f"the wall clock is {off_s:+.1f} s off the venue's"
            raise Refused(RefusalCode.GATE_CLOSED, why, place=self.path)
        until_ns = self.clock.wall_ns() + int((frame.deadline_s + self._skew_s) * 1e9)
        lease = self._lease()
        if until_ns >= lease.valid_until_ns:
            raise Refused(
                RefusalCode.LEASE, f"the lease of epoch {lease.epoch} ends too soon", place=self.path
            )

    def _check_level(self, frame: OrderFrame) -> None:
        level = self._levels.effective(frame.scope)
        pair = frame.scope[2] if len(frame.scope) > 2 else ""
        # The ramp's share was taken when the order was accepted; here it is not counted again.
        if not permits(level, frame.kind, origin=frame.origin, fresh=self._fresh(pair), within_ramp=True):
            raise Refused(
                RefusalCode.LEVEL, f"{frame.kind} does not pass at {level.name}", place="/".join(frame.scope)
            )

    def _check_emergency(self, frame: OrderFrame) -> None:
        if frame.kind not in (IntentKind.CANCEL, IntentKind.PROTECT):
            raise Refused(
                RefusalCode.EGRESS_DOWN,
                "the journal or the egress is lost, or did not commit in time: only CANCEL and PROTECT leave",
                place=self.path,
            )
        if frame.kind is IntentKind.PROTECT and frame in self.emergency:
            raise Refused(RefusalCode.FENCED, f"{frame.subject} has left already", place=self.path)
        if frame.kind is IntentKind.PROTECT and self.emergency.full:
            raise Refused(RefusalCode.EGRESS_DOWN, "the emergency journal is full", place=self.path)
        self.emergency.note(frame, self.clock.wall_ns())


class Guard:
    """A checkpoint as one incarnation of a sender sees it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        alive: Callable[[], bool],
        unheard: Callable[[], bool] = lambda: False,
    ) -> None:
        self._checkpoint = checkpoint
        self._alive = alive
        self._unheard = unheard
        self._revoked = False

    def check(self, frame: OrderFrame) -> None:
        """Lets the frame leave, now and once. Raises Refused, and then nothing may be sent."""
        if self._revoked or not self._alive():
            raise Refused(RefusalCode.FENCED, "the sender's incarnation is over", place=self._checkpoint.path)
        self._checkpoint.check(frame, unheard=self._unheard())

    def about(self, subject: str) -> tuple[IntentKind, Origin, Scope] | None:
        """What was committed under this id; see `Checkpoint.about`."""
        return self._checkpoint.about(subject)

    def revoke(self) -> None:
        """Nothing leaves through this guard any more."""
        self._revoked = True


class EgressActor(Actor):
    """Keeps a checkpoint informed: folds the journal, follows it, and turns to the emergency rule when it is lost."""

    def __init__(self, checkpoint: Checkpoint, journal: Ref) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._journal = journal
        self._clearances = Clearances()

    async def on_start(self) -> None:
        self.monitor(self._journal)
        await subscribe(self._journal, self.path, self._learn)
        self._clearances.start_afresh()
        await self._write_out()
        self._checkpoint.open(self._clearances, _same_incarnation(self.ref))

    def on_receive(self, message: object) -> object:
        match message:
            case Down():
                # Also when it is only restarting: an egress that no longer hears commits must not go on as before.
                self.log.error("egress.journal_lost", why=str(message.exit))
                self._checkpoint.journal_lost()
                return None
            case _:
                raise TypeError(f"egress does not know {message!r}")

    def on_stop(self, exit_: Exit) -> None:
        self._checkpoint.close()

    def _learn(self, committed: Sequence[Committed]) -> None:
        for entry in committed:
            self._clearances.learn(from_body(entry.kind, entry.key, entry.body))

    async def _write_out(self) -> None:
        """What left without a journal goes into it, before anything else leaves."""
        while frames := self._checkpoint.emergency.frames()[:BATCH_ENTRIES_MAX]:
            await append(self._journal, frames)
            self._checkpoint.emergency.written(len(frames))


def _same_incarnation(ref: Ref) -> Callable[[], bool]:
    incarnation = ref.incarnation
    return lambda: ref.is_alive() and ref.incarnation == incarnation
