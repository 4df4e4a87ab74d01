"""What a process of its own may do to its pipe, and not do: each is an ordinary end with a reason, within a bounded time,
and its supervisor starts another. These are real processes; waits are bounded by WAIT_S.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import msgspec
import pytest
from tests.runtime.process_puppets import Attacker, Do, Remote
from tests.runtime.puppet import Witness

from allstop.actors.events import CrashReport
from allstop.actors.runtime import (
    Actor,
    ActorSystem,
    HandlerTimeout,
    Mailbox,
    Overflow,
    ProcessDied,
    ProcessSilent,
    Ref,
)
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.pipe import FRAMES_A_TURN, BrokenFrame, Pipe
from allstop.actors.runtime.process.pulse import BEATS, Pulse
from allstop.actors.spec import ChildSpec, Isolation, Restart, Start, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor

WAIT_S = 20.0  # the machine may be busy; none of this takes more than a second or two on an idle one


@pytest.fixture
async def system(witness: Witness) -> AsyncIterator[ActorSystem]:
    async with ActorSystem(on_event=witness.events.append, max_handler_s=None) as system:
        yield system


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.002)


async def supervised(system: ActorSystem, cls: type[Actor] = Attacker) -> Ref:
    spec = ChildSpec("far", Start(cls), Restart.PERMANENT, isolation=Isolation.PROCESS)
    await system.spawn(Supervisor, SupervisorFlags(), [spec], path="/top")
    return system.address("/top/far")


async def pid_of(ref: Ref) -> int:
    return (await ref.call(Do("who"), timeout_s=WAIT_S))[0]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(witness: Witness) -> list[BaseException]:
    """The reasons for which it ended."""
    return [event.error for event in witness.events if isinstance(event, CrashReport)]


async def replaced(witness: Witness, ref: Ref, pid: int, reason: type[BaseException], words: str) -> None:
    """It ended for this reason, its process is gone, and another answers."""
    await until(lambda: ends(witness))
    error = ends(witness)[0]
    assert isinstance(error, reason), error
    assert words in str(error)
    await until(lambda: not is_there(pid))
    await until(lambda: ref.is_alive() and ref.incarnation == 2)
    assert await pid_of(ref) != pid
    assert len(ends(witness)) == 1


def raw(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def frame(*fields: Any) -> bytes:
    return raw(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw(b"\xc1 no message pack"), "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", "bytes"),
        ((2**32 - 1).to_bytes(4, "big"), f"{f.FRAME_BYTES_MAX} is the most"),
        ((f.FRAME_BYTES_MAX + 1).to_bytes(4, "big") + b"x", f"{f.FRAME_BYTES_MAX} is the most"),
        (raw(b""), "truncated"),
        (raw(b"\x91" * 100_000), ""),
        (frame(99, 1), "99"),
        (frame(0, 1), "0"),  # a frame, of the other direction
        (frame(12, "numbers"), "array"),
        (frame(14, "/top/far", b"\xc1"), "Send"),
        (frame(14, "no path", b"\xc0"), "no path"),
        (frame(16, 1, "no path", False), "no path"),
        (frame(18, b""), ""),
        (frame(19, ["no such kind", None, None], None), "kind"),
    ],
)
async def test_what_is_no_frame_ends_the_process_and_says_what_it_was(
    system: ActorSystem, witness: Witness, data: bytes, words: str
) -> None:
    ref = await supervised(system)
    pid = await pid_of(ref)
    ref.tell(Do("write", data))
    await replaced(witness, ref, pid, BrokenFrame, words)


@pytest.mark.parametrize("data", [b"", (1000).to_bytes(4, "big") + b"the beginning"])
async def test_a_process_that_closes_its_pipe_and_lives_on_is_killed(
    system: ActorSystem, witness: Witness, data: bytes
) -> None:
    ref = await supervised(system)
    pid = await pid_of(ref)
    ref.tell(Do("write_and_hang_up", data))
    await replaced(witness, ref, pid, ProcessDied, "closed its pipe and lived on")


async def test_a_frame_that_never_ends_leaves_the_message_to_its_time_limit(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await supervised(system, TimedAttacker)
    pid = await pid_of(ref)
    ref.tell(Do("write", (1000).to_bytes(4, "big") + b"the beginning"))
    await until(lambda: ends(witness))
    assert isinstance(ends(witness)[0], HandlerTimeout)
    await until(lambda: not is_there(pid))


class TimedAttacker(Attacker):
    max_handler_s: ClassVar[float | None] = 0.5


async def test_a_stopped_process_is_noticed_killed_and_replaced(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await supervised(system)
    pid = await pid_of(ref)
    os.kill(pid, signal.SIGSTOP)
    await replaced(witness, ref, pid, ProcessSilent, "did not answer for 0.4 s")


async def test_a_stopped_process_that_owes_an_answer_gives_it_up_with_the_reason(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await supervised(system)
    pid = await pid_of(ref)
    owed = asyncio.ensure_future(ref.call(Do("kill", int(signal.SIGSTOP)), timeout_s=WAIT_S))
    with pytest.raises(Exception, match="did not answer for"):
        await owed
    await replaced(witness, ref, pid, ProcessSilent, "did not answer for")


async def test_c_code_that_keeps_the_interpreter_is_a_hang(system: ActorSystem, witness: Witness) -> None:
    ref = await supervised(system)
    pid = await pid_of(ref)
    ref.tell(Do("keep_the_interpreter", 60))
    await replaced(witness, ref, pid, ProcessSilent, "did not answer for")


async def test_a_handler_that_computes_is_no_hang(system: ActorSystem, witness: Witness) -> None:
    ref = await supervised(system)
    assert await ref.call(Do("block", 1.5), timeout_s=WAIT_S) == "woke"
    assert ends(witness) == []


async def test_one_that_was_stopped_shortly_lives(system: ActorSystem, witness: Witness) -> None:
    ref = await supervised(system)
    pid = await pid_of(ref)
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGCONT)
    assert await pid_of(ref) == pid
    assert ends(witness) == []


async def test_a_process_that_floods_holds_neither_the_loop_nor_our_memory(
    system: ActorSystem, witness: Witness
) -> None:
    got = await system.spawn(Small, path="/small")
    ref = await supervised(system)
    pid = await pid_of(ref)
    ref.tell(Do("flood", "/small"))
    longest_s, until_s = 0.0, system.clock.now_s() + 1.0
    while (before_s := system.clock.now_s()) < until_s:
        await asyncio.sleep(0)
        longest_s = max(longest_s, system.clock.now_s() - before_s)
    assert longest_s < 0.5  # an idle machine: some milliseconds
    await replaced(witness, ref, pid, Exception, "bytes wait for the parent process")
    assert got.is_alive()


class Small(Actor):
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=10, overflow=Overflow.DROP_NEWEST)

    def on_receive(self, message: Any) -> None:
        del message


# -- the parts alone -------------------------------------------------------------------------------------------------
class Wire(asyncio.Transport):
    """Remembers whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.reading = False


async def test_frames_are_taken_some_at_a_time_and_nothing_is_read_meanwhile() -> None:
    heard: list[Any] = []
    wire, pipe = Wire(), Pipe(f.FROM_CHILD, heard.append, heard.append)
    pipe.connection_made(wire)
    data = b"".join(f.framed(f.Link(f"/{n}")) for n in range(2 * FRAMES_A_TURN + 1))
    pipe.data_received(data[:-1])
    assert (len(heard), wire.reading) == (FRAMES_A_TURN, False)
    pipe.data_received(data[-1:])  # what had been read before it was paused
    assert len(heard) == FRAMES_A_TURN
    for _ in range(3):
        await asyncio.sleep(0)
    assert [frame.path for frame in heard] == [f"/{n}" for n in range(2 * FRAMES_A_TURN + 1)]
    assert wire.reading


async def test_the_last_words_of_a_process_that_is_gone_are_heard_whole() -> None:
    heard: list[Any] = []
    pipe = Pipe(f.FROM_CHILD, heard.append, heard.append)
    pipe.connection_made(Wire())
    pipe.data_received(b"".join(f.framed(f.Link(f"/{n}")) for n in range(3 * FRAMES_A_TURN)) + b"\0\0")
    pipe.connection_lost(None)
    assert len(heard) == 3 * FRAMES_A_TURN + 1
    assert heard[-1] is None
    await asyncio.sleep(0)
    assert len(heard) == 3 * FRAMES_A_TURN + 1


class Line:
    """The end of a line whose other end answers, or does not."""

    def __init__(self) -> None:
        self.answers = True
        self.waiting = b""

    def send(self, data: bytes) -> int:
        if self.answers:
            self.waiting += data
        return len(data)

    def recv(self, _size: int) -> bytes:
        waiting, self.waiting = self.waiting, b""
        if not waiting:
            raise BlockingIOError
        return waiting


@pytest.mark.virtual
async def test_silence_is_so_many_beats_without_an_answer_in_a_row() -> None:
    silent: list[str] = []
    line: Any = Line()
    pulse = Pulse(line, 4.0, lambda: silent.append("silent"))
    pulse.begin()
    await asyncio.sleep(100.0)
    line.answers = False
    await asyncio.sleep(BEATS - 0.5)
    line.answers = True
    await asyncio.sleep(3)
    assert silent == []
    line.answers = False
    await asyncio.sleep(1.1 + BEATS)
    assert silent == ["silent"]
    await asyncio.sleep(100.0)
    assert silent == ["silent"]


@pytest.mark.parametrize("wrong", [0, -1.0, True, "1"])
def test_what_is_no_limit_is_refused_when_the_class_is_made(wrong: Any) -> None:
    with pytest.raises(TypeError, match="silence_max_s is seconds above 0"):
        type("Wrong", (Remote,), {"silence_max_s": wrong})
