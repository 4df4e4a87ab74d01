"""Every public callable of the runtime and the supervisors, given nonsense: an error names the parameter and the value.

What every one of them takes (a message, a key, a child's id) is not here, nor are values that the runtime hands out.
Sending looks at nothing on its way: the timeout of a call is looked at where it has to be waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from allstop import supervisors as s
from allstop.actors.runtime import (
    Actor,
    ActorSystem,
    DeadLetters,
    EventHandler,
    EventManager,
    Future,
    Mailbox,
    Ref,
    Registry,
    StartError,
    inspection,
)
from allstop.actors.spec import Stash

NAN = float("nan")
OBJECT = object()
NO_REF = (None, "", -1, NAN, OBJECT)
NO_COUNT = (None, "", -1, NAN, True)
NO_SECONDS = (None, "", -1, NAN, OBJECT)
NO_SECONDS_OR_NONE = ("", -1, NAN, OBJECT)
NO_FUNCTION = (None, "", -1, NAN)
NO_FUNCTION_OR_NONE = ("", -1, NAN)
NO_TEXT = (None, "", -1, NAN, OBJECT)


class Plain(Actor):
    """Answers after a while, so that timeouts are looked at; does to itself what it is told."""

    async def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        await asyncio.sleep(0)
        return message


class Bus(EventManager):
    pass


class Handler(EventHandler):
    pass


@dataclass
class World:
    system: ActorSystem
    plain: Ref
    sup: Ref
    dynamic: Ref
    shards: Ref
    bus: Ref
    actor: Plain


Case = Callable[[World, Any], Awaitable[object] | object]


def rows(table: dict[str, tuple[Case, str, tuple[Any, ...]]]) -> list[Any]:
    return [
        pytest.param(case, names, value, id=f"{what}-{value!r:.12}")
        for what, (case, names, values) in table.items()
        for value in values
    ]


SPEC = s.ChildSpec("a", s.Start(Plain))
FLAGS = s.SupervisorFlags()


async def _stream(w: World, *args: Any, **kwargs: Any) -> None:
    async for _ in s.async_stream(w.dynamic, *args, **kwargs):
        pass


SYSTEM: dict[str, tuple[Case, str, tuple[Any, ...]]] = {
    "ActorSystem(turn)": (lambda w, v: ActorSystem(turn=v), "turn", (*NO_COUNT, 0)),
    "ActorSystem(batch)": (lambda w, v: ActorSystem(batch=v), "batch", (*NO_COUNT, 0)),
    "ActorSystem(max_handler_s)": (
        lambda w, v: ActorSystem(max_handler_s=v), "max_handler_s", (*NO_SECONDS_OR_NONE, 0)),
    "ActorSystem(on_event)": (lambda w, v: ActorSystem(on_event=v), "on_event", NO_FUNCTION_OR_NONE),
    "address": (lambda w, v: w.system.address(v), "path", (None, "", -1, NAN, OBJECT, [], "x", "/x//y", "/x/", "//")),
    "refuse_below(path)": (lambda w, v: w.system.refuse_below(v, None), "path", (None, "", -1, "x")),
    "refuse_below(refusal)": (lambda w, v: w.system.refuse_below("/x", v), "refusal", NO_FUNCTION_OR_NONE),
    "register(ref)": (lambda w, v: w.system.register("x", v), "ref", NO_REF),
    "spawn(actor_class)": (lambda w, v: w.system.spawn(v), "class", (None, "", -1, NAN, OBJECT, int, Plain("x"))),
    "spawn(path)": (lambda w, v: w.system.spawn(Plain, path=v), "path", ("", -1, NAN, [], "x", "/x//y", "/x/")),
    "spawn(parent)": (lambda w, v: w.system.spawn(Plain, parent=v), "parent", ("", -1, NAN, OBJECT)),
    "spawn(while_down)": (
        lambda w, v: w.system.spawn(Plain, while_down=v), "while_down", ("", -1, NAN, Stash(0), Stash(-1))),
    "spawn(start_timeout_s)": (lambda w, v: w.system.spawn(Plain, start_timeout_s=v), "start_timeout_s", NO_SECONDS),
    "spawn(isolation)": (lambda w, v: w.system.spawn(Plain, isolation=v), "isolation", (None, "", -1, "x")),
    "ended": (lambda w, v: w.system.ended(v), "ref", NO_REF),
    "stop(ref)": (lambda w, v: w.system.stop(v), "ref", NO_REF),
    "stop(exit_)": (lambda w, v: w.system.stop(w.plain, v), "exit_", (None, "", -1)),
    "stop(timeout_s)": (lambda w, v: w.system.stop(w.plain, timeout_s=v), "timeout_s", NO_SECONDS),
    "crash(ref)": (lambda w, v: w.system.crash(v, RuntimeError()), "ref", NO_REF),
    "crash(error)": (lambda w, v: w.system.crash(w.plain, v), "error", (None, "", -1, RuntimeError)),
    "kill": (lambda w, v: w.system.kill(v), "ref", NO_REF),
    "retire": (lambda w, v: w.system.retire(v), "ref", NO_REF),
    "get_status": (lambda w, v: w.system.get_status(v), "ref", NO_REF),
    "mailbox_metrics": (lambda w, v: w.system.mailbox_metrics(v), "ref", NO_REF),
    "subscribe": (lambda w, v: w.system.subscribe(v), "subscriber", NO_FUNCTION),
    "DeadLetters(capacity)": (lambda w, v: DeadLetters(w.system, v), "capacity", (*NO_COUNT, 0)),
    "dead_letters.subscribe": (lambda w, v: w.system.dead_letters.subscribe(v), "subscriber", NO_FUNCTION),
    "dead_letters.never_replay": (lambda w, v: w.system.dead_letters.never_replay(v), "types", (None, "", -1)),
    "dead_letters.replay(where)": (lambda w, v: w.system.dead_letters.replay(v), "where", NO_FUNCTION),
    "dead_letters.replay(to)": (
        lambda w, v: w.system.dead_letters.replay(lambda _: True, to=v), "to", ("", -1, OBJECT)),
    "Registry(keys)": (lambda w, v: Registry(v), "", (None, "", -1, "x")),
    "Registry.register": (lambda w, v: Registry().register("k", v), "ref", NO_REF),
    "Registry.unregister": (lambda w, v: Registry().unregister("k", v), "ref", ("", -1, OBJECT)),
    "Registry.forget": (lambda w, v: Registry().forget(v), "ref", NO_REF),
    "Registry.keys": (lambda w, v: Registry().keys(v), "ref", NO_REF),
    "Mailbox(capacity)": (lambda w, v: Mailbox(capacity=v), "capacity", (*NO_COUNT, 0)),
    "Mailbox(overflow)": (lambda w, v: Mailbox(overflow=v), "overflow", (None, "", -1, "x")),
    "Mailbox(put_timeout_s)": (lambda w, v: Mailbox(put_timeout_s=v), "put_timeout_s", (*NO_SECONDS, 0)),
    "Mailbox(key)": (lambda w, v: Mailbox(overflow="conflate", key=v), "key", ("", -1)),  # type: ignore[arg-type]
}  # fmt: skip

ACTOR: dict[str, tuple[Case, str, tuple[Any, ...]]] = {
    "ref.call(timeout_s)": (lambda w, v: w.plain.call("x", timeout_s=v), "timeout_s", NO_SECONDS),
    "ref.ask(timeout)": (
        lambda w, v: asyncio.to_thread(lambda: w.plain.ask("x", timeout=v)), "timeout", NO_SECONDS_OR_NONE),
    "ref.stop(timeout)": (lambda w, v: w.plain.stop(block=False, timeout=v), "timeout", NO_SECONDS_OR_NONE),
    "Future.get": (lambda w, v: Future[int]().get(timeout=v), "timeout", NO_SECONDS_OR_NONE),
    "actor.send_after": (lambda w, v: w.actor.send_after(v, "x"), "delay_s", (None, "", NAN, OBJECT)),
    "actor.monitor": (lambda w, v: w.actor.monitor(v), "ref", NO_REF),
    "actor.watch": (lambda w, v: w.actor.watch(v), "ref", NO_REF),
    "actor.demonitor": (lambda w, v: w.actor.demonitor(v), "monitor", NO_REF),
    "actor.link": (lambda w, v: w.actor.link(v), "ref", NO_REF),
    "actor.unlink": (lambda w, v: w.actor.unlink(v), "ref", NO_REF),
    "actor.set_receive_timeout": (lambda w, v: w.actor.set_receive_timeout(v), "delay_s", NO_SECONDS_OR_NONE),
    "actor.start_task": (lambda w, v: w.actor.start_task(v, "x"), "coroutine", (None, "", -1, max)),
    "actor.exit": (lambda w, v: w.actor.exit(v), "exit_", (None, "", -1)),
    "get_state(ref)": (lambda w, v: inspection.get_state(v), "ref", (*NO_REF, "x")),
    "get_state(timeout_s)": (lambda w, v: inspection.get_state(w.plain, v), "timeout_s", NO_SECONDS),
    "replace_state(function)": (lambda w, v: inspection.replace_state(w.plain, v), "function", NO_FUNCTION),
    "suspend(ref)": (lambda w, v: inspection.suspend(v), "ref", NO_REF),
    "resume(ref)": (lambda w, v: inspection.resume(v), "ref", NO_REF),
    "inspection.get_status": (lambda w, v: inspection.get_status(v), "ref", NO_REF),
    "trace(ref)": (lambda w, v: inspection.trace(v, None), "ref", NO_REF),
    "trace(function)": (lambda w, v: inspection.trace(w.plain, v), "function", NO_FUNCTION_OR_NONE),
    "statistics(ref)": (lambda w, v: inspection.statistics(v), "ref", NO_REF),
    "statistics(on)": (lambda w, v: inspection.statistics(w.plain, v), "on", ("", -1, NAN)),
    "log(ref)": (lambda w, v: inspection.log(v), "ref", NO_REF),
    "log(n)": (lambda w, v: inspection.log(w.plain, v), "n", ("", -1, NAN, 10**9)),
    "install(ref)": (lambda w, v: inspection.install(v, print), "ref", NO_REF),
    "install(hook)": (lambda w, v: inspection.install(w.plain, v), "hook", NO_FUNCTION),
    "remove": (lambda w, v: inspection.remove(v, "key"), "ref", NO_REF),
    "blocking(ref)": (
        lambda w, v: asyncio.to_thread(lambda: inspection.blocking(inspection.get_state, v)), "ref", NO_REF),
    "blocking(function)": (
        lambda w, v: asyncio.to_thread(lambda: inspection.blocking(v, w.plain)), "function", NO_FUNCTION),
    "notify": (lambda w, v: EventManager.notify(v, "e"), "manager", NO_REF),
    "sync_notify": (lambda w, v: EventManager.sync_notify(v, "e"), "manager", NO_REF),
    "add_handler(manager)": (lambda w, v: EventManager.add_handler(v, "h", Handler), "manager", NO_REF),
    "add_handler(handler)": (lambda w, v: EventManager.add_handler(w.bus, v, Handler), "handler", ([], {})),
    "add_sup_handler(owner)": (
        lambda w, v: EventManager.add_sup_handler(w.bus, "h", Handler, owner=v), "owner", NO_REF),
    "delete_handler": (lambda w, v: EventManager.delete_handler(v, "h"), "manager", NO_REF),
    "swap_handler": (lambda w, v: EventManager.swap_handler(v, "h", "i", Handler), "manager", NO_REF),
    "EventManager.call": (lambda w, v: EventManager.call(v, "h", 1), "manager", NO_REF),
    "which_handlers": (lambda w, v: EventManager.which_handlers(v), "manager", NO_REF),
    "EventManager.subscribe(manager)": (lambda w, v: EventManager.subscribe(v, w.plain), "manager", NO_REF),
    "EventManager.subscribe(ref)": (lambda w, v: EventManager.subscribe(w.bus, v), "ref", NO_REF),
    "EventManager.unsubscribe": (lambda w, v: EventManager.unsubscribe(w.bus, v), "ref", NO_REF),
}  # fmt: skip

ASKED: dict[str, Case] = {
    "start_child": lambda w, v: s.start_child(v, SPEC),
    "terminate_child": lambda w, v: s.terminate_child(v, "a"),
    "restart_child": lambda w, v: s.restart_child(v, "a"),
    "delete_child": lambda w, v: s.delete_child(v, "a"),
    "which_children": lambda w, v: s.which_children(v),
    "which_child": lambda w, v: s.which_child(v, "a"),
    "count_children": lambda w, v: s.count_children(v),
    "get_childspec": lambda w, v: s.get_childspec(v, "a"),
    "reconfigure": lambda w, v: s.reconfigure(v, FLAGS),
    "status": lambda w, v: s.status(v),
    "tree": lambda w, v: s.tree(v),
    "breaker_state": lambda w, v: s.breaker_state(v),
    "report_failure": lambda w, v: s.report_failure(v, "http"),
    "report_success": lambda w, v: s.report_success(v),
    "report_probe": lambda w, v: s.report_probe(v, True),
    "reset_breaker": lambda w, v: s.reset_breaker(v, "ann", "tried"),
    "partitions_of": lambda w, v: s.partitions_of(v),
    "async_": lambda w, v: s.async_(v, max, 1, 2, owner=w.actor),
    "async_nolink": lambda w, v: s.async_nolink(v, max, 1, 2),
    "start_task": lambda w, v: s.start_task(v, max, 1, 2),
}

SUPERVISORS: dict[str, tuple[Case, str, tuple[Any, ...]]] = {
    **{f"{name}(supervisor)": (case, "supervisor", NO_REF) for name, case in ASKED.items()},
    "start_child(spec)": (lambda w, v: s.start_child(w.sup, v), "child_spec", (None, "", -1, NAN, OBJECT)),
    "start_child(timeout_s)": (lambda w, v: s.start_child(w.sup, SPEC, timeout_s=v), "timeout_s", NO_SECONDS_OR_NONE),
    "start_child(start_timeout_s)": (
        lambda w, v: s.start_child(w.sup, s.ChildSpec("b", s.Start(Plain), start_timeout_s=v)),
        "start_timeout", NO_SECONDS),
    "start_child(id)": (lambda w, v: s.start_child(w.sup, s.ChildSpec(v, s.Start(Plain))), "id", (None, "", [])),
    "terminate_child(timeout_s)": (lambda w, v: s.terminate_child(w.sup, "a", timeout_s=v), "timeout_s", NO_SECONDS_OR_NONE),
    "status(timeout_s)": (lambda w, v: s.status(w.sup, timeout_s=v), "timeout_s", NO_SECONDS_OR_NONE),
    "reconfigure(flags)": (lambda w, v: s.reconfigure(w.sup, v), "", NO_REF),
    "report_failure(category)": (lambda w, v: s.report_failure(w.sup, v), "category", NO_TEXT),
    "report_probe(ok)": (lambda w, v: s.report_probe(w.sup, v), "ok", (None, "", -1)),
    "reset_breaker(by)": (lambda w, v: s.reset_breaker(w.sup, v, "x"), "by", NO_TEXT),
    "reset_breaker(reason)": (lambda w, v: s.reset_breaker(w.sup, "ann", v), "reason", NO_TEXT),
    "partition_of": (lambda w, v: s.partition_of("k", v), "partitions", (*NO_COUNT, 0)),
    "async_(owner)": (lambda w, v: s.async_(w.dynamic, max, 1, 2, owner=v), "owner", NO_REF),
    "async_nolink(owner)": (lambda w, v: s.async_nolink(w.dynamic, max, 1, 2, owner=v), "owner", ("", -1, OBJECT)),
    "start_task(function)": (lambda w, v: s.start_task(w.dynamic, v), "function", NO_FUNCTION),
    "start_task(restart)": (lambda w, v: s.start_task(w.dynamic, max, 1, 2, restart=v), "restart", (None, "", -1)),
    "start_task(shutdown)": (lambda w, v: s.start_task(w.dynamic, max, 1, 2, shutdown=v), "shutdown", ("", -1, NAN)),
    "start_task(isolation)": (lambda w, v: s.start_task(w.dynamic, max, 1, 2, isolation=v), "isolation", (None, "", -1)),
    "async_stream(function)": (lambda w, v: _stream(w, v, [1]), "function", NO_FUNCTION),
    "async_stream(items)": (lambda w, v: _stream(w, max, v), "items", (None, -1, NAN, OBJECT)),
    "async_stream(max_concurrency)": (lambda w, v: _stream(w, max, [1], max_concurrency=v), "max_concurrency", (*NO_COUNT, 0)),
    "async_stream(timeout_s)": (lambda w, v: _stream(w, max, [1], timeout_s=v), "timeout_s", NO_SECONDS),
    "declare_gates(system)": (lambda w, v: s.declare_gates(v), "system", NO_REF),
    "declare_gates(gates)": (lambda w, v: s.declare_gates(w.system, v), "gate", NO_REF),
    "declare_gates(spacing_s)": (
        lambda w, v: s.declare_gates(w.system, s.RestartGate("x", v)), "spacing_s", NO_SECONDS),
    "declare_gates(burst)": (
        lambda w, v: s.declare_gates(w.system, s.RestartGate("x", 1.0, v)), "burst", NO_COUNT),
    "gates": (lambda w, v: s.gates(v), "system", NO_REF),
    "check_childspecs(specs)": (lambda w, v: s.check_childspecs(v), "specs", NO_REF),
    "check_childspecs(auto_shutdown)": (lambda w, v: s.check_childspecs([], v), "auto_shutdown", ("", -1, NAN)),
    "check_budget(flags)": (lambda w, v: s.check_budget(v, []), "Flags", NO_REF),
    "check_budget(children)": (lambda w, v: s.check_budget(FLAGS, [v]), "children", NO_REF),
    "check_connect_limit(nested)": (
        lambda w, v: s.check_connect_limit([v], connections=1, limit=1, per_s=1.0), "Flags", NO_REF),
    "check_connect_limit(connections)": (
        lambda w, v: s.check_connect_limit([FLAGS], connections=v, limit=1, per_s=1.0), "connections", NO_COUNT),
    "check_connect_limit(limit)": (
        lambda w, v: s.check_connect_limit([FLAGS], connections=1, limit=v, per_s=1.0), "limit", NO_COUNT),
    "check_connect_limit(per_s)": (
        lambda w, v: s.check_connect_limit([FLAGS], connections=1, limit=1, per_s=v), "per_s", (*NO_SECONDS, 0)),
    "Votes(to)": (lambda w, v: s.Votes(v, ("kraken",)), "to", NO_REF),
    "Votes(scope)": (lambda w, v: s.Votes(w.plain, v), "scope", NO_REF),
    "Votes(open_level)": (lambda w, v: s.Votes(w.plain, (), v), "open_level", (None, "", -1)),
    "Supervisor(flags)": (lambda w, v: w.system.spawn(s.Supervisor, v), "Flags", NO_REF),
    "Supervisor(children)": (lambda w, v: w.system.spawn(s.Supervisor, FLAGS, v), "specs", (None, "", -1, NAN)),
    "DynamicSupervisor(max_children)": (
        lambda w, v: w.system.spawn(s.DynamicSupervisor, FLAGS, max_children=v), "max_children", (*NO_COUNT, 0)),
    "TaskSupervisor(max_children)": (
        lambda w, v: w.system.spawn(s.TaskSupervisor, max_children=v), "max_children", (*NO_COUNT, 0)),
    "PartitionSupervisor(spec)": (lambda w, v: w.system.spawn(s.PartitionSupervisor, v, 2), "spec", NO_REF),
    "PartitionSupervisor(partitions)": (
        lambda w, v: w.system.spawn(s.PartitionSupervisor, SPEC, v), "partitions", (*NO_COUNT, 0)),
    "PartitionSupervisor(flags)": (
        lambda w, v: w.system.spawn(s.PartitionSupervisor, SPEC, 2, flags=v), "Flags", ("x", -1, NAN)),
    "PartitionSupervisor(with_arguments)": (
        lambda w, v: w.system.spawn(s.PartitionSupervisor, SPEC, 2, with_arguments=v), "with_arguments", NO_FUNCTION_OR_NONE),
    "CoordinatedShutdown(phases)": (lambda w, v: s.CoordinatedShutdown(v), "phases", (None, "x", -1)),
    "CoordinatedShutdown(timeout_s)": (
        lambda w, v: s.CoordinatedShutdown({"a": s.Phase(timeout_s=v)}), "timeout_s", (*NO_SECONDS, 0)),
    "add_task(phase)": (lambda w, v: s.CoordinatedShutdown({"a": s.Phase()}).add_task(v, "t", list), "phase", (None, "", -1, [])),
    "add_task(name)": (lambda w, v: s.CoordinatedShutdown({"a": s.Phase()}).add_task("a", v, list), "name", NO_TEXT),
    "add_task(function)": (
        lambda w, v: s.CoordinatedShutdown({"a": s.Phase()}).add_task("a", "t", v), "function", NO_FUNCTION),
    "shutdown.run(reason)": (lambda w, v: s.CoordinatedShutdown({}).run(v), "reason", NO_TEXT),
    "shutdown.run(from_phase)": (
        lambda w, v: s.CoordinatedShutdown({"a": s.Phase()}).run("x", from_phase=v), "phase", ("", -1, "x")),
}  # fmt: skip


async def _tried(case: Case, world: World, value: Any) -> None:
    result = case(world, value)
    if isinstance(result, Awaitable):
        await asyncio.wait_for(result, 2.0)


@pytest.mark.parametrize(("case", "names", "value"), rows({**SYSTEM, **ACTOR, **SUPERVISORS}))
async def test_nonsense_is_refused_with_its_name_and_what_was_given(
    case: Case, names: str, value: Any
) -> None:
    async with ActorSystem(max_handler_s=None, tuned=False) as system:
        plain = await system.spawn(Plain, path="/plain")
        world = World(
            system,
            plain,
            await system.spawn(s.Supervisor, FLAGS, path="/sup"),
            await system.spawn(s.TaskSupervisor, path="/tasks"),
            await system.spawn(s.PartitionSupervisor, SPEC, 2, path="/shards"),
            await system.spawn(Bus, path="/bus"),
            plain.cell.actor,
        )
        with pytest.raises(Exception) as caught:
            await _tried(case, world, value)
        error = caught.value
        if isinstance(error, StartError) and error.cause is not None:
            error = error.cause
        ours = type(error).__module__.startswith("allstop.") and not isinstance(
            error, TimeoutError | StartError
        )
        assert ours or isinstance(error, TypeError | ValueError), repr(error)
        assert names in str(error)
        given = type(value).__name__ if isinstance(value, Actor) else f"{value!r:.60}"
        assert given in str(error) or (value is None and "missing" in str(error)), str(error)
        assert plain.is_alive()


@pytest.mark.parametrize("name", ASKED)
async def test_what_is_no_supervisor_is_refused_at_once_with_its_path_and_class(name: str) -> None:
    """A plain actor could take the question for anything."""
    async with ActorSystem(max_handler_s=None, tuned=False) as system:
        plain = await system.spawn(Plain, path="/plain")
        world = World(system, plain, plain, plain, plain, plain, plain.cell.actor)
        with pytest.raises(s.NotASupervisor, match=r"<Ref /plain> is a Plain, not a \w*Supervisor"):
            await _tried(ASKED[name], world, plain)
        assert (await inspection.statistics(plain, on=True)) is not None
        assert plain.is_alive()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"significant": True},
            r"significant of child 'a', with permanent \(a significant child ends its supervisor",
        ),
        (
            {"restart": "temporary", "budget": s.ChildBudget(1, 1.0)},
            r"budget of child 'a', with temporary \(a temp",
        ),
        (
            {"type": "supervisor", "isolation": "thread"},
            r"isolation of child 'a', with supervisor \(a supervisor runs",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_named_with_the_reason(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(s.InvalidChildSpec, match=words):
        s.check_childspecs([{"id": "a", "start": s.Start(Plain), **spec}])
