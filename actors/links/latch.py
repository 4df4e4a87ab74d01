"""The halt latch: halt.json in the state directory. What it says stands until a person lifts it.

It fails safe: a file that cannot be read counts as latched. Writers in several processes (the engine, `allstop halt`)
take turns through a lock file; a halt does not wait for ever for its turn, a lift does not go without it.
"""

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.durable_file import ensure_directory, write_durably

FILE = "halt.json"
HISTORY_MAX = 1000  # people halt and lift by hand: years of it
TURN_TRIES, TURN_GAP_S = (
    100,
    0.01,
)  # a writer holds the lock for one fsync; a second is a stuck disk or process


class LatchEvent(msgspec.Struct, frozen=True):
    action: str  # halt | lift
    by: str
    reason: str
    at_ns: int


class LatchState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether trading is latched. `by`, `reason` and `at_ns` are of the halt that latched it, or of the last lift."""

    latched: bool
    by: str = ""
    reason: str = ""
    at_ns: int = 0
    history: tuple[LatchEvent, ...] = ()


def halted(state: LatchState, by: str, reason: str, at_ns: int) -> LatchState:
    """The state after one more halt. A second halt adds to the history; the first stays the cause."""
    history = (*state.history, LatchEvent("halt", by, reason, at_ns))[-HISTORY_MAX:]
    if state.latched:
        return msgspec.structs.replace(state, history=history)
    return LatchState(latched=True, by=by, reason=reason, at_ns=at_ns, history=history)


def lifted(state: LatchState, by: str, reason: str, at_ns: int) -> LatchState:
    """The state after a person has lifted it; unchanged when nothing was latched."""
    if not state.latched:
        return state
    history = (*state.history, LatchEvent("lift", by, reason, at_ns))[-HISTORY_MAX:]
    return LatchState(latched=False, by=by, reason=reason, at_ns=at_ns, history=history)


def read_latch(state_dir: str | Path) -> LatchState:
    """What halt.json says. No file: not latched. A file that cannot be read or understood: latched, and why."""
    path = Path(state_dir) / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=LatchState)
    except FileNotFoundError as error:
        if path.is_symlink():  # what it leads to is not mounted, say: that is no word that trading may go on
            return LatchState(latched=True, by="allstop", reason=f"{path} cannot be read: {error}")
        return LatchState(latched=False)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return LatchState(latched=True, by="allstop", reason=f"{path} cannot be read: {error}")


def write_latch(state_dir: str | Path, by: str, reason: str, at_ns: int) -> LatchState:
    """Latches. When it returns, the halt is on the disk; an OSError means that it may not be."""
    directory = ensure_directory(Path(state_dir))
    with _turn(directory):  # without a turn too: a halt matters more than its history
        before = read_latch(directory)
        _keep_unreadable(directory, before, at_ns)
        return _stored(directory, halted(before, by, reason, at_ns))


def lift_latch(state_dir: str | Path, by: str, reason: str, at_ns: int) -> LatchState:
    """Lifts the latch for a named person with a reason. A file that could not be read is kept beside it."""
    if problems := [
        Problem(f"a lift needs {what}")
        for what, text in (("a name", by), ("a reason", reason))
        if not text.strip()
    ]:
        raise BadInput(*problems)
    directory = ensure_directory(Path(state_dir))
    with _turn(directory) as ours:
        if not ours:
            raise BadInput(
                Problem("another process is writing the latch and does not finish", str(directory))
            )
        before = read_latch(directory)
        _keep_unreadable(directory, before, at_ns)
        after = lifted(before, by, reason, at_ns)
        return after if after is before else _stored(directory, after)


class FileLatch:
    """The latch of one state directory."""

    def __init__(self, state_dir: str | Path) -> None:
        self.state_dir = Path(state_dir)

    def read(self) -> LatchState:
        return read_latch(self.state_dir)

    def write(self, by: str, reason: str, at_ns: int) -> LatchState:
        return write_latch(self.state_dir, by, reason, at_ns)

    def lift(self, by: str, reason: str, at_ns: int) -> LatchState:
        return lift_latch(self.state_dir, by, reason, at_ns)


class MemoryLatch:
    """The same latch without a disk, for simulated worlds. It outlives the trees that are built on it."""

    def __init__(self) -> None:
        self.state = LatchState(latched=False)

    def read(self) -> LatchState:
        return self.state

    def write(self, by: str, reason: str, at_ns: int) -> LatchState:
        self.state = halted(self.state, by, reason, at_ns)
        return self.state

    def lift(self, by: str, reason: str, at_ns: int) -> LatchState:
        self.state = lifted(self.state, by, reason, at_ns)
        return self.state


def _keep_unreadable(directory: Path, state: LatchState, at_ns: int) -> None:
    if state.latched and not state.history:  # what only a file that cannot be read looks like
        os.replace(directory / FILE, directory / f"{FILE}.unreadable.{at_ns}")


def _stored(directory: Path, state: LatchState) -> LatchState:
    write_durably(directory / FILE, msgspec.json.format(msgspec.json.encode(state)) + b"\n")
    return state


@contextmanager
def _turn(directory: Path) -> Generator[bool, None, None]:
    """Whether we hold the writers' lock while the block runs."""
    fd = os.open(directory / f"{FILE}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _locked(fd)
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    gap = threading.Event()
    for _ in range(TURN_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            gap.wait(TURN_GAP_S)
        else:
            return True
    return False
