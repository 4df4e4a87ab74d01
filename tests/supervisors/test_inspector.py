"""What a running engine tells people of its actors."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.runtime.keepers import Keeper
from tests.runtime.puppet import Puppet, Witness, fails, sleeps

from allstop.actors.errors import BadInput
from allstop.actors.links.secrets import Redactor, Secret
from allstop.actors.runtime import ActorSystem, inspection
from allstop.actors.spec import ChildSpec, Restart, Start, SupervisorFlags
from allstop.supervisors import Supervisor
from allstop.supervisors.inspector import CRASHES_KEPT_MAX, STEPS_MAX, Inspector

pytestmark = pytest.mark.virtual
KEY = "a-key-that-nobody-may-see"


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with ActorSystem(on_event=lambda event: None) as system:
        yield system


@pytest.fixture
def inspector(system: ActorSystem) -> Inspector:
    return Inspector(system, Redactor([Secret(KEY)]))


@pytest.fixture
async def top(system: ActorSystem) -> Any:
    children = [
        ChildSpec("keeper", Start(Keeper)),
        ChildSpec("temp", Start(Keeper), restart=Restart.TEMPORARY),
    ]
    return await system.spawn(Supervisor, SupervisorFlags(), children, path="/top")


async def test_all_actors_are_listed_in_the_order_they_started(inspector: Inspector, top: Any) -> None:
    answer = inspector.actors()
    assert [actor["path"] for actor in answer["actors"]] == ["/top", "/top/keeper", "/top/temp"]
    assert answer["actors"][1] == {
        "path": "/top/keeper", "incarnation": 1, "state": "running", "mailbox_len": 0, "class": "Keeper",
    }  # fmt: skip
    assert answer["more"] == 0


async def test_an_actor_is_shown_with_its_redacted_state_and_its_neighbours(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    await system.address("/top/keeper").call("one")
    answer = await inspector.actor("/top/keeper")
    assert (answer["running"], answer["state"], answer["suspended"], answer["handling"]) == (
        True, "running", False, False,
    )  # fmt: skip
    assert answer["status"] == "{'count': 1}"
    assert answer["parent"] == "/top"
    assert (answer["last_exit"], answer["last_crash"], answer["log"], answer["statistics"]) == (
        None,
        None,
        [],
        None,
    )
    assert "hunter2" not in str(answer)
    assert (await inspector.actor("top"))["children"] == ["/top/keeper", "/top/temp"]
    msgspec.json.encode(answer)


async def test_the_last_crash_is_remembered_across_the_restart(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    system.address("/top/keeper").tell(fails(KeyError("crash")))
    await asyncio.sleep(1)
    answer = await inspector.actor("/top/keeper")
    assert (answer["running"], answer["incarnation"], answer["last_exit"]) == (
        True,
        2,
        "crashed: KeyError: 'crash'",
    )
    assert answer["last_crash"]["incarnation"] == 1
    assert answer["last_crash"]["error"] == "KeyError: 'crash'"
    assert answer["last_crash"]["report"].startswith("Keeper at /top/keeper (incarnation 1, lived ")


async def test_an_actor_that_is_down_is_known_by_its_end(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    temporary = system.address("/top/temp")
    await system.stop(temporary)
    answer = await inspector.actor("/top/temp")
    assert (answer["running"], answer["last_exit"]) == (False, "shutdown")
    assert "state" not in answer


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/top/keper", "did you mean /top/keeper"),
        ("/keeper", "did you mean /top/keeper"),
        ("keep", "did you mean /top/keeper"),
        ("/TOP", "nothing runs at /TOP$"),
        ("", "nothing runs at /$"),
    ],
)
async def test_an_unknown_address_is_refused_and_those_that_look_alike_are_named(
    inspector: Inspector, top: Any, path: str, near: str
) -> None:
    with pytest.raises(BadInput, match=near):
        await inspector.actor(path)


@pytest.mark.req("221")
async def test_a_trace_shows_what_comes_in_for_a_bounded_time_and_leaves_nothing_behind(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    keeper = system.address("/top/keeper")
    tracing = asyncio.create_task(inspector.actor("/top/keeper", 3))
    await asyncio.sleep(1)
    await keeper.call("seen")
    keeper.tell("seen, too")
    answer = await tracing
    await keeper.call("too late")
    assert system.clock.now_s() == pytest.approx(3)
    assert [(step["kind"], step["message"], step["result"]) for step in answer["trace"]] == [
        ("in", "'seen'", None),
        ("out", "'seen'", "1"),
        ("in", "'seen, too'", None),
        ("noreply", "'seen, too'", "2"),
    ]
    assert answer["trace_more"] == 0
    assert (answer["trace_statistics"]["received"], answer["trace_statistics"]["calls"]) == (2, 1)
    assert keeper.cell.observer is None


async def test_a_trace_does_not_disturb_the_statistics_that_are_kept_already(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    keeper = system.address("/top/keeper")
    await inspection.statistics(keeper, True)
    await keeper.call("before")
    answer = await inspector.actor("/top/keeper", 1)
    assert answer["trace_statistics"]["handled"] == 1
    kept = await inspection.statistics(keeper)
    assert kept is not None
    assert kept.handled == 1


async def test_a_long_trace_keeps_the_first_steps_and_counts_the_others(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    tracing = asyncio.create_task(inspector.actor("/top/keeper", 1))
    await asyncio.sleep(0.5)
    for number in range(400):
        system.address("/top/keeper").tell(number)
    answer = await tracing
    assert (len(answer["trace"]), answer["trace_more"]) == (STEPS_MAX, 800 - STEPS_MAX)


async def test_a_trace_of_an_actor_that_crashes_shows_what_was_seen(
    system: ActorSystem, inspector: Inspector, top: Any
) -> None:
    tracing = asyncio.create_task(inspector.actor("/top/keeper", 3))
    await asyncio.sleep(1)
    system.address("/top/keeper").tell(fails(KeyError("crash")))
    answer = await tracing
    assert [step["kind"] for step in answer["trace"]] == ["in", "raised"]
    assert answer["incarnation"] == 2


@pytest.mark.parametrize("trace_s", [0, -1, 20.5, float("nan"), float("inf")])
async def test_a_trace_without_a_sensible_time_is_refused(
    inspector: Inspector, top: Any, trace_s: float
) -> None:
    with pytest.raises(BadInput, match="more than 0 and at most 20 s"):
        await inspector.actor("/top/keeper", trace_s)


@pytest.mark.req("222")
async def test_a_hung_actor_is_shown_at_once(system: ActorSystem, inspector: Inspector) -> None:
    ref = await system.spawn(Puppet, Witness(), path="/hung")
    ref.tell(sleeps(3600))
    ref.tell("waits")
    await asyncio.sleep(1)
    answer = await inspector.actor("/hung")
    assert (answer["handling"], answer["mailbox_len"], answer["waiting"]) == (True, 1, ["str"])
    assert system.clock.now_s() == pytest.approx(1)


@pytest.mark.req("205")
async def test_a_known_key_is_hidden_wherever_an_actor_shows_it(
    system: ActorSystem, inspector: Inspector
) -> None:
    class Careless(Keeper):
        def format_status(self) -> Any:
            return {"key": KEY}

    ref = await system.spawn(Careless, path="/careless")
    await inspection.log(ref, 10)
    await ref.call(f"with {KEY}")
    ref.tell(fails(ValueError(KEY)))
    ref.tell(KEY)
    await asyncio.sleep(1)
    await system.spawn(Careless, path="/careless")
    answer = await inspector.actor("/careless")
    assert answer["status"] == "{'key': '***'}"
    assert KEY not in str(answer)
    assert KEY not in str(inspector.dead_letters())
    assert len(inspector.dead_letters()["letters"]) == 1


async def test_dead_letters_are_shown_with_their_causes(system: ActorSystem, inspector: Inspector) -> None:
    for number in range(300):
        system.address("/nobody").tell(number)
    answer = inspector.dead_letters()
    assert (answer["count"], answer["counts"]) == (300, {"nothing runs at this address": 300})
    assert [letter["message"] for letter in answer["letters"]] == [str(number) for number in range(100, 300)]
    assert answer["letters"][0]["recipient"] == "/nobody"
    msgspec.json.encode(answer)


async def test_only_the_crashes_of_so_many_addresses_are_kept(
    system: ActorSystem, inspector: Inspector
) -> None:
    refs = [await system.spawn(Keeper, path=f"/keeper/{number}") for number in range(CRASHES_KEPT_MAX + 1)]
    for ref in refs:
        ref.tell(fails(KeyError("crash")))
    await asyncio.sleep(1)
    crashes = [(await inspector.actor(path))["last_crash"] for path in ("/keeper/0", "/keeper/1")]
    assert crashes[0] is None
    assert crashes[1] is not None
