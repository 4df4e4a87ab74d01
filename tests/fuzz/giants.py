"""`python -m tests.fuzz.giants`: texts of ten megabytes, each read in a process of its own, which takes with it what that
cost: the memory of a worker of the suite that had read them never became small again.

Prints a Report of each as JSON.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from tests.fuzz.mutations import HUGE

from allstop.actors.protocols.kraken import book_v1, faults, rest_answers
from allstop.actors.protocols.kraken import frames as frames_v2

ALL_S: Final = 100.0  # a few seconds, on a machine that has nothing else to do

GIANTS: dict[str, Callable[[], bytes]] = {
    "a text": lambda: b'"' + b"x" * HUGE + b'"',
    "a number": lambda: b'{"channel":"ticker","type":"update","data":[{"bid":' + b"9" * HUGE + b"}]}",
    "digits of a level": lambda: b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":' + b"1" * HUGE + b',"qty":1}],"asks":[],"checksum":1}]}',
    "levels": lambda: b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[' + b",".join([b'{"price":1.5,"qty":2}'] * (HUGE // 22)) + b'],"asks":[],"checksum":1}]}',
    "brackets": lambda: b"[" * HUGE,
    "objects": lambda: b'{"a":' * (HUGE // 5),
    "keys": lambda: b"{" + b",".join(b'"k%d":1' % n for n in range(HUGE // 12)) + b"}",
    "an unknown channel": lambda: b'{"channel":"zzz","data":"' + b"x" * HUGE + b'"}',
    "an error": lambda: b'{"method":"add_order","success":false,"error":"' + b"EOrder: " * (HUGE // 8) + b'"}',
    "errors": lambda: b'{"error":[' + b",".join([b'"EOrder:x"'] * (HUGE // 11)) + b"]}",
    "blanks": lambda: b" " * HUGE,
    "zeros": lambda: b"\x00" * HUGE,
    "no utf-8": lambda: b"\xff" * HUGE,
}  # fmt: skip

READERS: Final[dict[str, Callable[[bytes, str], object]]] = {
    "frames, version 2": lambda _, frame: frames_v2.decode(frame),
    "frames, version 1": lambda _, frame: book_v1.decode(frame),
    "answers of REST": lambda text, _: rest_answers.decode_envelope(200, text),
    "errors": lambda _, frame: faults.classify(frame),
}


class Report(msgspec.Struct, frozen=True):
    """Of one giant: seconds of a core by reader, the bytes that reading took on top of the text, and what broke."""

    took_s: dict[str, float]
    peak: int
    wrong: str = ""


def read_giants() -> dict[str, Report]:
    """Has them all read."""
    ran = subprocess.run(
        [sys.executable, "-m", __name__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=ALL_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]
    return msgspec.json.decode(ran.stdout, type=dict[str, Report])


def read(giant: str) -> Report:
    """Reads one of them in this process."""
    text = GIANTS[giant]()
    frame = text.decode("utf-8", "replace")
    before, took_s = _peak(), dict[str, float]()
    for name, reader in READERS.items():
        began_s = time.process_time()
        try:
            reader(text, frame)
        except BaseException as error:  # noqa: BLE001 - told of, whatever it is
            return Report(took_s, _peak() - before, f"{name}: {type(error).__name__}: {error}"[:500])
        took_s[name] = time.process_time() - began_s
    return Report(took_s, _peak() - before)


def _peak() -> int:
    """The most bytes that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forked(giant: str) -> Report:
    """What a fork of this process reports: everything is imported once."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(sink, msgspec.json.encode(read(giant)))
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    return msgspec.json.decode(said, type=Report) if said else Report({}, 0, f"it died: {status}")


if __name__ == "__main__":
    print(msgspec.json.encode({giant: _forked(giant) for giant in GIANTS}).decode())
