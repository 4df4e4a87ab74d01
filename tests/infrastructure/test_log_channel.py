"""The log channel: one open alert per cause, and what it says when the cause is over."""

import asyncio
from typing import Any

import pytest
import structlog

from allstop.actors.alerts.log_channel import LogChannel
from allstop.actors.events import BreakerChanged, Event, GaveUp, LevelChanged
from allstop.actors.levels import Level
from allstop.actors.observer import Observer
from allstop.actors.runtime import ActorSystem

pytestmark = pytest.mark.virtual


def level(before: Level, now: Level) -> LevelChanged:
    return LevelChanged(
        at_ns=1, path="/", scope=("kraken",), before=before, now=now, by="/x", reason="because"
    )


async def logged(*events: Event) -> list[dict[str, Any]]:
    with structlog.testing.capture_logs() as logs:
        async with ActorSystem() as system:
            await system.spawn(LogChannel, path="/alerting/log")
            for event in events:
                system.emit(event)
                await asyncio.sleep(0.01)
    return [dict(entry) for entry in logs]


async def test_a_lowered_level_is_logged_once_however_often_it_is_told() -> None:
    logs = await logged(level(Level.NONE, Level.READ_ONLY), level(Level.NONE, Level.READ_ONLY))
    assert [(entry["event"], entry["log_level"], entry["now"]) for entry in logs] == [
        ("level.lowered", "warning", "READ_ONLY")
    ]


async def test_a_halt_is_critical_and_its_end_is_told() -> None:
    logs = await logged(level(Level.NONE, Level.HALTED), level(Level.HALTED, Level.NONE))
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("level.lowered", "critical"),
        ("level.raised", "info"),
    ]


async def test_a_breaker_that_closed_may_be_told_to_open_again() -> None:
    opened = BreakerChanged(at_ns=1, path="/t", state="open", trips=1)
    closed = BreakerChanged(at_ns=2, path="/t", state="closed", trips=1)
    logs = await logged(opened, opened, closed, closed, opened)
    assert [entry["event"] for entry in logs] == ["breaker.opened", "breaker.closed", "breaker.opened"]


async def test_a_supervisor_that_gave_up_is_named_with_its_offender() -> None:
    logs = await logged(
        GaveUp(
            at_ns=1,
            path="/t",
            offender="session",
            attempts=4,
            causes=("boom",),
            fatal=False,
            action="escalate",
        )
    )
    assert (logs[0]["event"], logs[0]["offender"], logs[0]["log_level"]) == (
        "supervisor.gave_up",
        "session",
        "critical",
    )


async def test_the_observer_counts_what_happened() -> None:
    async with ActorSystem() as system:
        observer = await system.spawn(Observer, path="/observation")
        system.emit(level(Level.NONE, Level.HALTED))
        system.emit(
            GaveUp(at_ns=1, path="/t", offender="x", attempts=1, causes=(), fatal=False, action="pause")
        )
        assert await observer.call("counts") == {"level_changes": 1, "escalations": 1}
        assert len(await observer.call("recent")) == 2
