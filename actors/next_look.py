"""When the guardian looks again: soon enough for its promise, and no faster than its key can bear.

every poll_s while something is exposed, else every idle_poll_s
later      while the key has no calls for routine looks, or others wait for it (`Pace`)
sooner     when somebody said so (`wake_in`), or when a reading can tell what became of a write without an answer
not yet    while the first write of a step is on its way: a reading that took the key's turn would make it late
"""

from collections.abc import Awaitable, Callable

from allstop.actors.clock import Clock
from allstop.actors.guardian_settings import GuardianSettings, KeyState, Pace
from allstop.actors.runtime import ActorDead, CallTimeout
from allstop.actors.wakeup import Wakeup


def due_s(
    settings: GuardianSettings,
    pace: Pace,
    began_s: float,
    *,
    exposed: bool,
    asked_s: float | None,
    answer_s: float | None,
    writing: bool,
) -> float:
    """When the next look is due, for a wait that began at `began_s`. `asked_s`: when somebody wants one. `answer_s`: when
    a reading can tell what became of a write: till then its pair stands still."""
    times = settings.times
    at_s = began_s + (settings.poll_s if exposed else settings.idle_poll_s)
    at_s = max(at_s, began_s + pace.wait_s(began_s))
    if asked_s is not None:
        at_s = min(at_s, asked_s)
    if answer_s is not None:
        soonest_s = max(times.settle_s, pace.urgent_wait_s(began_s))
        at_s = min(at_s, max(answer_s, began_s + soonest_s))
    return max(at_s, began_s + times.cover_s / 4) if writing else at_s


class NextLook:
    """One incarnation's. `exposed`, `answer_s` and `writing` are asked at each change: what is due can come nearer while
    the guardian waits. `key_state`: how the ledger sees the key; raises ActorDead or CallTimeout while it restarts."""

    def __init__(
        self,
        settings: GuardianSettings,
        *,
        clock: Clock,
        pace: Pace,
        key_state: Callable[[], Awaitable[KeyState]] | None,
        exposed: Callable[[], bool],
        answer_s: Callable[[], float | None],
        writing: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pace = pace
        self._key_state = key_state
        self._exposed = exposed
        self._answer_s = answer_s
        self._writing = writing
        self._changed = Wakeup()
        self._asked_s: float | None = None

    def changed(self) -> None:
        """Something that a look depends on: when it is due is found anew."""
        self._changed.ring()

    def wake_in(self, seconds: float) -> None:
        at_s = self._clock.now_s() + seconds
        self._asked_s = at_s if self._asked_s is None else min(self._asked_s, at_s)
        self._changed.ring()

    def begun(self) -> None:
        """A look begins: it is the one that was asked for."""
        self._asked_s = None

    async def ended(self, calls: int) -> None:
        """A look made so many calls. What an earlier process spent of the key, or others do, is not ours to spend again;
        nor is what the venue took by saying that its limit is reached. Others who wait for calls of the key get them
        before the next look."""
        self._pace.spent(calls, self._clock.now_s())
        if self._key_state is None:
            return
        try:
            self._pace.found(await self._key_state(), self._clock.now_s())
        except (ActorDead, CallTimeout):
            return  # the ledger is restarting; asked again after the next look

    async def wait(self) -> None:
        """Until the next look is due."""
        began_s = self._clock.now_s()
        while True:
            self._changed.clear()
            at_s = due_s(
                self._settings,
                self._pace,
                began_s,
                exposed=self._exposed(),
                asked_s=self._asked_s,
                answer_s=self._answer_s(),
                writing=self._writing(),
            )
            left_s = at_s - self._clock.now_s()
            if left_s <= 0 or not await self._changed.sleep(left_s):
                return
