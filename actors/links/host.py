"""The machine that a real engine runs on: one state directory with its latch, its key locks and its control socket."""

from pathlib import Path

from allstop.actors.clock import Clock
from allstop.actors.links.control import ControlServer
from allstop.actors.links.latch import FileLatch
from allstop.actors.links.lock import KeyLock
from allstop.actors.ports import Answering


class FileHost:
    """A Host on a state directory."""

    def __init__(self, state_dir: str | Path, clock: Clock) -> None:
        self.latch = FileLatch(state_dir)
        self._state_dir = Path(state_dir)
        self._clock = clock

    def hold_key(self, venue: str, account: str, key: str) -> KeyLock:
        return KeyLock.acquire(self._state_dir, venue, account, key, self._clock.wall_ns())

    def control(self, answer: Answering) -> ControlServer:
        return ControlServer(self._state_dir, answer)
