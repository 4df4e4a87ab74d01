"""O8 in a simulated world: what an actor leaves behind in the real process is seen when its tree has stopped."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allstop.actors.runtime import Actor
from allstop.supervisors.config import Tree, child, halt_root, strategies
from allstop.supervisors.simulation.resources import Resources
from allstop.supervisors.simulation.run import Outcome, simulate

HELD: list[Any] = []  # what the actors left, so that the tests can end it
over = threading.Event()


class Leaves(Actor):
    """Takes something when it starts and never gives it back."""

    def __init__(self, take: Callable[[], Any]) -> None:
        super().__init__()
        self._take = take

    def on_start(self) -> None:
        HELD.append(self._take())

    def on_receive(self, message: object) -> object:
        return None


class Polite(Leaves):
    """Gives it back."""

    async def on_stop(self, exit_: Any) -> None:
        thread = HELD.pop()
        over.set()
        thread.join()
        over.clear()


def thread() -> threading.Thread:
    started = threading.Thread(target=over.wait, args=(30,), name="pricer-17", daemon=True)
    started.start()
    return started


def process() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])


def open_file() -> Any:
    return Path(__file__).open()


def open_socket() -> Any:
    return socket.socket()


def one(actor: type[Actor], take: Callable[[], Any]) -> Tree:
    return halt_root(strategies(child("leaves", actor, take=take)))


def of(actor: type[Actor], take: Callable[[], Any]) -> Outcome:
    try:
        return simulate(one(actor, take), 1, duration_s=1.0)
    finally:
        over.set()
        for held in HELD:
            match held:
                case threading.Thread():
                    held.join()
                case subprocess.Popen():
                    held.kill()
                    held.wait()
                case _:
                    held.close()
        HELD.clear()
        over.clear()


@pytest.mark.parametrize(
    ("take", "named"),
    [
        (thread, "thread pricer-*"),
        (process, "process "),
        (open_file, f"open file {__file__}"),
        (open_socket, "an open socket"),
    ],
)
def test_what_an_actor_leaves_in_the_process_breaks_o8(take: Callable[[], Any], named: str) -> None:
    failed = of(Leaves, take).failed
    assert failed is not None
    assert failed.oracle == "O8"
    assert named in failed.why


def test_a_thread_that_its_actor_ends_is_none_that_is_left() -> None:
    outcome = of(Polite, thread)
    assert outcome.verdicts["O8"] is True


def test_what_was_there_before_is_nobodys_doing() -> None:
    with open_file(), open_socket():
        assert of(Polite, thread).verdicts["O8"] is True


def test_names_are_the_same_in_every_process() -> None:
    before = Resources.now()
    with socket.socket():
        assert before.left() == ["an open socket"]
    assert before.left() == []
