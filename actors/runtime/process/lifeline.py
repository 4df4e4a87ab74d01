"""What ties a cell to its process: the birth, the pipe, the pulse, and the end.

A process ends of itself or is killed. Its end is told once both are over, the process and what it said: the last words
may still be in the pipe when it is gone, and one that has closed its pipe may live on, mute, and is killed then.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.birth import ChildProcess
from allstop.actors.runtime.process.errors import ProcessDied, ProcessSilent
from allstop.actors.runtime.process.pipe import BrokenFrame, Pipe
from allstop.actors.runtime.process.pulse import Pulse
from allstop.actors.runtime.states import ENDED

if TYPE_CHECKING:
    from allstop.actors.runtime.process.process_cell import ProcessCell

LAST_WORDS_S: Final = 0.5  # how long after its end a process may be read, and after its last word it may live
EXIT_GRACE_S: Final = 5.0  # for an actor that ended by itself: its process flushes and closes what it has


class Lifeline:
    """Of one cell. It tells the cell `heard(frame)`, `failed(error)` and, at most once, `process_over(died)`."""

    def __init__(self, cell: "ProcessCell") -> None:
        self._cell = cell
        self._process: ChildProcess | None = None
        self._pipe: Pipe | None = None
        self._pulse: Pulse | None = None
        self._connecting: asyncio.Task[Any] | None = None
        self._killed_for = ""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def begin(self, boot: f.Boot) -> Pipe:
        """Starts the process, and tells it through the pipe what to run. Raises OSError if none can be started."""
        process = self._process = ChildProcess()
        process.ended.add_done_callback(self._process_ended)
        pipe = self._pipe = Pipe(f.FROM_CHILD, self._cell.heard, self._pipe_ended)
        pipe.send(boot)
        loop = self._cell.scheduler.loop
        self._connecting = loop.create_task(
            loop.create_unix_connection(lambda: pipe, sock=process.socket),
            name=f"{self._cell.path}:pipe",
        )
        return pipe

    def feel_pulse(self, silence_max_s: float | None) -> None:
        """From now on a process that does not answer for so long is a failure of its actor. None: it need not."""
        if self._process is None or self._pulse is not None or silence_max_s is None:
            return
        silent = ProcessSilent(self._process.pid, silence_max_s)
        self._pulse = Pulse(self._process.line, silence_max_s, lambda: self._cell.failed(silent))
        self._pulse.begin()

    def grant_exit(self) -> None:
        """It ends by itself, and nobody here set a limit: this is one."""
        self._cell.scheduler.loop.call_later(EXIT_GRACE_S, self._kill)

    def cut(self) -> None:
        """The process is killed, if there still is one, and nothing of it is heard any more."""
        if self._pulse is not None:
            self._pulse.end()
        if self._pipe is not None:
            self._pipe.abort()
        self._kill()
        if self._process is not None:
            self._process.line.close()
            if not self._process.ended.done():
                self._cell.system.abandon(self._cell, self._process.ended)

    # -- the two ends ----------------------------------------------------------------------------------------------
    def _process_ended(self, _ended: Any) -> None:
        if self._cell.state is ENDED:
            return
        if self._pipe is not None and not self._pipe.ended:  # its last words may still be on their way
            self._cell.scheduler.loop.call_later(LAST_WORDS_S, self._conclude)
        else:
            self._conclude()

    def _pipe_ended(self, error: BrokenFrame | None) -> None:
        if self._cell.state is ENDED:
            return
        if self._pulse is not None:
            self._pulse.end()
        if error is not None:
            self._cell.crash(error)
        elif self._process is not None and self._process.ended.done():
            self._conclude()
        elif not self._cell.said_goodbye:
            self._cell.scheduler.loop.call_later(LAST_WORDS_S, self._kill_mute)

    def _conclude(self) -> None:
        """The process is gone, and everything it said was heard."""
        if self._cell.state is ENDED or self._process is None:
            return
        code = self._process.ended.result()
        self._cell.process_over(
            ProcessDied(
                self._process.pid,
                signal=-code if code < 0 else None,
                code=code if code >= 0 else None,
                why=self._killed_for,
            )
        )

    def _kill_mute(self) -> None:
        if self._cell.state is not ENDED and self._process is not None and not self._process.ended.done():
            self._killed_for = "it had closed its pipe and lived on"
            self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
