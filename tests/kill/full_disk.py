"""`python -m tests.kill.full_disk tmpfs|fsize|fsync DIR`: fills the disk under a real journal, makes room, and opens it again.

`tmpfs`: DIR is a file system of one megabyte, mounted by whoever started this. `fsize`: no file may grow beyond that
(RLIMIT_FSIZE), which is a limit of files and not a full disk. `fsync`: there is room, and after some rows the disk does
not flush any more (tests/kill/shim.py). Prints what happened as JSON.
"""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from tests.kill.shim import FLAG

from allstop.actors.clock import SystemClock
from allstop.actors.errors import Fatal
from allstop.actors.links.journal_file import verify_journal
from allstop.actors.links.journal_sqlite import SqliteJournal
from allstop.actors.ports import JournalEntry

LIMIT_BYTES = 1024 * 1024
BODY = b'"' + b"x" * 2000 + b'"'
TRIES_MAX = 5000  # ten megabytes: the disk is full long before
FLUSHED = 100  # rows, until the disk does not flush any more


async def fill(kind: str, directory: Path) -> dict[str, object]:
    if kind == "fsize":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, resource.RLIM_INFINITY))
    path = directory / "journal.db"
    journal = await SqliteJournal.open(path, SystemClock(), "kraken.main")
    confirmed: list[str] = []
    codes: list[str] = []
    for n in range(TRIES_MAX):
        if kind == "fsync" and n == FLUSHED:
            Path(os.environ[FLAG]).touch()
        try:
            await journal.append([JournalEntry(kind="intent", key=str(n), body=BODY)])
            confirmed.append(str(n))
        except Fatal as fatal:
            codes.append(fatal.code)
            break
    try:
        await journal.append([JournalEntry(kind="intent", key="after", body=b"{}")])
    except Fatal as fatal:
        codes.append(fatal.code)
    await journal.close()
    if kind == "fsize":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    elif kind == "fsync":
        Path(os.environ[FLAG]).unlink()
    else:
        subprocess.run(["mount", "-o", "remount,size=16m", str(directory)], check=True)
    again = await SqliteJournal.open(path, SystemClock(), "kraken.main")
    kept = [row.key for row in await again.read(kinds=["intent"])]
    await again.append([JournalEntry(kind="intent", key="more", body=b"{}")])
    await again.close()
    return {"confirmed": confirmed, "codes": codes, "kept": kept, "chain_ok": verify_journal(path).ok}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fill(sys.argv[1], Path(sys.argv[2])))))
