"""Starts a process, notices its end, and kills it. Not by fork: this process has threads and an event loop."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import allstop.actors

MAIN: Final = "allstop.actors.runtime.process.child"
LOOK_S: Final = 0.02  # how often we look for the end of a process where the system cannot tell us


class ChildProcess:
    """A running process, and our ends of its pipe and of the line of its pulse. `ended` is done once it is reaped:
    nothing of it is left then."""

    def __init__(self) -> None:
        """Starts it, which takes a millisecond or two. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        with ExitStack() as theirs, ExitStack() as ours:
            pairs = [socket.socketpair(), socket.socketpair()]
            for mine, its in pairs:
                ours.enter_context(mine)
                theirs.enter_context(its)
            descriptors = [its.fileno() for _, its in pairs]
            self._popen = subprocess.Popen(
                [sys.executable, "-m", MAIN, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,  # a terminal's input is not its business; its output and errors are seen
                pass_fds=descriptors,
                env={**os.environ, "PYTHONPATH": _path_to_us()},
            )
            ours.pop_all()  # it runs: they are kept
        self.socket, self.line = (mine for mine, _ in pairs)
        self.line.setblocking(False)
        self._pid_fd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        if self._pid_fd is not None:
            self._loop.add_reader(self._pid_fd, self._look)
        else:
            self._loop.call_later(LOOK_S, self._look)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def kill(self) -> None:
        """SIGKILL: whatever it does, it stops doing it."""
        if self._popen.returncode is None:
            self._popen.kill()

    def _look(self) -> None:
        code = self._popen.poll()
        if code is None:
            if self._pid_fd is None:
                self._loop.call_later(LOOK_S, self._look)
            return
        if self._pid_fd is not None:
            self._loop.remove_reader(self._pid_fd)
            os.close(self._pid_fd)
        if not self.ended.done():
            self.ended.set_result(code)


def _path_to_us() -> str:
    """Where the child finds allstop itself; the rest of our search path it is told."""
    home = str(Path(allstop.actors.__file__).parents[2])
    return os.pathsep.join(filter(None, (home, python_path())))


def python_path() -> str | None:
    return os.environ.get("PYTHONPATH")


def search_path() -> list[str]:
    """Ours, for the child: "" means the working directory."""
    return [entry or str(Path.cwd()) for entry in sys.path]
