"""What of the real process somebody holds: threads, child processes, open files and sockets. In a simulated world the
engine needs none of them, so what is there after a life and was not before is its actors' doing.

Names are the same in every process: no number of a descriptor, a thread or a process is in them.
"""

import multiprocessing
import os
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

GRACE_S: Final = 0.5  # real time for a thread that was told to end; one that does is none of what is left
LISTED_MAX: Final = 20  # of each sort: more of the same says nothing new
_PROC: Final = Path("/proc/self")
_NUMBER: Final = re.compile(r"\d+")
# An executor of the loop's own keeps its threads for the next call, and ends with the loop: `asyncio.to_thread`.
_OF_THE_LOOP: Final = "asyncio_"


class Resources(msgspec.Struct, frozen=True):
    """What the process holds at one moment. Where the machine does not say (no /proc), files are not compared."""

    threads: frozenset[int]
    processes: frozenset[int]
    files: tuple[str, ...]

    @classmethod
    def now(cls) -> "Resources":
        threads = frozenset(thread.ident or 0 for thread in threading.enumerate())
        return cls(threads, frozenset(_children()), _files())

    def left(self) -> list[str]:
        """What is there now and was not then, in words. Waits a moment for threads that are on their way out."""
        found = [f"thread {_NUMBER.sub('*', thread.name)}" for thread in self._threads()]
        found += [f"process {name}" for pid, name in sorted(_children().items()) if pid not in self.processes]
        opened = Counter(_files()) - Counter(self.files)
        found += [_in_words(target) for target in sorted(opened.elements())]
        return sorted(found)[:LISTED_MAX]

    def _threads(self) -> list[threading.Thread]:
        new = [
            thread
            for thread in threading.enumerate()
            if thread.ident not in self.threads and not thread.name.startswith(_OF_THE_LOOP)
        ]
        for thread in new:
            if thread is not threading.current_thread():
                thread.join(GRACE_S / len(new))
        return [thread for thread in new if thread.is_alive()]


def _children() -> dict[int, str]:
    """Our child processes that live, by their number, with their names."""
    known = {child.pid: child.name for child in multiprocessing.active_children() if child.pid is not None}
    for listed in _PROC.glob("task/*/children"):
        try:
            pids = [int(pid) for pid in listed.read_text().split()]
        except OSError:
            continue  # that thread ended while we looked
        for pid in pids:
            name = _running(pid)
            if name is None:
                known.pop(pid, None)
            else:
                known[pid] = name
    return known


def _running(pid: int) -> str | None:
    """The name of a process; None when it is over, also where nobody has asked how it ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    head, _, rest = text.rpartition(")")  # a name may have brackets in it
    return None if rest.split()[0] == "Z" else head.partition("(")[2]


def _files() -> tuple[str, ...]:
    """What each open descriptor stands for."""
    found: list[str] = []
    try:
        names = os.listdir(_PROC / "fd")
    except OSError:
        return ()
    for name in names:
        try:
            found.append(os.readlink(_PROC / "fd" / name))
        except OSError:
            continue  # the one with which the list itself was read
    return tuple(found)


def _in_words(target: str) -> str:
    kind = target.partition(":")[0]
    return f"an open {kind}" if kind in ("socket", "pipe", "anon_inode") else f"open file {target}"
