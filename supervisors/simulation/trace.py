"""Everything that happened in a run, as lines that are the same for the same seed, and a digest over them.

A line is `time kind words`. No line holds what differs from one process to the next: no memory address, no object's id,
no file name, no real time. The digest is over the lines, whether or not anybody keeps them. What a line has only the hash
of (a frame, a request, an answer, a row) can be kept whole beneath it, indented, for people; the digest knows nothing of it.
"""

import hashlib
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import msgspec

from allstop.actors.events import Event
from allstop.actors.ports import HttpRequest, HttpResponse, JournalRow

ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")
DEPTH_MAX: Final = 4
ORD_SPACE: Final = 32
BATCH: Final = 256  # lines that are hashed at once: 96 ns a line, and 109 one by one (measured)


class Trace:
    """`write` adds a line. `keep`: who gets each line, if anybody does; `bodies`: and what was hashed for it."""

    def __init__(
        self, now_s: Callable[[], float], keep: Callable[[str], None] | None = None, *, bodies: bool = False
    ) -> None:
        self._now_s = now_s
        self._keep = keep
        self._shown = keep if bodies else None
        self._hash = hashlib.sha256()
        self._unhashed: list[str] = []
        self.lines = 0

    def write(self, kind: str, words: str) -> None:
        line = f"{self._now_s():.6f} {kind} {words}\n"
        self._unhashed.append(line)
        self.lines += 1
        if len(self._unhashed) >= BATCH:
            self._take_in()
        if self._keep is not None:
            self._keep(line)

    def _take_in(self) -> None:
        self._hash.update("".join(self._unhashed).encode())
        self._unhashed.clear()

    def event(self, event: Event) -> None:
        """What the engine said of itself."""
        self.write("event", event_in_words(event))

    def frame(self, url: str, way: str, frame: str) -> None:
        """A frame that the engine sent (>) or received (<), by its hash."""
        self.write("frame", f"{way} {url} {hashlib.sha256(frame.encode()).hexdigest()[:12]}")
        if self._shown is not None:
            self._shown(_beneath(frame))

    def requested(self, base_url: str, request: HttpRequest) -> None:
        """An HTTP request that the engine wrote. Without its headers: they hold keys."""
        self.write(
            "http",
            f"> {request.method} {base_url}{request.path} {hashlib.sha256(request.body).hexdigest()[:12]}",
        )
        if self._shown is not None:
            self._shown(_beneath(request.body))

    def responded(self, base_url: str, request: HttpRequest, response: HttpResponse) -> None:
        """The answer to one."""
        self.write(
            "http",
            f"< {response.status} {base_url}{request.path} {hashlib.sha256(response.body).hexdigest()[:12]}",
        )
        if self._shown is not None:
            self._shown(_beneath(response.body))

    def row(self, chain: str, row: JournalRow, durable: bool) -> None:
        """A row that was written to the disk; its hash is over all that stands in it."""
        self.write(
            "row", f"{chain} {row.seq} {row.kind} {row.key} {row.hash.hex()[:12]}{'' if durable else ' late'}"
        )
        if self._shown is not None:
            self._shown(_beneath(row.body))

    @property
    def digest(self) -> str:
        self._take_in()
        return self._hash.hexdigest()


def _beneath(body: str | bytes) -> str:
    """On one line, whatever is in it: a line that begins with a digit is one of the trace."""
    text = body if isinstance(body, str) else body.decode(errors="backslashreplace")
    return f"    {text!r}\n" if any(ord(char) < ORD_SPACE for char in text) else f"    {text}\n"


def event_in_words(event: Event) -> str:
    """One event on one line. Of an error: its type and its words; its traceback names files of this machine."""
    fields = (
        f"{name}={canonical(getattr(event, name))}"
        for name in event.__struct_fields__
        if name not in ("path", "caller_stack", "stack", "log")
    )
    return f"{type(event).__name__} {event.path} {' '.join(fields)}"


def canonical(value: Any, depth: int = DEPTH_MAX) -> str:
    """A value as text that is the same in every process."""
    match value:
        case None | bool() | int() | float():
            return repr(value)
        case str():
            return ADDRESS.sub("0x", repr(value))
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case BaseException():
            return f"{type(value).__name__}({ADDRESS.sub('0x', str(value))!r})"
        case bytes():
            return hashlib.sha256(value).hexdigest()[:12]
        case _ if depth <= 0:
            return type(value).__name__
        case tuple() | list():
            return f"[{', '.join(canonical(one, depth - 1) for one in value)}]"
        case set() | frozenset():
            return f"{{{', '.join(sorted(canonical(one, depth - 1) for one in value))}}}"
        case dict():
            items = (
                f"{canonical(name, depth - 1)}: {canonical(one, depth - 1)}" for name, one in value.items()
            )
            return f"{{{', '.join(items)}}}"
        case msgspec.Struct():
            fields = (
                f"{name}={canonical(getattr(value, name), depth - 1)}" for name in value.__struct_fields__
            )
            return f"{type(value).__name__}({', '.join(fields)})"
        case _:
            return type(value).__name__
