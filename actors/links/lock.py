"""One process per key: two engines on one API key would spoil each other's nonces and double each other's orders."""

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.durable_file import ensure_directory


class KeyHolder(msgspec.Struct, frozen=True):
    """Who holds a key, as its lock file says."""

    pid: int
    since_ns: int
    venue: str
    account: str


class KeyLock:
    """The lock on (venue, account, key) while the process lives. Take it before the first call with the key."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def acquire(cls, state_dir: str | Path, venue: str, account: str, key: str, now_ns: int) -> "KeyLock":
        """Raises BadInput naming the process that has it. The key itself is not written anywhere."""
        locks = ensure_directory(ensure_directory(Path(state_dir)) / "locks")
        path = locks / f"{_plain(venue)}.{_plain(account)}.{fingerprint(key)}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            os.close(fd)
            raise BadInput(
                Problem(f"the key of {venue}.{account} is in use by {holder}: stop it first", str(path))
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(KeyHolder(os.getpid(), now_ns, venue, account)), 0)
        return cls(path, fd)

    def release(self) -> None:
        """Lets another process in. The end of the process does the same. The file stays: removing it would race."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "KeyLock":
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def fingerprint(key: str) -> str:
    """A name for a key that does not give it away: 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _holder(fd: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(fd, 4096, 0), type=KeyHolder)
    except msgspec.MsgspecError:  # it has the lock and has not yet written its name
        return "another process"
    return f"process {holder.pid} since {holder.since_ns / 1e9:.3f} (seconds since 1970)"


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in name)
