"""Actors that tests put into processes of their own: their module is imported there, too."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from allstop.actors.errors import Fatal, RefusalCode, Refused
from allstop.actors.exits import NORMAL, Exit
from allstop.actors.runtime import (
    Actor,
    Continue,
    Down,
    ExitSignal,
    Ignore,
    Keep,
    Mailbox,
    Next,
    Overflow,
    Postpone,
    ReplyTo,
    StateMachine,
    Stop,
)


class Price(msgspec.Struct, frozen=True):
    pair: str
    bid: Decimal


@dataclass(frozen=True)
class Limit:
    qty: int
    note: Any = None


class Do(msgspec.Struct, frozen=True):
    """What a puppet in another process is to do."""

    what: str
    arg: Any = None


class Remote(Actor):
    wire: ClassVar[tuple[type[Any], ...]] = (Price, Limit, Do)
    simulated_cost_s: ClassVar[float | None] = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = (args, kwargs)
        self.seen: list[Any] = []
        self.reply: Any = None

    def format_status(self) -> Any:
        return {"seen": len(self.seen)}

    def on_stop(self, exit_: Exit) -> None:
        if "/witness" in self.args[0]:
            self.system.address("/witness").tell(f"stopped: {exit_}")

    def on_receive(self, message: Any) -> Any:
        match message:
            case Do(what, arg):
                return getattr(self, f"do_{what}")(arg)
            case Down(ref=ref, exit=exit_):
                self.seen.append(f"Down {ref.path} {exit_}")
            case ExitSignal(ref=ref, exit=exit_):
                self.seen.append(f"ExitSignal {ref.path} {exit_}")
            case _:
                self.seen.append(message)
                return message
        return None

    def do_hold(self, seconds: Any) -> None:
        """Holds the loop of its process."""
        threading.Event().wait(seconds)

    def do_keep_a_lock(self, _arg: Any) -> None:
        self.lock = threading.Lock()

    def do_who(self, _: Any) -> Any:
        parent = None if self.parent is None else self.parent.path
        return [os.getpid(), self.path, self.incarnation, parent, list(self.args[0]), self.args[1]]

    def do_seen(self, _: Any) -> Any:
        return self.seen

    def do_refuse(self, _: Any) -> Any:
        raise Refused(RefusalCode.LEVEL, "not now", place="/x")

    def do_crash(self, words: Any) -> Any:
        raise ValueError(words)

    def do_fatal(self, _: Any) -> Any:
        raise Fatal("KEY", "refused")

    def do_kill(self, number: Any) -> None:
        os.kill(os.getpid(), number)

    def do_segfault(self, _: Any) -> None:
        ctypes.string_at(0)

    def do_quit(self, code: Any) -> None:
        os._exit(code)

    def do_block(self, seconds: Any) -> str:
        time.sleep(seconds)
        return "woke"

    async def _nap(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "rested"

    def do_nap(self, seconds: Any) -> Any:
        return self._nap(seconds)

    def do_bad_reply(self, _: Any) -> Any:
        return object()

    def do_exit(self, _: Any) -> None:
        self.exit(NORMAL)

    def do_defer(self, _: Any) -> None:
        self.reply = self.defer()

    def do_settle(self, value: Any) -> None:
        self.reply.set(value)

    def do_monitor(self, path: Any) -> None:
        self.monitor(self.system.address(path))

    def do_link(self, path: Any) -> None:
        self.link(self.system.address(path))

    async def _call(self, path: str, message: Any) -> Any:
        return await self.system.address(path).call(message, timeout_s=5)

    def do_call(self, arg: Any) -> Any:
        return self._call(*arg)

    def do_tell(self, arg: Any) -> None:
        path, message = arg
        self.system.address(path).tell(message)

    def do_tell_parent(self, message: Any) -> None:
        assert self.parent is not None
        self.parent.tell(message)

    async def _helper(self, path: Any) -> Any:
        return await self.system.spawn(Actor, path=path)

    def do_helper(self, path: Any) -> Any:
        return self._helper(path)

    def do_tick(self, path: Any) -> None:
        self.system.address(path).tell("tick")
        self.send_after(0.001, Do("tick", path))

    def do_tell_itself(self, arg: Any) -> None:
        many, size = arg
        for _ in range(many):
            self.ref.tell("x" * size)
        self.send_after(1.0, "done")

    def do_ignores(self, _: Any) -> bool:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        return True

    def do_log(self, words: Any) -> None:
        self.log.warning(words)

    def do_print(self, words: Any) -> None:
        print(words, file=sys.stderr, flush=True)


class Trapping(Remote):
    trap_exits: ClassVar[bool] = True


class Timed(Remote):
    max_handler_s: ClassVar[float | None] = 0.5


class Small(Remote):
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=3)


class DropsNewest(Remote):
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=3, overflow=Overflow.DROP_NEWEST)


class DropsOldest(Remote):
    """More than the window, so that some wait here."""

    mailbox: ClassVar[Mailbox] = Mailbox(capacity=66, overflow=Overflow.DROP_OLDEST)


class Blocks(Remote):
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=3, overflow=Overflow.BLOCK)


class Conflates(Remote):
    mailbox: ClassVar[Mailbox] = Mailbox(
        capacity=66,
        overflow=Overflow.CONFLATE,
        key=lambda message: message.pair if isinstance(message, Price) else None,
    )


class Asynchronous(Actor):
    wire: ClassVar[tuple[type[Any], ...]] = (Price,)

    async def on_start(self) -> Continue:
        await asyncio.sleep(0)
        return Continue("go")

    async def on_continue(self, argument: Any) -> None:
        self.argument = argument

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return [self.argument, message]


class BadConstructor(Actor):
    def __init__(self, words: str) -> None:
        raise KeyError(words)


class BadStart(Actor):
    def on_start(self) -> None:
        raise OSError(5, "no such venue")


class NotWanted(Actor):
    def on_start(self) -> Ignore:
        return Ignore()


class SlowStart(Actor):
    def on_start(self) -> None:
        time.sleep(60)


class BadWire(Actor):
    wire: ClassVar[tuple[type[Any], ...]] = (dict,)


class Costly(Remote):
    simulated_cost_s: ClassVar[float | None] = 0.25


class Stashing(Remote):
    """Puts numbers aside until it is told to take them."""

    stash_capacity = 10
    takes = False

    def on_receive(self, message: Any) -> Any:
        match message:
            case "take":
                self.takes = True
                return self.unstash_all()
            case "end":
                return self.exit(NORMAL)
            case Do():
                self.takes = False
                return super().on_receive(message)
            case _ if self.takes:
                self.seen.append(message)
                return message
            case _:
                return self.stash()


class Attacker(Remote):
    """Does with the pipe of its process what nobody should."""

    silence_max_s: ClassVar[float | None] = 0.4

    def _write(self, data: bytes) -> None:
        with socket.socket(fileno=os.dup(int(sys.argv[1]))) as pipe:
            pipe.setblocking(True)
            pipe.sendall(data)

    def do_write(self, data: Any) -> None:
        """And lives on."""
        self._write(data)

    def do_write_and_hang_up(self, data: Any) -> None:
        self._write(data)
        self.do_hang_up(None)

    def do_hang_up(self, _: Any) -> None:
        """Closes the pipe, and does not end with it."""
        os._exit = lambda _code: threading.Event().wait()
        with socket.socket(fileno=os.dup(int(sys.argv[1]))) as pipe:
            pipe.shutdown(socket.SHUT_WR)

    def do_flood(self, path: Any) -> None:
        """Tells without end, as fast as it can."""
        to = self.system.address(path)
        while True:
            to.tell(b"x" * 1000)

    def do_keep_the_interpreter(self, seconds: Any) -> None:
        """In C, without letting go of it."""
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


class Machine(StateMachine):
    """Postpones numbers while it is closed."""

    wire: ClassVar[tuple[type[Any], ...]] = (Do,)
    simulated_cost_s: ClassVar[float | None] = 0.0
    initial_state = "closed"
    seen: ClassVar[list[Any]] = []

    def on_event(self, state: Any, event: Any) -> Any:
        match event:
            case "open" | "closed":
                return Next(event)
            case "end":
                return Stop()
            case Do("seen"):
                return Keep(ReplyTo(self.caller, list(self.seen)))
            case Do("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
                return Keep()
            case 13 if state == "open":
                raise ValueError("unlucky")
            case _ if state == "closed":
                return Keep(Postpone())
            case _:
                self.seen.append(event)
                return Keep(ReplyTo(self.caller, event))
