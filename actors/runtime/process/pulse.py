"""Whether a process runs at all: a byte goes to it every now and then, on a line of its own, and comes back.

A thread there answers that waits for nothing else, so a handler may compute for as long as it likes. What does not
answer is stopped (SIGSTOP), starved, or in C code that keeps the interpreter: nobody can reach it, and it is replaced.

Silence is counted in beats, not on a clock: when we were held ourselves, or the whole machine slept, that is one beat.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

BEATS: Final = 4  # in a row without an answer are silence
_BYTES: Final = 64  # more than the beats that can wait


class Pulse:
    """Our end of the line of one process. `on_silence` is called once, and nothing comes after it. On the loop."""

    def __init__(self, line: socket.socket, silence_max_s: float, on_silence: Callable[[], None]) -> None:
        self._line = line
        self._every_s = silence_max_s / BEATS
        self._on_silence = on_silence
        self._missed = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._ask()
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._beat)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self._missed = 0 if self._answered() else self._missed + 1
        if self._missed >= BEATS:
            self._timer = None
            self._on_silence()
            return
        self.begin()

    def _ask(self) -> None:
        with suppress(OSError):  # its end is gone: that is noticed, and told, by those who wait for it
            self._line.send(b"?")

    def _answered(self) -> bool:
        try:
            return bool(self._line.recv(_BYTES))
        except OSError:
            return False


def answer(line: socket.socket) -> bool:
    """In the other process, when there is something to read. False: nobody asks any more."""
    try:
        asked = line.recv(_BYTES)
        if asked:
            line.send(asked)
    except BlockingIOError:  # read already; or nobody takes the answers, who will not ask for long
        return True
    except OSError:
        return False
    return bool(asked)
