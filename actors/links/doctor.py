"""What on this machine would hurt an engine: each probe measures, each judgement is a table lookup beside it."""

import ctypes
import importlib.util
import os
import platform
import resource
import sqlite3
import ssl
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from allstop.actors.clock import Clock

FSYNC_SAMPLES = 50  # under a second on the slowest disk worth trading on
RECORD_BYTES = 240  # an order intent in the journal
FSYNC_WARN_MS, FSYNC_BAD_MS = (
    10.0,
    50.0,
)  # of an order's 100 ms; a good SSD is under 1, a spinning disk near 10
OPEN_FILES_WARN, OPEN_FILES_BAD = (
    1024,
    128,
)  # sockets, journals and their WALs, threads' pipes: an engine has 100
BUILT_NS = 1_767_225_600_000_000_000  # 2026-01-01: no clock that is right says less
CLOCK_ERROR_WARN_MS, CLOCK_ERROR_BAD_MS = 250.0, 1000.0  # entries are gated from 1 s on
STEP_MS = 20.0
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
WAL_RESET_FIXED: tuple[tuple[int, ...], ...] = ((3, 51, 3), (3, 50, 7), (3, 44, 6))  # sqlite.org/wal.html
WAL_SINCE = (3, 7, 0)
EXTRAS = {
    "uvloop": "the event loop is slower",
    "click": "there is no command line",
    "rich": "the terminal shows no live tree",
}


class FindingLevel(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about the machine: what it is, why it matters, and what to do when it is not ok."""

    level: FindingLevel
    name: str
    what: str
    why: str
    advice: str = ""


def examine(state_dir: str | Path, clock: Clock) -> list[Finding]:
    """Every probe on this machine. Takes under a second on a usable disk; writes one file there and removes it."""
    directory = Path(state_dir)
    findings = [judge_sqlite(sqlite3.sqlite_version_info), judge_state_dir(*_about(directory))]
    target = directory if directory.is_dir() else _existing_parent(directory)
    wall_ns, now_s = clock.wall_ns(), clock.now_s()
    if os.access(target, os.W_OK | os.X_OK):
        findings.append(judge_fsync(probe_fsync(target, clock)))
    stepped_ms = ((clock.wall_ns() - wall_ns) / 1e9 - (clock.now_s() - now_s)) * 1e3
    findings.append(judge_clock(clock.wall_ns(), _newest_ns(directory), stepped_ms, probe_clock_error_ms()))
    findings.append(judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    findings.append(judge_certificates(probe_certificates()))
    findings.extend(judge_extra(name, importlib.util.find_spec(name) is not None) for name in EXTRAS)
    return findings


def judge_runtime(in_use: str | None, refused: str | None) -> Finding:
    """Which code runs the hot functions: a fact for whoever compares figures, and a warning if a build is not used."""
    running = f"({platform.python_implementation()} {platform.python_version()})"
    why = "compiled, messages cost about half; everything else is the same (docs/performance.md)"
    if refused is not None:
        return _warn(
            "runtime", f"pure Python; refused {refused} {running}", why, "build it anew: allstop compile"
        )
    what = "pure Python; no compiled module is in use" if in_use is None else f"compiled: {in_use}"
    return _ok("runtime", f"{what} {running}", why)


def judge_sqlite(version: Sequence[int]) -> Finding:
    """The WAL-reset bug needs two connections that write or checkpoint; we have one, so it is no danger to us."""
    text = ".".join(map(str, version[:3]))
    why = "before 3.51.3 (3.50.7, 3.44.6) SQLite can corrupt a WAL that two connections write or checkpoint"
    if tuple(version) < WAL_SINCE:
        return _bad(
            "sqlite", f"SQLite {text} has no write-ahead log", why, "use a Python with a newer SQLite"
        )
    if has_wal_reset_bug(version):
        advice = "open journals with other tools only as mode=ro: never write or checkpoint them there"
        return _warn(
            "sqlite", f"SQLite {text} has the WAL-reset bug, which our one writer avoids", why, advice
        )
    return _ok("sqlite", f"SQLite {text}", why)


def has_wal_reset_bug(version: Sequence[int]) -> bool:
    mine = tuple(version[:3])
    if mine < WAL_SINCE or mine >= WAL_RESET_FIXED[0]:
        return False
    return not any(mine[:2] == fixed[:2] and mine >= fixed for fixed in WAL_RESET_FIXED)


def probe_fsync(directory: Path, clock: Clock) -> list[float]:
    """Milliseconds of each of `FSYNC_SAMPLES` appends with fdatasync in that directory, sorted."""
    path = directory / f".fsync-probe.{os.getpid()}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        return sorted(_flush_ms(fd, clock) for _ in range(FSYNC_SAMPLES))
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def judge_fsync(sorted_ms: Sequence[float]) -> Finding:
    p50, p99 = sorted_ms[len(sorted_ms) // 2], sorted_ms[len(sorted_ms) * 99 // 100]
    what = f"a flush takes {p50:.2f} ms (p50), {p99:.2f} ms (p99)"
    why = "no order leaves before its intent is flushed to the journal"
    advice = "put state_dir on a local SSD"
    if p99 >= FSYNC_BAD_MS:
        return _bad("fsync", what, why, advice)
    if p99 >= FSYNC_WARN_MS:
        return _warn("fsync", what, why, advice)
    return _ok("fsync", what, why)


def probe_clock_error_ms() -> float | None:
    """The kernel's bound on the wall clock's error, or None where nothing keeps it synchronised."""
    timex = (
        ctypes.c_long * 32
    )()  # struct timex: modes, offset, freq, maxerror (us), ...; modes 0 only reads
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    return None if state in (TIME_ERROR, -1) else timex[3] / 1000


def judge_clock(wall_ns: int, newest_ns: int, stepped_ms: float, error_ms: float | None) -> Finding:
    """`newest_ns`: the latest time found on files of the state directory, `stepped_ms`: wall against monotonic."""
    why = "deadlines, nonces and signatures carry the wall clock; entries stop when it is off by a second"
    advice = "run a time service: chrony or systemd-timesyncd"
    if wall_ns < BUILT_NS:
        return _bad("clock", "the wall clock is in the past", why, advice)
    if newest_ns - wall_ns > 1e9:
        ahead_s = (newest_ns - wall_ns) / 1e9
        return _bad(
            "clock", f"files in state_dir are {ahead_s:.0f} s in the future: it stepped back", why, advice
        )
    if abs(stepped_ms) > STEP_MS:
        return _bad("clock", f"the wall clock stepped by {stepped_ms:.0f} ms while we looked", why, advice)
    if error_ms is None:
        return _warn("clock", "the kernel says that nothing synchronises the clock", why, advice)
    if error_ms >= CLOCK_ERROR_WARN_MS:
        make = _bad if error_ms >= CLOCK_ERROR_BAD_MS else _warn
        return make("clock", f"the clock may be off by {error_ms:.0f} ms", why, advice)
    return _ok("clock", f"synchronised, within {error_ms:.0f} ms", why)


def judge_open_files(limit: int) -> Finding:
    what, why = (
        f"the limit of open files is {limit}",
        "an engine that runs out of them can neither trade nor halt",
    )
    if limit == resource.RLIM_INFINITY:
        return _ok("open_files", "no limit of open files", why)
    if limit < OPEN_FILES_BAD:
        return _bad("open_files", what, why, f"raise it: ulimit -n {OPEN_FILES_WARN}")
    if limit < OPEN_FILES_WARN:
        return _warn("open_files", what, why, f"raise it: ulimit -n {OPEN_FILES_WARN}")
    return _ok("open_files", what, why)


def probe_certificates() -> int:
    """How many certificates, or files of them, this machine's TLS finds for authorities that it trusts."""
    paths = ssl.get_default_verify_paths()
    in_directory = len(os.listdir(paths.capath)) if paths.capath else 0
    return in_directory + len(ssl.create_default_context().get_ca_certs())


def judge_certificates(count: int) -> Finding:
    why = "without them no venue can prove who it is, and wss:// connections fail"
    if count:
        return _ok("certificates", f"{count} trusted certificates", why)
    return _warn(
        "certificates", "this machine trusts no certificate authority", why, "apt install ca-certificates"
    )


def judge_extra(name: str, installed: bool) -> Finding:
    why = f"without it {EXTRAS[name]}"
    if installed:
        return _ok(name, "installed", why)
    return _warn(name, "not installed", why, "pip install 'allstop[all]'")


def judge_state_dir(path: Path, mode: int | None, owner: int, writable: bool) -> Finding:
    """`mode` is None for a directory that does not exist yet; then `writable` is of the nearest that does."""
    why = "it holds the journals, the halt latch and the control socket"
    if mode is not None and not stat.S_ISDIR(mode):
        return _bad("state_dir", f"{path} is not a directory", why, "remove it or choose another")
    if not writable:
        return _bad(
            "state_dir", f"{path} cannot be written", why, f"give it to the user that runs allstop: {path}"
        )
    if mode is None:
        return _ok("state_dir", f"{path} will be made", why)
    if owner != os.geteuid():
        return _warn("state_dir", f"{path} belongs to another user ({owner})", why, f"chown it: {path}")
    if mode & 0o022:
        return _bad("state_dir", f"others may write in {path}", why, f"chmod 700 {path}")
    if mode & 0o055:
        return _warn("state_dir", f"others may look into {path}", why, f"chmod 700 {path}")
    return _ok("state_dir", f"{path} is ours alone", why)


def _ok(name: str, what: str, why: str) -> Finding:
    return Finding(level=FindingLevel.OK, name=name, what=what, why=why)


def _warn(name: str, what: str, why: str, advice: str) -> Finding:
    return Finding(level=FindingLevel.WARN, name=name, what=what, why=why, advice=advice)


def _bad(name: str, what: str, why: str, advice: str) -> Finding:
    return Finding(level=FindingLevel.BAD, name=name, what=what, why=why, advice=advice)


def _about(path: Path) -> tuple[Path, int | None, int, bool]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return path, None, os.geteuid(), os.access(_existing_parent(path), os.W_OK | os.X_OK)
    return path, found.st_mode, found.st_uid, os.access(path, os.W_OK | os.X_OK)


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.is_dir())


def _newest_ns(directory: Path) -> int:
    if not directory.is_dir():
        return 0
    return max((path.stat().st_mtime_ns for path in directory.iterdir() if path.is_file()), default=0)


def _flush_ms(fd: int, clock: Clock) -> float:
    start_s = clock.now_s()
    os.write(fd, b"x" * RECORD_BYTES)
    os.fdatasync(fd)
    return (clock.now_s() - start_s) * 1e3
