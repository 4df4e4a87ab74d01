"""When the guardian looks again: the rule, and the wait that follows it while things change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from allstop.actors.clock import LoopClock
from allstop.actors.guardian_settings import KeyState, Pace, guardian_settings
from allstop.actors.limits.kraken import LIMITS, Tier
from allstop.actors.next_look import NextLook, due_s
from allstop.actors.runtime import CallTimeout

SETTINGS = guardian_settings("kraken", "main", cover_s=2.0, idle_poll_s=5.0, tier=Tier.PRO)
FULL = KeyState(LIMITS[Tier.PRO].rest_max)


def due(
    pace: Pace | None = None,
    *,
    exposed: bool = False,
    asked_s: float | None = None,
    answer_s: float | None = None,
    writing: bool = False,
) -> float:
    pace = pace or Pace(Tier.PRO)
    return due_s(SETTINGS, pace, 100.0, exposed=exposed, asked_s=asked_s, answer_s=answer_s, writing=writing)


def test_looks_are_close_while_something_is_exposed_and_far_apart_else() -> None:
    assert (due(exposed=True), due(exposed=False)) == (101.0, 105.0)


def test_a_key_without_calls_delays_routine_looks_and_none_that_somebody_wants() -> None:
    pace = Pace(Tier.PRO)
    pace.found(FULL, 100.0)
    late_s = due(pace, exposed=True)
    assert late_s > 101.0
    assert due(pace, exposed=True, asked_s=100.25) == 100.25


def test_an_answer_that_can_be_had_brings_the_look_nearer_but_never_at_once() -> None:
    assert due(answer_s=103.0) == 103.0
    assert due(answer_s=100.0) == 100.0 + SETTINGS.times.settle_s
    assert due(answer_s=110.0) == 105.0


def test_a_write_on_its_way_is_not_overtaken_by_a_look() -> None:
    assert due(asked_s=100.0, writing=True) == 100.5
    assert due(asked_s=100.0, writing=False) == 100.0


# -- waiting ---------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """A wait whose causes are set by hand."""

    exposed: bool = False
    answer_s: float | None = None
    writing: bool = False
    key_states: list[KeyState | Exception] = field(default_factory=list[KeyState | Exception])

    def look(self) -> NextLook:
        self.pace = Pace(Tier.PRO)
        return NextLook(
            SETTINGS,
            clock=LoopClock(asyncio.get_running_loop()),
            pace=self.pace,
            key_state=self._key_state if self.key_states else None,
            exposed=lambda: self.exposed,
            answer_s=lambda: self.answer_s,
            writing=lambda: self.writing,
        )

    async def _key_state(self) -> KeyState:
        state = self.key_states.pop(0)
        if isinstance(state, Exception):
            raise state
        return state


async def waited(look: NextLook, meanwhile: Callable[[], None], after_s: float) -> float:
    """How long the wait lasted, when something happens in it."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    loop.call_later(after_s, meanwhile)
    await look.wait()
    return loop.time() - began_s


@pytest.mark.virtual
async def test_a_wait_ends_by_itself_when_the_look_is_due() -> None:
    assert await waited(Bench().look(), lambda: None, 1.0) == pytest.approx(5.0)


@pytest.mark.virtual
async def test_what_is_exposed_while_the_guardian_waits_brings_the_look_nearer() -> None:
    bench = Bench()
    look = bench.look()

    def entered() -> None:
        bench.exposed = True
        look.changed()

    assert await waited(look, entered, 0.4) == pytest.approx(1.0), "counted from the beginning of the wait"


@pytest.mark.virtual
async def test_a_look_that_is_wanted_soon_comes_then_and_is_wanted_once() -> None:
    look = Bench().look()
    assert await waited(look, lambda: look.wake_in(0.25), 0.5) == pytest.approx(0.75)
    look.begun()
    assert await waited(look, lambda: None, 1.0) == pytest.approx(5.0)


@pytest.mark.virtual
async def test_of_two_who_want_a_look_the_sooner_is_served() -> None:
    look = Bench().look()
    look.wake_in(2.0)
    look.wake_in(3.0)
    assert await waited(look, lambda: None, 1.0) == pytest.approx(2.0)


@pytest.mark.virtual
async def test_what_somebody_wanted_during_the_look_is_not_forgotten() -> None:
    bench = Bench(key_states=[KeyState(0.0)])
    look = bench.look()
    look.begun()
    look.wake_in(0.5)
    await look.ended(1)
    assert await waited(look, lambda: None, 1.0) == pytest.approx(0.5)


@pytest.mark.virtual
async def test_a_ledger_that_restarts_is_asked_again_after_the_next_look() -> None:
    bench = Bench(key_states=[CallTimeout("the ledger restarts"), FULL])
    look = bench.look()
    await look.ended(1)
    assert bench.pace.wait_s(asyncio.get_running_loop().time()) == 0.0
    await look.ended(1)
    assert bench.pace.wait_s(asyncio.get_running_loop().time()) > 0.0
