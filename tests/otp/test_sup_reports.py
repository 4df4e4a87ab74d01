"""supervisor_SUITE: reports, by the names of OTP's cases."""

import asyncio
from typing import Any

import pytest
from tests.runtime.puppet import Puppet, fails

from allstop.actors.events import ChildStarted, ChildTerminated, CrashReport, Event
from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor

pytestmark = pytest.mark.virtual


async def reports(error: Exception) -> list[Event]:
    """What a real supervisor and its child say of a crash and the restart after it."""
    found: list[Event] = []
    async with ActorSystem(on_event=found.append) as system:
        await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("worker", Start(Puppet))], path="/sup")
        system.address("/sup/worker").tell(fails(error))
        await asyncio.sleep(1)
    return found


def one(found: list[Event], kind: type[Event], **fields: Any) -> Event:
    [event] = [e for e in found if type(e) is kind and all(getattr(e, f) == v for f, v in fields.items())]
    return event


@pytest.mark.req("176")
async def test_format_log_1() -> None:
    """The fields are in the text, down to the depth that was asked for."""
    found = await reports(ValueError("a bad price"))
    progress = one(found, ChildStarted, incarnation=1)
    assert progress.render().startswith("ChildStarted at /sup\n  child: 'worker'\n  incarnation: 1\n")
    ended = one(found, ChildTerminated, incarnation=1)
    text = ended.render()
    assert text.startswith("ChildTerminated at /sup\n  child: 'worker'\n")
    assert "  reason: 'crashed: ValueError: a bad price'" in text
    assert "  causes: ('ValueError: a bad price',)" in text
    assert "  causes: (...,)" in ended.render(depth=1)
    crash = one(found, CrashReport)
    assert crash.render().startswith("Puppet at /sup/worker (incarnation 1, lived 0.000 s) crashed on ")
    assert "ancestors: /sup" in crash.render()
    assert " crashed on ...\n" in crash.render(depth=0)


@pytest.mark.req("176")
async def test_format_log_2() -> None:
    """The depth, the limit of characters and the single line hold for every report, in every combination."""
    found = await reports(ValueError("a bad price\nin two lines"))
    assert len({type(event) for event in found}) >= 3
    for event in found:
        whole = event.render()
        assert event.render(chars_limit=len(whole)) == whole
        assert event.render(depth=30) == whole
        for depth in (None, 1, 3):
            for limit in (None, 10, 40, 200):
                text = event.render(depth=depth, chars_limit=limit, single_line=True)
                assert "\n" not in text
                assert limit is None or len(text) <= limit
                assert (
                    limit is None
                    or text == event.render(depth=depth, single_line=True)
                    or text.endswith("...")
                )
