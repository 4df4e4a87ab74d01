"""isolation="process": an actor in a process of its own is an actor like every other, and its kill is real.

These are real processes; waits are bounded by WAIT_S.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import process_puppets as pp
from tests.runtime.process_puppets import Do, Limit, Price, Remote
from tests.runtime.puppet import Witness

import allstop.actors
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.events import ChildTerminated, CrashReport
from allstop.actors.exits import NORMAL, SHUTDOWN, ExitKind, shutdown
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    CallTimeout,
    Down,
    InspectionRefused,
    InspectionTimeout,
    MailboxFull,
    Overrun,
    ProcessDied,
    Ref,
    RemoteError,
    StartError,
    StartTimeout,
    Unencodable,
    inspection,
)
from allstop.actors.spec import ChildSpec, Isolation, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.supervisor import Supervisor, start_child, terminate_child

WAIT_S = 20.0  # the machine may be busy; none of this takes more than a second on an idle one


@pytest.fixture
async def system(witness: Witness) -> AsyncIterator[ActorSystem]:
    async with ActorSystem(on_event=witness.events.append, max_handler_s=None) as system:
        yield system


class Collector(Actor):
    """Keeps what it is told, in this process."""

    def __init__(self, got: list[Any]) -> None:
        self.got = got

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Ref):
            self.monitor(message)
            return None
        self.got.append(message)
        return ["got", message]


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.002)


async def spawn(
    system: ActorSystem, actor_class: type[Actor] = Remote, *args: Any, path: str = "/far"
) -> Ref:
    return await system.spawn(actor_class, *args, path=path, isolation="process")


def ask(ref: Ref, what: str, arg: Any = None, timeout_s: float = WAIT_S) -> Any:
    return ref.call(Do(what, arg), timeout_s=timeout_s)


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def child_of(actor_class: type[Actor] = Remote, child_id: str = "far", **fields: Any) -> ChildSpec:
    return ChildSpec(child_id, Start(actor_class), isolation=Isolation.PROCESS, **fields)


# -- a life -----------------------------------------------------------------------------------------------------------
async def test_an_actor_in_a_process_has_its_address_its_arguments_and_its_messages(
    system: ActorSystem,
) -> None:
    got: list[Any] = []
    await system.spawn(Collector, got, path="/witness")
    ref = await system.spawn(
        Remote, "/witness", Price("a", Decimal("1.5")), level=(1, {2}), path="/far", isolation="process"
    )
    pid, path, incarnation, parent, args, kwargs = await ask(ref, "who")
    assert pid != os.getpid()
    assert (path, incarnation, parent) == ("/far", 1, None)
    assert (args, kwargs) == (["/witness", Price("a", Decimal("1.5"))], {"level": (1, {2})})
    for message in ("told", Price("BTC/USD", Decimal("0.10")), Limit(3), (1, {"a": Decimal(2)}), ref):
        ref.tell(message)
    assert await ask(ref, "seen") == [
        "told", Price("BTC/USD", Decimal("0.10")), Limit(3), (1, {"a": Decimal(2)}), ref,
    ]  # fmt: skip
    assert await asyncio.to_thread(ref.ask, "from a thread", timeout=WAIT_S) == "from a thread"
    assert await system.stop(ref, shutdown("enough"), WAIT_S) == shutdown("enough")
    assert got == ["stopped: shutdown: enough"]
    assert not runs(pid)
    assert system.leaked == []


async def test_an_asynchronous_actor_runs_on_the_loop_of_its_process(system: ActorSystem) -> None:
    ref = await spawn(system, pp.Asynchronous)
    assert await ref.call(Price("a", Decimal(1)), timeout_s=WAIT_S) == ["go", Price("a", Decimal(1))]
    assert await system.stop(ref, timeout_s=WAIT_S) == SHUTDOWN


async def test_what_a_handler_refuses_the_caller_gets_and_the_actor_lives(system: ActorSystem) -> None:
    ref = await spawn(system)
    with pytest.raises(Refused) as refused:
        await ask(ref, "refuse")
    assert (refused.value.code, refused.value.place) == (RefusalCode.LEVEL, "/x")
    with pytest.raises(Unencodable, match=r"builtins\.object is not in `wire`"):
        await ask(ref, "bad_reply")
    with pytest.raises(CallTimeout):
        await ask(ref, "nap", 0.1, timeout_s=0.02)
    deferred = asyncio.create_task(ask(ref, "defer"))
    await asyncio.sleep(0)
    assert await ask(ref, "settle", "later") is None
    assert await deferred == "later"
    assert (await ask(ref, "who"))[2] == 1


async def test_what_cannot_travel_is_refused_at_the_sender_and_nothing_is_lost(system: ActorSystem) -> None:
    ref = await spawn(system)
    with pytest.raises(
        Unencodable, match=r"builtin_function_or_method cannot be sent .* - at `\$\.note\[1\]`"
    ):
        ref.tell(Limit(1, [0, print]))
    with pytest.raises(Unencodable, match=r"Price cannot be sent .*str.* - at `"):
        await ref.call(Price(7, Decimal(1)))  # type: ignore[arg-type]
    with pytest.raises(Unencodable, match="16777221 bytes, and 16777216 is the most"):
        ref.tell(bytes(16 * 1024 * 1024))
    with pytest.raises(Unencodable, match="a proxy needs the actor's object"):
        await asyncio.to_thread(lambda: ref.proxy().incarnation.get(timeout=WAIT_S))
    ref.tell(bytes(5_000_000))
    assert [len(blob) for blob in await ask(ref, "seen")] == [5_000_000]
    assert system.dead_letters.count == 0


async def test_an_actor_that_ends_itself_ends_cleanly_and_is_not_restarted_if_transient(
    system: ActorSystem,
) -> None:
    specs = (child_of(restart=Restart.TRANSIENT),)
    await system.spawn(Supervisor, SupervisorFlags(), specs, path="/top", start_timeout_s=WAIT_S)
    ref = system.address("/top/far")
    assert (await ask(ref, "who"))[3] == "/top"
    ref.tell(Do("exit"))
    await until(lambda: not ref.is_alive())
    assert ref.last_exit == NORMAL
    await asyncio.sleep(0.02)
    assert ref.incarnation == 1


async def test_draining_handles_what_came_before_the_stop(system: ActorSystem) -> None:
    got: list[Any] = []
    await system.spawn(Collector, got, path="/witness")
    ref = await spawn(system)
    ref.tell(Do("block", 0.05))
    for number in range(100):
        ref.tell(Do("tell", ["/witness", number]))
    assert await system.stop(ref, timeout_s=WAIT_S, drain=True) == NORMAL
    assert got == list(range(100))


# -- starting ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("actor_class", "args", "cause"),
    [(pp.BadConstructor, ("words",), KeyError("words")), (pp.BadStart, (), OSError(5, "no such venue"))],
)
async def test_a_start_that_fails_there_fails_here_with_the_error_and_its_traceback(
    system: ActorSystem, actor_class: type[Actor], args: tuple[Any, ...], cause: Exception
) -> None:
    with pytest.raises(StartError) as failed:
        await spawn(system, actor_class, *args)
    assert (type(failed.value.cause), failed.value.cause and failed.value.cause.args) == (
        type(cause),
        cause.args,
    )
    assert "process_puppets.py" in failed.value.cause.__notes__[0]  # type: ignore[union-attr]
    assert not system.address("/far").is_alive()


async def test_a_start_that_takes_too_long_is_killed(system: ActorSystem) -> None:
    with pytest.raises(StartTimeout):
        await system.spawn(pp.SlowStart, path="/far", isolation="process", start_timeout_s=0.2)
    await until(lambda: not system.leaked)
    assert not system.address("/far").is_alive()


async def test_an_actor_that_is_not_wanted_ends_cleanly(system: ActorSystem) -> None:
    ref = await spawn(system, pp.NotWanted)
    assert not ref.is_alive()
    assert ref.last_exit is not None
    assert ref.last_exit.clean


async def test_a_class_or_an_argument_that_another_process_cannot_have_is_refused_before_it_starts(
    system: ActorSystem,
) -> None:
    class Local(Actor):
        pass

    with pytest.raises(StartError, match=r"<locals>.Local stands in a function.*: move it out"):
        await spawn(system, Local)
    with pytest.raises(StartError, match=r"BadWire: wire names <class 'dict'>, which is no msgspec Struct"):
        await spawn(system, pp.BadWire)
    with pytest.raises(StartError, match=r"object cannot be sent to another process.*- at `\$\[0\]\[1\]`"):
        await spawn(system, Remote, 1, object())


# -- ends -------------------------------------------------------------------------------------------------------------
DEATHS = (("kill", 9, "signal 9"), ("segfault", None, "signal 11"), ("quit", 3, "code 3"))


async def test_a_process_that_dies_is_an_ordinary_end_which_the_supervisor_handles(
    system: ActorSystem, witness: Witness
) -> None:
    await system.spawn(Supervisor, SupervisorFlags(), (child_of(),), path="/top", start_timeout_s=WAIT_S)
    ref = system.address("/top/far")
    for number, (what, arg, how) in enumerate(DEATHS):
        waiting = [asyncio.create_task(ask(ref, what, arg)), asyncio.create_task(ask(ref, "who"))]
        await asyncio.sleep(0)
        ref.tell(f"told {what}")
        for task in waiting:
            with pytest.raises(ActorDead):
                await task
        await until(lambda: ref.incarnation == number + 2 and ref.is_alive())  # noqa: B023
        error = witness.crashes[number].error
        assert isinstance(error, ProcessDied)
        assert how in str(error)
        assert witness.crashes[number].last_message == Do(what, arg)
        ended = [event for event in witness.events if isinstance(event, ChildTerminated)]
        assert (ended[number].child, ended[number].clean) == ("far", False)
        assert f"told {what}" in [letter.message for letter in system.dead_letters.recent()]
    assert (await ask(ref, "who"))[2] == len(DEATHS) + 1
    assert system.leaked == []


async def test_restarts_of_processes_are_counted_against_the_budget(system: ActorSystem) -> None:
    flags = SupervisorFlags(max_restarts=1, max_seconds=60)
    top = await system.spawn(Supervisor, flags, (child_of(),), path="/top", start_timeout_s=WAIT_S)
    ref = system.address("/top/far")
    ref.tell(Do("quit", 1))
    await until(lambda: ref.incarnation == 2 and ref.is_alive())
    await ask(ref, "who")
    ref.tell(Do("quit", 1))
    await until(lambda: not top.is_alive())
    assert top.last_exit is not None
    assert "gave up" in str(top.last_exit.error)
    assert isinstance(top.last_exit.error.causes[-1], ProcessDied)  # type: ignore[union-attr]


async def test_a_crash_is_told_with_the_error_its_message_and_what_waited(
    system: ActorSystem, witness: Witness
) -> None:
    got: list[Any] = []
    collector = await system.spawn(Collector, got, path="/witness")
    ref = await spawn(system)
    await collector.call(ref)
    ref.tell(Do("block", 0.05))
    crashing = asyncio.create_task(ask(ref, "crash", "asked to"))
    await asyncio.sleep(0)
    ref.tell("behind")
    with pytest.raises(ValueError, match="asked to"):
        await crashing
    await until(lambda: got)
    assert isinstance(got[0], Down)
    assert (got[0].incarnation, got[0].exit.kind) == (1, ExitKind.CRASHED)
    error = got[0].exit.error
    assert isinstance(error, RemoteError)
    assert (error.type_name, error.message, type(error.__cause__)) == ("ValueError", "asked to", ValueError)
    assert "do_crash" in error.traceback_text
    assert witness.crashes[0].last_message == Do("crash", "asked to")
    assert witness.crashes[0].actor_class == "Remote"
    assert "do_crash" in witness.crashes[0].text()
    assert [letter.message for letter in system.dead_letters.recent()] == ["behind"]


async def test_a_fatal_error_there_is_fatal_here(system: ActorSystem) -> None:
    top = await system.spawn(
        Supervisor, SupervisorFlags(), (child_of(),), path="/top", start_timeout_s=WAIT_S
    )
    system.address("/top/far").tell(Do("fatal"))
    await until(lambda: not top.is_alive())
    assert system.address("/top/far").incarnation == 1
    assert top.last_exit is not None
    assert top.last_exit.fatal


async def test_a_kill_is_real_and_nothing_of_the_killed_process_is_accepted(system: ActorSystem) -> None:
    got: list[Any] = []
    await system.spawn(Collector, got, path="/witness")
    ref = await spawn(system)
    pid = (await ask(ref, "who"))[0]
    ref.tell(Do("tick", "/witness"))
    await until(lambda: len(got) > 3)
    system.kill(ref)
    count = len(got)
    assert ref.last_exit is not None
    assert ref.last_exit.kind is ExitKind.KILLED
    await until(lambda: not runs(pid) and not system.leaked)
    assert len(got) == count
    with pytest.raises(ActorDead):
        await ask(ref, "who")


async def test_an_actor_that_does_not_stop_in_time_is_killed_and_nothing_is_left(system: ActorSystem) -> None:
    ref = await spawn(system)
    pid = (await ask(ref, "who"))[0]
    ref.tell(Do("block", 60))
    await asyncio.sleep(0.02)
    exit_ = await system.stop(ref, timeout_s=0.1)
    assert exit_.kind is ExitKind.KILLED
    assert isinstance(exit_.detail, Overrun)
    await until(lambda: not runs(pid) and not system.leaked)  # a busy machine takes its time to bury it


async def test_a_handler_that_takes_too_long_is_killed_where_the_class_asks_for_it(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await spawn(system, pp.Timed)
    assert await ask(ref, "nap", 0.01) == "rested"
    with pytest.raises(ActorDead, match=r"HandlerTimeout: .* worked on a Do for more than 0\.5 s"):
        await ask(ref, "block", 60)
    assert witness.crashes[0].last_message == Do("block", 60)


async def test_a_signal_to_the_group_is_for_the_parent_to_act_on_and_logs_go_to_stderr(
    system: ActorSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    ref = await spawn(system)
    assert await ask(ref, "ignores")
    await ask(ref, "print", "seen on stderr")
    await ask(ref, "log", "logged")
    out, err = capfd.readouterr()
    assert "seen on stderr" in err
    assert "logged" in err
    assert "/far" in err
    assert out == ""


ORPHAN = """
import asyncio, sys
from tests.runtime.process_puppets import Do, Remote
from allstop.actors.runtime import ActorSystem

async def main():
    async with ActorSystem() as system:
        ref = await system.spawn(Remote, path="/far", isolation="process")
        print((await ref.call(Do("who"), timeout_s=20))[0], flush=True)
        ref.tell(Do("block", 600))
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_process_whose_parent_is_killed_ends_also_in_the_middle_of_a_handler(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(ORPHAN)
    root = Path(__file__).resolve().parents[2]
    home = Path(allstop.actors.__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=subprocess.PIPE, cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(home), str(root)))},
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), WAIT_S))
    await asyncio.sleep(0.1)
    assert runs(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: not runs(pid))


# -- groups -----------------------------------------------------------------------------------------------------------
async def test_a_process_is_a_member_of_its_group(system: ActorSystem) -> None:
    got: list[Any] = []
    near = ChildSpec("near", Start(Collector, (got,)))
    flags = SupervisorFlags(strategy=Strategy.ONE_FOR_ALL)
    await system.spawn(Supervisor, flags, (child_of(), near), path="/top", start_timeout_s=WAIT_S)
    near_ref, far_ref = system.address("/top/near"), system.address("/top/far")
    first = (await ask(far_ref, "who"))[0]
    system.kill(near_ref)
    await until(lambda: far_ref.incarnation == 2 and far_ref.is_alive() and near_ref.is_alive())
    assert (await ask(far_ref, "who"))[0] != first
    assert not runs(first)
    far_ref.tell(Do("quit", 1))
    await until(lambda: far_ref.incarnation == 3 and far_ref.is_alive())
    await until(lambda: near_ref.incarnation == 3)


async def test_a_dynamic_supervisor_starts_and_stops_processes(system: ActorSystem) -> None:
    top = await system.spawn(DynamicSupervisor, SupervisorFlags(), max_children=3, path="/top")
    specs = [child_of(child_id=name) for name in ("one", "two")]
    refs = await asyncio.gather(*(start_child(top, spec) for spec in specs))
    pids = [(await ask(ref, "who"))[0] for ref in refs if ref is not None]
    assert len({*pids, os.getpid()}) == 3
    await terminate_child(top, "one")
    assert [runs(pid) for pid in pids] == [False, True]
    await system.stop(top, timeout_s=WAIT_S)
    assert not runs(pids[1])


# -- neighbours -------------------------------------------------------------------------------------------------------
async def test_an_actor_in_a_process_tells_calls_monitors_and_links_to_those_of_its_parent(
    system: ActorSystem,
) -> None:
    got: list[Any] = []
    near = await system.spawn(Collector, got, path="/near")
    ref = await spawn(system, pp.Trapping)
    assert await ask(ref, "call", ["/near", Price("a", Decimal(1))]) == ["got", Price("a", Decimal(1))]
    await ask(ref, "tell", ["/near", "told"])
    await until(lambda: got == [Price("a", Decimal(1)), "told"])
    await ask(ref, "monitor", "/near")
    await ask(ref, "link", "/near")
    await ask(ref, "tell", ["/nobody", "lost"])
    await until(lambda: system.dead_letters.count)
    assert system.dead_letters.recent()[0].recipient == "/nobody"
    await system.stop(near)
    async with asyncio.timeout(WAIT_S):
        while len(seen := await ask(ref, "seen")) < 2:
            await asyncio.sleep(0.002)
    assert sorted(seen) == ["Down /near shutdown", "ExitSignal /near shutdown"]
    with pytest.raises(ActorDead):
        await ask(ref, "call", ["/near", "anybody?"])


async def test_a_link_ends_a_process_with_its_peer(system: ActorSystem) -> None:
    near = await system.spawn(Collector, [], path="/near")
    ref = await spawn(system)
    pid = (await ask(ref, "who"))[0]
    await ask(ref, "link", "/near")
    await system.stop(near, shutdown("closing"))
    await until(lambda: not runs(pid))
    assert ref.last_exit == shutdown("closing")


# -- mailboxes --------------------------------------------------------------------------------------------------------
async def held(system: ActorSystem, actor_class: type[Actor], seconds: float = 0.3) -> Ref:
    """A running actor that is busy for a while."""
    ref = await spawn(system, actor_class)
    ref.tell(Do("block", seconds))
    return ref


async def test_the_bound_counts_what_was_sent_and_not_handled(system: ActorSystem) -> None:
    ref = await held(system, pp.Small)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull, match=r"\(3 messages\)"):
        ref.tell("too many")
    with pytest.raises(MailboxFull):
        await ref.call("too many")
    status = system.get_status(ref)
    assert status is not None
    assert (status.mailbox_len, status.handling) == (3, True)
    assert await asyncio.wait_for(until_room(ref), WAIT_S) == [0, 1, 2]


async def until_room(ref: Ref) -> Any:
    while True:
        try:
            return await ask(ref, "seen")
        except MailboxFull:
            await asyncio.sleep(0.005)


async def test_a_full_mailbox_may_drop_the_newest(system: ActorSystem) -> None:
    ref = await held(system, pp.DropsNewest)
    for number in range(5):
        ref.tell(number)
    assert [letter.message for letter in system.dead_letters.recent()] == [3, 4]
    await until(lambda: (status := system.get_status(ref)) is not None and not status.mailbox_len)
    assert await ask(ref, "seen") == [0, 1, 2]


async def test_a_full_mailbox_may_drop_the_oldest_that_has_not_been_sent(system: ActorSystem) -> None:
    ref = await held(system, pp.DropsOldest)
    for number in range(68):
        ref.tell(number)
    assert [letter.message for letter in system.dead_letters.recent()] == [63, 64]
    await until(lambda: (status := system.get_status(ref)) is not None and not status.mailbox_len)
    assert await ask(ref, "seen") == [*range(63), 65, 66, 67]


async def test_a_full_mailbox_may_hold_its_senders_back(system: ActorSystem) -> None:
    ref = await held(system, pp.Blocks, 0.2)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull, match=r"use `await ref.put\(message\)`"):
        ref.tell("at once")
    thread = threading.Thread(target=ref.tell, args=("from a thread",), daemon=True)
    thread.start()
    await ref.put("put")
    await asyncio.to_thread(thread.join, WAIT_S)
    seen = await ask(ref, "seen")
    assert seen[:3] == [0, 1, 2]
    assert sorted(seen[3:]) == ["from a thread", "put"]


async def test_newer_messages_replace_those_of_their_key_that_have_not_been_sent(system: ActorSystem) -> None:
    ref = await held(system, pp.Conflates)
    for number in range(63):
        ref.tell(number)
    for bid in range(5):
        ref.tell(Price("a", Decimal(bid)))
    seen = await ask(ref, "seen")
    assert seen[63:] == [Price("a", Decimal(4))]


async def test_what_the_actor_shows_is_seen_beside_its_mailbox(system: ActorSystem) -> None:
    ref = await spawn(system)
    for number in range(3):
        ref.tell(number)
    pid = (await ask(ref, "who"))[0]

    def shown() -> Any:
        status = system.get_status(ref)
        assert status is not None
        return status.shown

    await until(lambda: shown()["status"] == {"seen": 3})
    assert shown() == {"pid": pid, "sent": 0, "status": {"seen": 3}}


async def test_threads_may_tell_all_at_once_and_each_message_arrives_once(system: ActorSystem) -> None:
    ref = await spawn(system)

    def tell(base: int) -> None:
        for number in range(base, base + 100):
            ref.tell(number)

    await asyncio.gather(*(asyncio.to_thread(tell, base) for base in (0, 1000, 2000)))
    seen = await ask(ref, "seen")
    assert sorted(seen) == [*range(100), *range(1000, 1100), *range(2000, 2100)]
    for base in (0, 1000, 2000):  # and in the order of each sender
        assert [number for number in seen if base <= number < base + 100] == list(range(base, base + 100))


# -- simulated --------------------------------------------------------------------------------------------------------
@pytest.mark.virtual
async def test_in_a_simulation_it_runs_on_the_loop_and_its_messages_are_coded_all_the_same(
    system: ActorSystem,
) -> None:
    ref = await system.spawn(pp.Costly, Price("a", Decimal(1)), path="/far", isolation="process")
    before_s = system.clock.now_s()
    assert (await ask(ref, "who"))[0] == os.getpid()
    assert system.clock.now_s() - before_s == pytest.approx(0.25)
    message = [1, 2]
    ref.tell(message)
    message.append(3)
    assert await ask(ref, "seen") == [[1, 2]]
    with pytest.raises(Unencodable):
        ref.tell(object())
    with pytest.raises(Unencodable):
        await ref.call(Limit(1, print))
    with pytest.raises(StartError, match="object cannot be sent to another process"):
        await system.spawn(pp.Costly, object(), isolation="process")
    with pytest.raises(Unencodable):
        await ask(ref, "bad_reply")
    with pytest.raises(ValueError, match="asked to"):
        await ask(ref, "crash", "asked to")
    assert not ref.is_alive()


# -- inspection -------------------------------------------------------------------------------------------------------
async def test_the_state_of_an_actor_in_a_process_travels_and_what_cannot_is_shown_by_its_repr(
    system: ActorSystem,
) -> None:
    ref = await spawn(system)
    assert (await inspection.get_status(ref)).state == "running"
    ref.tell(Price("a", Decimal(1)))
    await ask(ref, "keep_a_lock")
    state = await inspection.get_state(ref)
    assert state["seen"] == [Price("a", Decimal(1))]
    assert "lock" in repr(state["lock"])
    with pytest.raises(InspectionRefused, match="a function does not travel: tell it a message"):
        await inspection.replace_state(ref, lambda state: state)


async def test_an_actor_in_a_process_is_suspended_and_resumed_there(system: ActorSystem) -> None:
    ref = await spawn(system)
    await inspection.suspend(ref)
    ref.tell(Price("a", Decimal(1)))
    with pytest.raises(CallTimeout):
        await ref.call(pp.Do("seen"), timeout_s=0.3)
    assert (await inspection.get_state(ref))["seen"] == []
    await inspection.resume(ref)
    assert await ask(ref, "seen") == [Price("a", Decimal(1))]


async def test_a_suspension_that_comes_too_late_is_none(system: ActorSystem) -> None:
    ref = await spawn(system)
    ref.tell(pp.Do("hold", 1.0))
    with pytest.raises(InspectionTimeout, match=r"/far did not come between two messages within 0.2 s"):
        await inspection.suspend(ref, 0.2)
    assert await ask(ref, "seen") == []


async def test_an_actor_in_a_process_is_counted_logged_and_traced(system: ActorSystem) -> None:
    ref = await spawn(system)
    steps: list[inspection.Step] = []
    assert await inspection.statistics(ref, on=True) is not None
    await inspection.trace(ref, steps.append)
    assert await inspection.log(ref, 10) == []
    ref.tell(Price("a", Decimal(1)))
    assert await ask(ref, "seen") == [Price("a", Decimal(1))]
    found = await inspection.statistics(ref)
    assert found is not None
    assert (found.handled, found.calls, found.raised) == (2, 1, 0)
    assert [(step.kind.value, step.message) for step in steps[:2]] == [
        ("in", Price("a", Decimal(1))),
        ("noreply", Price("a", Decimal(1))),
    ]
    assert (steps[-1].kind.value, steps[-1].result) == ("out", [Price("a", Decimal(1))])
    assert await inspection.log(ref) == steps
    await inspection.trace(ref, None)
    assert await inspection.log(ref, 0) != []
    assert await ask(ref, "seen") == [Price("a", Decimal(1))]
    assert len(steps) == 4


async def test_whoever_looks_at_an_actor_whose_process_dies_is_told_so(system: ActorSystem) -> None:
    ref = await spawn(system)
    ref.tell(pp.Do("block", 30.0))
    looking = asyncio.ensure_future(inspection.get_state(ref, 20.0))
    await asyncio.sleep(0.1)
    os.kill(ref.cell.pid, signal.SIGKILL)
    with pytest.raises(ActorDead):
        await looking


# -- stash ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("end", ["kill", "exit"])
async def test_what_was_stashed_in_a_process_is_a_dead_letter_when_that_ends(
    system: ActorSystem, end: str
) -> None:
    ref = await system.spawn(pp.Stashing, path="/far", isolation="process")
    for number in range(3):
        ref.tell(number)
    asked = asyncio.ensure_future(ref.call(3, timeout_s=20.0))
    assert await ask(ref, "seen") == []
    ref.tell("take")
    assert await ask(ref, "seen") == [0, 1, 2, 3]
    assert await asked == 3
    for number in range(4, 6):
        ref.tell(number)
    waits = asyncio.ensure_future(ref.call(6, timeout_s=20.0))
    assert await ask(ref, "seen") == [0, 1, 2, 3]
    if end == "kill":
        os.kill(ref.cell.pid, signal.SIGKILL)
    else:
        ref.tell("end")
    with pytest.raises(ActorDead):
        await waits
    while ref.is_alive():
        await asyncio.sleep(0.01)
    lost = [letter.message for letter in system.dead_letters.recent() if isinstance(letter.message, int)]
    assert lost == [4, 5]


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_what_a_machine_in_a_process_keeps_is_a_dead_letter_when_that_ends(
    system: ActorSystem, end: str
) -> None:
    ref = await system.spawn(pp.Machine, path="/far", isolation="process")
    for number in (0, 1, 1, 2):
        ref.tell(number)
    asked = asyncio.ensure_future(ref.call(3, timeout_s=20.0))
    assert await ask(ref, "seen") == []
    ref.tell("open")
    assert await asked == 3
    assert await ask(ref, "seen") == [0, 1, 1, 2, 3]
    ref.tell("closed")
    for number in (4, 5, 5):
        ref.tell(number)
    waits = asyncio.ensure_future(ref.call(6, timeout_s=20.0))
    assert await ask(ref, "seen") == [0, 1, 1, 2, 3]
    if end == "kill":
        os.kill(ref.cell.pid, signal.SIGKILL)
    else:
        ref.tell("end")
    with pytest.raises(ActorDead):
        await waits
    await until(lambda: not ref.is_alive())
    lost = [letter.message for letter in system.dead_letters.recent() if isinstance(letter.message, int)]
    assert lost == [4, 5, 5]


@pytest.mark.virtual
async def test_in_a_simulation_a_machine_runs_on_the_loop_as_well(system: ActorSystem) -> None:
    ref = await system.spawn(pp.Machine, path="/far", isolation="process")
    ref.tell(0)
    with pytest.raises(Unencodable):
        ref.tell(object())
    asked = asyncio.ensure_future(ref.call(1, timeout_s=20.0))
    assert await ask(ref, "seen") == []
    ref.tell("open")
    assert await asked == 1
    assert await ask(ref, "seen") == [0, 1]
    pp.Machine.seen.clear()


async def test_an_event_that_was_postponed_and_then_failed_on_is_named_by_the_crash_and_not_lost_as_well(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(pp.Machine, path="/far", isolation="process")
    for number in (12, 13, 14):
        ref.tell(number)
    assert await ask(ref, "seen") == []
    ref.tell("open")
    await until(lambda: not ref.is_alive())
    (report,) = [event for event in witness.events if isinstance(event, CrashReport)]
    assert "unlucky" in str(report.error)
    assert report.last_message == 13
    lost = [letter.message for letter in system.dead_letters.recent() if isinstance(letter.message, int)]
    assert lost == [14]


async def test_the_status_of_an_actor_in_a_process_shows_what_is_done_with_it(system: ActorSystem) -> None:
    ref = await spawn(system)
    status = await inspection.get_status(ref)
    assert (status.suspended, status.statistics, status.log) == (False, None, ())
    await inspection.statistics(ref, True)
    await inspection.log(ref, 10)
    await ask(ref, "seen")
    await until(lambda: status_of(ref).statistics.handled == 1)
    await inspection.suspend(ref)
    status = await inspection.get_status(ref)
    assert status.suspended
    assert [step.kind for step in status.log] == ["in", "out"]
    await inspection.resume(ref)
    await inspection.statistics(ref, False)
    await inspection.log(ref, 0)
    status = await inspection.get_status(ref)
    assert (status.suspended, status.statistics, status.log) == (False, None, ())


def status_of(ref: Ref) -> Any:
    return ref.system.get_status(ref)


async def test_the_crash_report_of_an_actor_in_a_process_carries_its_log(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await spawn(system)
    await inspection.log(ref, 10)
    ref.tell(Do("crash", "now"))
    await until(lambda: not ref.is_alive())
    (report,) = [event for event in witness.events if isinstance(event, CrashReport)]
    assert [step.kind for step in report.log] == ["in", "raised"]


async def test_a_trace_that_cannot_keep_up_says_how_many_steps_it_left_out(system: ActorSystem) -> None:
    ref = await spawn(system)
    steps: list[Any] = []
    await inspection.trace(ref, steps.append)
    many = 400
    ref.tell(Do("tell_itself", [many, 30_000]))
    await until(lambda: steps and (steps[-1].message, steps[-1].kind) == ("done", "noreply"))
    left_out = sum(step.left_out for step in steps)
    assert left_out > 0
    assert len(steps) + left_out == 2 * (many + 2)
    assert len(steps) * 30_000 < 8 * 1024 * 1024  # what a pipe and its bound hold


# -- addresses that travel --------------------------------------------------------------------------------------------
async def test_an_anonymous_actor_is_found_from_another_process_by_its_address(system: ActorSystem) -> None:
    got: list[Any] = []
    anonymous = await system.spawn(Collector, got)
    far = await system.spawn(Remote, path="/far", parent=anonymous, isolation="process")
    await ask(far, "tell_parent", "from below")
    assert await ask(far, "call", [anonymous.path, "asked"]) == ["got", "asked"]
    assert got == ["from below", "asked"]


@pytest.mark.parametrize("path", [None, "/far/helper"])
async def test_the_address_of_an_actor_inside_another_process_does_not_leave_it(
    system: ActorSystem, path: str | None
) -> None:
    await system.spawn(Collector, [])  # in this process, the one that "/anonymous/1" names
    far = await spawn(system)
    with pytest.raises(Unencodable, match=r"/far/.* runs inside the process of /far"):
        await ask(far, "helper", path)


# -- metrics ----------------------------------------------------------------------------------------------------------
async def test_mailbox_metrics_of_a_process_are_those_of_both_places(system: ActorSystem) -> None:
    """Its mailbox is 3 messages, here and there together, besides the one that is handled."""
    ref = await spawn(system, pp.Small)
    ref.tell(Do("block", 0.5))
    refused = 0
    for number in range(8):
        try:
            ref.tell(number)
        except MailboxFull:
            refused += 1
    metrics = system.mailbox_metrics(ref)
    assert metrics is not None
    assert metrics.capacity == pp.Small.mailbox.capacity
    assert metrics.length == metrics.high_water == pp.Small.mailbox.capacity
    assert metrics.refused == refused == 8 - pp.Small.mailbox.capacity
    await until(lambda: ref.cell.sent == 0)
    assert await ask(ref, "seen") == list(range(pp.Small.mailbox.capacity))
