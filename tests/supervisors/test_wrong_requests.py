"""What a supervisor is asked may be nonsense: whoever asked is told so, and the children go on."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from allstop.actors.runtime import Actor, ActorSystem, Ref
from allstop.actors.spec import ChildBudget, ChildSpec, Start, SupervisorFlags
from allstop.supervisors import (
    DynamicSupervisor,
    InvalidChildSpec,
    InvalidFlags,
    NotFound,
    Supervisor,
    UnknownRequest,
    delete_child,
    get_childspec,
    reconfigure,
    restart_child,
    start_child,
    terminate_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual


class Plain(Actor):
    def __init__(self, *_given: object) -> None:
        super().__init__()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message


class Incomparable:
    """As an array of numbers is: a comparison gives no answer."""

    __hash__ = object.__hash__

    def __eq__(self, _other: object) -> bool:
        raise ValueError("ambiguous")


def child(child_id: Any, *args: Any, **fields: Any) -> ChildSpec:
    return ChildSpec(child_id, Start(Plain, args), **fields)


async def lives(supervisor: Ref) -> bool:
    (known,) = await which_children(supervisor)
    return known.incarnation == 1


@pytest.mark.req("63", "67", "72", "79")
@pytest.mark.parametrize("ask", [which_child, get_childspec, terminate_child, restart_child, delete_child])
@pytest.mark.parametrize("nonsense", [["a"], {}, ("a", ["b"])])
async def test_an_id_that_none_can_be_is_not_found(
    ask: Callable[[Ref, Any], Awaitable[Any]], nonsense: Any
) -> None:
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, SupervisorFlags(), [child("a")], path="/s")
        with pytest.raises(NotFound):
            await ask(supervisor, nonsense)
        assert await lives(supervisor)


@pytest.mark.req("46")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (child(("a", ["b"])), "invalid_id"),
        (child("b", shutdown=10**400), "invalid_shutdown"),
        (child("b", start_timeout_s=10**400), "invalid_start_timeout"),
        ({"id": "b", "start": Start(Plain), "shutdown": 10**400}, "invalid_shutdown"),
    ],
)
async def test_a_spec_that_python_itself_chokes_on_is_refused(wrong: Any, code: str) -> None:
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, SupervisorFlags(), [child("a")], path="/s")
        with pytest.raises(InvalidChildSpec) as refused:
            await start_child(supervisor, wrong)
        assert refused.value.code == code
        assert await lives(supervisor)


class SlowStart(Actor):
    async def on_start(self) -> None:
        await asyncio.sleep(20)


@pytest.mark.parametrize("fields", [{}, {"start_timeout_s": 25.0}])
async def test_a_mapping_is_waited_for_as_a_spec_is(fields: dict[str, Any]) -> None:
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, SupervisorFlags(), path="/s")
        asked: Any = {"id": "slow", "start": Start(SlowStart), **fields}
        started = await start_child(supervisor, asked)
        assert started is not None
        assert started.is_alive()


async def test_arguments_that_cannot_be_compared_are_a_change() -> None:
    async with ActorSystem() as system:
        specs = [child("a", Incomparable())]
        supervisor = await system.spawn(Supervisor, SupervisorFlags(), specs, path="/s")
        assert await reconfigure(supervisor, SupervisorFlags(), specs) == ()
        assert await reconfigure(supervisor, SupervisorFlags(), [child("a", Incomparable())]) == (
            "changed a",
        )
        assert await lives(supervisor)


@pytest.mark.parametrize("most", [sys.maxsize, 10**30])
async def test_a_budget_may_be_as_large_as_a_number_can_be(most: int) -> None:
    flags = SupervisorFlags(max_restarts=most)
    async with ActorSystem() as system:
        specs = [child("a"), child("b", budget=ChildBudget(most, 1.0))]
        supervisor = await system.spawn(Supervisor, flags, specs, path="/s")
        for name in ("/s/a", "/s/b"):
            system.address(name).tell(ValueError("boom"))
        await asyncio.sleep(0.1)
        assert [known.incarnation for known in await which_children(supervisor)] == [2, 2]
        await reconfigure(supervisor, SupervisorFlags(max_restarts=1, max_seconds=0.5))
        await reconfigure(supervisor, flags)
        assert [known.incarnation for known in await which_children(supervisor)] == [2, 2]


@pytest.mark.parametrize("most", ["3", 1.5, True, None, 0])
async def test_the_most_children_of_a_dynamic_supervisor_are_a_whole_number(most: Any) -> None:
    async with ActorSystem() as system:
        with pytest.raises(Exception) as failed:
            await system.spawn(DynamicSupervisor, SupervisorFlags(), max_children=most)
        refused = failed.value.__cause__
        assert isinstance(refused, InvalidFlags)
        assert refused.code == "invalid_max_children"


async def test_a_call_that_a_supervisor_does_not_know_is_an_error_and_not_an_answer() -> None:
    async with ActorSystem() as system:
        top = await system.spawn(
            Supervisor, SupervisorFlags(), [ChildSpec("child", Start(Plain))], path="/top"
        )
        with pytest.raises(UnknownRequest, match="/top: a supervisor does not know str; which_children"):
            await top.call("which_children")
        top.tell("which_children")
        assert len(await which_children(top)) == 1
        assert top.incarnation == 1
