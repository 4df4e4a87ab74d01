"""A loop that hangs lowers the level: nobody may trade on what an engine believes that stood still for a second.

While it hangs, no message reaches the root. So the vote is written to the board by the watchdog's own thread, through
the events that it tells: the next order that the loop comes to after the hang meets READ_ONLY at egress, before any
message about it is handled. Once the loop lives again the root is told, as by every voter. The vote is withdrawn when
the loop has not hung for `CALM_S`.
"""

import asyncio
from typing import Final

from allstop.actors.events import Event, HandlerHung, HandlerReturned, LevelChanged, LoopHeld
from allstop.actors.levels import ROOT, CastVote, Level, LevelBoard, Vote, WithdrawVote
from allstop.actors.runtime import ActorSystem, Ref

BY: Final = "watchdog"
CALM_S: Final = (
    5.0  # what held the loop once, often does so again: entries wait that long after the latest hang
)


class HeldLoop:
    """Votes READ_ONLY on everything while the loop hangs. Subscribe it to the events of its system."""

    def __init__(self, system: ActorSystem, board: LevelBoard, root: Ref, *, calm_s: float = CALM_S) -> None:
        self._system = system
        self._board = board
        self._root = root
        self._calm_s = calm_s
        self._loop = system.scheduler.loop
        self._calm: asyncio.TimerHandle | None = None
        self._vote: Vote | None = None  # the latest; written by the watchdog's thread

    def __call__(self, event: Event) -> None:
        """On the watchdog's thread for a hang, on the loop for its end.

        Whoever subscribes to events and raises is dropped. This one may not be missing in silence: its own failure is
        a halt, written to the board at once and told to the root, which latches it.
        """
        try:
            self._take(event)
        except Exception as error:
            self._halt(f"nobody looks any more whether the loop hangs: {type(error).__name__}: {error}")
            raise

    def _halt(self, reason: str) -> None:
        vote = Vote(f"{BY}#failed", ROOT, Level.HALTED, reason)
        self._board.cast(vote)
        self._loop.call_soon_threadsafe(self._root.tell, CastVote(vote, True))

    def _take(self, event: Event) -> None:
        match event:
            case HandlerHung(where="loop"):
                what = f"{event.message} " if event.message else ""
                self._lower(f"{event.path} holds the loop: {what}for {event.held_s:.1f} s")
                self._loop.call_soon_threadsafe(self._back)
            case LoopHeld():
                self._lower(f"the loop stood still for {event.held_s:.1f} s: {event.why}")
                self._loop.call_soon_threadsafe(self._back)
            case HandlerReturned():
                self._back()
            case _:
                return

    def _lower(self, reason: str) -> None:
        """From the first word on; later ones of the same hang change nothing but the words."""
        before = self._board.effective(ROOT)
        vote = self._vote = Vote(BY, ROOT, Level.READ_ONLY, reason)
        if self._board.cast(vote) and before < Level.READ_ONLY:
            self._system.emit(
                LevelChanged(
                    at_ns=self._system.clock.wall_ns(), path=self._root.path, scope=ROOT, before=before,
                    now=self._board.effective(ROOT), by=BY, reason=reason,
                )
            )  # fmt: skip

    def _back(self) -> None:
        """The loop lives: the root hears what was voted meanwhile, and calm begins to count, anew after each hang. It
        hears it whatever the board says: it may just have heard that the loop had been calm before."""
        if self._vote is not None:
            self._root.tell(CastVote(self._vote))
        if self._calm is not None:
            self._calm.cancel()
        self._calm = self._loop.call_later(self._calm_s, self._withdraw)

    def _withdraw(self) -> None:
        self._calm = None
        self._root.tell(WithdrawVote(BY, ROOT))

    def close(self) -> None:
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None
